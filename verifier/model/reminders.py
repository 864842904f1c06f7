"""SERVICE notices: who must be told that a consent is about to end, and what exactly.

A version has up to three due times: 30, 7 and 1 days before its end. Whatever was told before, a pass can
tell of one of them alone, the one that came last: an earlier one of the same version is owed only together
with it, and then only the fewest days are told. Read next: `verifier/notices.py`.
"""

import uuid
from collections.abc import Collection
from typing import Any

from verifier.model.consents import DAY_MS, Consents, Version
from verifier.model.notice import NAMESPACE, PRIORITY, SCHEMA, subject_label
from verifier.model.rules import Row

DAYS = (30, 7, 1)
RULE = "consent_expires"
MOST_TOLD = 5_000
"""A pass that owes more ends with the due time of the last of these."""

_PURPOSES: list[str] = SCHEMA["purpose"]["type"]["symbols"]
_STATUSES: list[str] = SCHEMA["status"]["type"][1]["symbols"]


def due_at(version: Version, days: int) -> int:
    """Return when somebody is to be told that a version ends in so many days, UTC milliseconds."""
    due: int = version["valid_until"] - days * DAY_MS
    return due


def has_notice(version: Version, days: int) -> bool:
    """Tell whether a version was given for long enough that it has a notice of so many days."""
    return bool(due_at(version, days) > version["effective_at"])


def days_told(version: Version, now: int) -> int | None:
    """Return of how many days a pass at `now` can tell the holder of a version; None: of none."""
    if version["revoked_at"] is not None or now >= version["valid_until"]:
        return None
    come = [days for days in DAYS if due_at(version, days) <= now]
    return min(come) if come and has_notice(version, min(come)) else None


class Reminders:
    """What the passes of one partition number owe by the consents that were folded before each."""

    def __init__(self, consents: Consents) -> None:
        self._consents = consents
        self._reached = -1

    def owed(self, key: bytes, now: int) -> dict[str, Row]:
        """Return what a pass at `now` may tell of a subject, by notification_id.

        What came due before the time that an earlier pass reached was told by it, or is not owed any more.
        """
        subject = self._consents.find(key)
        if subject is None or subject.is_suspended:
            return {}
        notices = [
            notice(user, key.decode(), versions[-1], days, now)
            for user, versions in subject.holders.items()
            if (days := days_told(versions[-1], now)) is not None
        ]
        return {
            told["notification_id"]: _decided(told) for told in notices if told["occurred_at"] > self._reached
        }

    def end_pass(self, now: int, due_times: Collection[int]) -> None:
        """Note how far a pass at `now` came that told what was due at `due_times`."""
        self._reached = max(self._reached, max(due_times) if len(due_times) >= MOST_TOLD else now)


def notice(recipient: str, subject: str, last: Version, days: int, now: int) -> dict[str, Any]:
    """Return the whole notification, every field of the schema by name."""
    period, due = f"P{days}D", due_at(last, days)
    event_id = f"{last['consent_id']}/{last['version']}/{period}"
    identity = [recipient, subject, "SERVICE", event_id, period]
    told = dict.fromkeys(SCHEMA)
    told |= {
        "notification_id": str(uuid.uuid5(NAMESPACE, "\x1f".join(identity))),
        "recipient": recipient,
        "kind": "SERVICE",
        "purpose": min(last["purposes"], key=_PURPOSES.index),
        "template_key": f"service.{RULE}",
        "detail_level": "ACTIVITY_ONLY",
        "priority": PRIORITY["BALANCE"],
        "push": "REGULAR",
        "occurred_at": due,
        "decided_at": now,
        "not_before": due,
        "not_after": last["valid_until"],
        "source_event_id": event_id,
        "subject_label": subject_label(subject),
        "consent_version": last["version"],
        "status": period if period in _STATUSES else None,
    }
    return told | {name: last[name] for name in ("consent_id", "channel_ref", "locale", "timezone")}


def _decided(told: dict[str, Any]) -> Row:
    return Row(
        "NOTIFY",
        RULE,
        holder=told["recipient"],
        event_id=told["source_event_id"],
        kind="SERVICE",
        consent_id=told["consent_id"],
        consent_version=told["consent_version"],
        notification=told,
    )
