"""Who is owed a notice that a consent is about to end, and what it says."""

import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.codes import DetailLevel, Direction, Kind, Purpose, Purposes, Push
from streams.core.consent import Consent, ConsentState, Holder
from streams.core.expiry import DAYS_BEFORE, Notice, ends_of_owed, last_of_pass, owed, told
from streams.core.ids import NAMESPACE

DAY = 86_400_000
NOW = 1_772_712_000_000
SINCE = NOW - 3_600_000
SUBJECT = "bank:account-1234"


def consent(left_ms: int = 30 * DAY, valid_ms: int = 364 * DAY, **fields: object) -> Consent:
    """Return a consent that ends so long after NOW and was given for `valid_ms`."""
    end = NOW + left_ms
    plain = Consent(
        "the-consent", 3, Purposes.SHIPPING | Purposes.RECEIPT, DetailLevel.FULL, Direction.BOTH, "psid:1",
        end - valid_ms, end, None, "n", "h", "de", "Europe/Berlin",
    )  # fmt: skip
    return plain._replace(**fields)  # type: ignore[arg-type]  # names are the test's own


def state(*versions: Consent, **fields: object) -> ConsentState:
    plain = ConsentState(SUBJECT, (Holder("anna", versions),), request_offset=42)
    return plain._replace(**fields)  # type: ignore[arg-type]  # as above


def days(known: ConsentState, since: int = SINCE, now: int = NOW) -> list[int]:
    return [notice.days for notice in owed(known, since, now)]


@pytest.mark.parametrize("before", [30, 7, 1])
def test_a_notice_is_owed_from_its_time_on_until_it_is_told(before: int) -> None:
    known = state(consent(before * DAY))
    assert days(known) == [before]
    assert days(known, NOW - 1, NOW) == [before]
    assert days(known, SINCE, NOW - 1) == []
    assert days(known, NOW, NOW + DAY - 1) == []


def test_of_several_that_are_owed_at_once_only_the_last_is_told() -> None:
    known = state(consent(5 * DAY))
    assert days(known, NOW - 40 * DAY) == [7]
    assert days(known, NOW - 40 * DAY, NOW + 4 * DAY) == [1]
    assert days(known, NOW - 40 * DAY, NOW - 3 * DAY) == [30]


def test_nothing_is_owed_of_a_consent_that_has_ended() -> None:
    known = state(consent(5 * DAY))
    assert days(known, SINCE, NOW + 5 * DAY - 1) == [1]
    assert days(known, SINCE, NOW + 5 * DAY) == []


def test_a_consent_for_fewer_days_needs_no_notice_of_so_many() -> None:
    short = state(consent(DAY, 5 * DAY))
    assert days(short, NOW - 10 * DAY) == [1]
    assert days(short, NOW - 10 * DAY, NOW - 1) == []
    assert days(state(consent(7 * DAY, 7 * DAY)), 0) == []
    assert days(state(consent(7 * DAY, 7 * DAY + 1)), 0) == [7]


def test_a_revoked_consent_a_suspended_subject_and_nobody_are_owed_nothing() -> None:
    assert days(state(consent(revoked_at=NOW - 1))) == []
    assert days(state(consent(), suspended=True)) == []
    assert days(state(consent(), holders=())) == []
    assert days(state(consent(purposes=0))) == []


def test_only_the_last_version_counts() -> None:
    assert days(state(consent(), consent(90 * DAY, version=4))) == []
    assert days(state(consent(90 * DAY), consent(version=4))) == [30]


def test_every_holder_is_owed_a_notice_of_their_own() -> None:
    people = (Holder("anna", (consent(7 * DAY),)), Holder("ben", (consent(),)), Holder("zoe", (consent(2),)))
    found = owed(state(holders=people), SINCE, NOW)
    assert [(notice.user_id, notice.days) for notice in found] == [("anna", 7), ("ben", 30)]


def test_a_notice_says_no_more_than_which_consent_ends_and_when() -> None:
    (notice,) = owed(state(consent()), SINCE, NOW)
    said = told(notice, SUBJECT, NOW + 5)
    text = f"anna\x1f{SUBJECT}\x1fSERVICE\x1fthe-consent/3/P30D\x1fP30D"
    assert said.notification_id == str(uuid.uuid5(uuid.UUID(NAMESPACE), text))
    assert (said.recipient, said.channel_ref, said.locale, said.timezone) == (
        "anna", "psid:1", "de", "Europe/Berlin",
    )  # fmt: skip
    assert (said.kind, said.purpose, said.template_key) == (
        Kind.SERVICE, Purpose.RECEIPT, "service.consent_expires",
    )  # fmt: skip
    assert (said.detail_level, said.priority, said.push) == (DetailLevel.ACTIVITY_ONLY, 2, Push.REGULAR)
    assert (said.occurred_at, said.not_before, said.decided_at, said.not_after) == (
        NOW, NOW, NOW + 5, NOW + 30 * DAY,
    )  # fmt: skip
    assert (said.source_event_id, said.consent_id, said.consent_version) == (
        "the-consent/3/P30D", "the-consent", 3,
    )  # fmt: skip
    assert said.subject_label == "bank …1234"
    assert set(said[said._fields.index("status") :]) == {None}


def test_a_pass_tells_the_earliest_and_never_some_of_those_due_at_once() -> None:
    assert last_of_pass([3, 1, 2], most=3) is None
    assert last_of_pass([4, 3, 1, 2], most=3) == 3
    assert last_of_pass([3, 3, 1, 3], most=2) is None
    assert last_of_pass([4, 2, 1, 2, 2], most=2) == 2
    assert last_of_pass([]) is None


times = st.integers(0, 40 * DAY)


@given(st.lists(times, min_size=2, max_size=6).map(sorted), times, times)
def test_however_the_passes_fall_nothing_is_told_twice_and_the_next_notice_is_never_lost(
    passes: list[int], effective_at: int, valid_for: int
) -> None:
    known = state(consent()._replace(effective_at=effective_at, valid_until=effective_at + valid_for))
    told_at = [notice for since, now in pairwise(passes) for notice in owed(known, since, now)]
    assert len({notice.event_id for notice in told_at}) == len(told_at)
    whole = [notice.days for notice in owed(known, passes[0], passes[-1])]
    assert [notice.days for notice in told_at][-1:] == whole or passes[-1] >= effective_at + valid_for


@given(times, times, times)
def test_whoever_is_owed_something_has_a_consent_that_ends_in_one_of_the_ranges(
    since: int, now: int, left: int
) -> None:
    known = state(consent()._replace(effective_at=0, valid_until=left))
    found: list[Notice] = owed(known, since, now)
    assert not found or any(after < left <= up_to for after, up_to in ends_of_owed(since, now))
    assert len(ends_of_owed(since, now)) == len(DAYS_BEFORE)
