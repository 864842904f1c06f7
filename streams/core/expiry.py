"""Which notices that a consent is about to end a person is owed, and what they say.

Imports `codes`, `consent`, `decision`, `ids`, `lifecycle`, `policy`, `project` and `terms`. Source:
docs/rules.md section 9. Read next: `streams/kafka/reminders.py`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from streams.core.codes import DetailLevel, Kind, Purpose, Push
from streams.core.consent import Consent, ConsentState, Holder
from streams.core.decision import Notification
from streams.core.ids import notification_id
from streams.core.lifecycle import DAY_MS
from streams.core.policy import KINDS
from streams.core.project import subject_label
from streams.core.terms import KNOWN_PURPOSES

DAYS_BEFORE = (1, 7, 30)
"""So many days before its end a person is told of a consent; of several at once only the first of these."""
MOST_AT_ONCE = 5_000
RULE = "consent_expires"
TEMPLATE_KEY = "service.consent_expires"

Range = tuple[int, int]
"""Times (UTC ms) after the first and up to the second."""


class Notice(NamedTuple):
    """A notice that a person is owed: `days` before the end of `consent`, since `due_at` (UTC ms)."""

    due_at: int
    days: int
    user_id: str
    consent: Consent

    @property
    def revision(self) -> str:
        """Return what tells this notice from the others of the same version, an ISO 8601 duration."""
        return f"P{self.days}D"

    @property
    def event_id(self) -> str:
        """Return what stands where other notifications name their event."""
        return f"{self.consent.consent_id}/{self.consent.version}/{self.revision}"


def owed(state: ConsentState, since: int, now: int) -> list[Notice]:
    """Return what the holders of a subject are owed at `now` and were not yet at `since` (UTC ms).

    At most one notice a holder, in the order of holders; nothing while suspended. Never raises.
    """
    if state.suspended:
        return []
    found = (_owed_to(holder, since, now) for holder in state.holders)
    return [notice for notice in found if notice is not None]


def _owed_to(holder: Holder, since: int, now: int) -> Notice | None:
    last = holder.versions[-1]
    if last.revoked_at is not None or now >= last.valid_until or not last.purposes & KNOWN_PURPOSES:
        return None
    for days in DAYS_BEFORE:
        due_at = last.valid_until - days * DAY_MS
        if max(since, last.effective_at) < due_at <= now:
            return Notice(due_at, days, holder.user_id, last)
    return None


def ends_of_owed(since: int, now: int) -> tuple[Range, ...]:
    """Return the ranges in which a consent ends of which a notice fell due after `since` and up to `now`."""
    return tuple((since + days * DAY_MS, now + days * DAY_MS) for days in DAYS_BEFORE)


def last_of_pass(due_times: Iterable[int], most: int = MOST_AT_ONCE) -> int | None:
    """Return up to which due time one pass tells, None for all: `most` notices, and those due with the last.

    Never raises.
    """
    times = sorted(due_times)
    return times[most - 1] if len(times) > most and times[-1] > times[most - 1] else None


def told(notice: Notice, subject: str, now: int) -> Notification:
    """Return what a person is told by a notice of a subject, decided at `now` (UTC ms). Never raises."""
    consent = notice.consent
    return Notification(
        notification_id(notice.user_id, subject, Kind.SERVICE.name, notice.event_id, notice.revision),
        notice.user_id,
        consent.channel_ref,
        Kind.SERVICE,
        _lowest_purpose(consent.purposes & KNOWN_PURPOSES),
        TEMPLATE_KEY,
        DetailLevel.ACTIVITY_ONLY,
        consent.locale,
        consent.timezone,
        KINDS[Kind.BALANCE].priority,
        Push.REGULAR,
        notice.due_at,
        now,
        notice.due_at,
        consent.valid_until,
        notice.event_id,
        subject_label(subject),
        consent.consent_id,
        consent.version,
    )


def days_of(event_id: str) -> int | None:
    """Return how many days before the end the notice of this `event_id` is, None if it is of no notice.

    Never raises.
    """
    revision = event_id.rpartition("/")[2]
    return next((days for days in DAYS_BEFORE if revision == f"P{days}D"), None)


def _lowest_purpose(purposes: int) -> Purpose:
    return Purpose((purposes & -purposes).bit_length() - 1)
