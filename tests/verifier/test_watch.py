from typing import Any

import pytest

from tests.harness.messages import consent, request
from verifier.recording import Request, Sent
from verifier.watch import BOUND_MS, SETTLE_MS, Watch

SUBJECT, OTHER = "bank:1", "bank:2"
LATER = 1_000_000


class Feed:
    """A watch with one partition; events at even offsets are of SUBJECT, at odd ones of OTHER."""

    def __init__(self, since_ms: int = 0) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.watch = Watch(1, self._subject_of, since_ms)
        self._offset = 0

    def _subject_of(self, source: tuple[str, int, int]) -> str | None:
        self.asked.append(source)
        if not source[0]:
            return None
        return SUBJECT if source[2] % 2 == 0 else OTHER

    def ask(self, action: str, at: int, user: str | None = "anna", subject: str = SUBJECT) -> None:
        given = consent(valid_until=LATER * 1_000, consent_id=f"c-{subject}") if action == "GRANT" else None
        value = request(subject, action, user, consent=given)
        self.watch.request(0, Request(self._offset, subject.encode(), value, at))
        self._offset += 1

    def tell(self, at: int, user: str = "anna", offset: int = 0, consent_id: str = f"c-{SUBJECT}") -> None:
        headers = {"notifier.source": f"bank.transactions/0/{offset}".encode()}
        self.watch.told(Sent(0, 0, user, {"consent_id": consent_id}, headers, b"", at))


def test_silence_is_the_time_to_the_last_notification_after_a_revocation() -> None:
    feed = Feed()
    feed.ask("GRANT", 10)
    feed.tell(20)
    feed.ask("REVOKE", 30)
    feed.tell(40)
    feed.tell(70)
    found = feed.watch.settle(LATER)
    assert (found.silences, found.after_revocation) == ([40], 0)
    assert feed.watch.settle(LATER).silences == []


def test_a_revocation_that_nothing_comes_after_is_silent_at_once() -> None:
    feed = Feed()
    feed.ask("GRANT", 10)
    feed.ask("GRANT", 10, "ben")
    feed.ask("REVOKE", 30, None)
    assert feed.watch.settle(LATER).silences == [0, 0]
    assert feed.asked == []


def test_a_notification_past_the_bound_is_counted_whichever_topic_is_read_first() -> None:
    feed = Feed()
    feed.ask("GRANT", 10)
    feed.tell(31 + BOUND_MS)
    assert feed.watch.settle(32 + BOUND_MS).after_revocation == 0
    feed.ask("ERASE", 30)
    found = feed.watch.settle(31 + BOUND_MS + SETTLE_MS)
    assert (found.after_revocation, found.silences) == (1, [1 + BOUND_MS])


def test_a_new_grant_ends_what_the_revocation_began() -> None:
    feed = Feed()
    feed.ask("GRANT", 10)
    feed.ask("REVOKE", 30)
    feed.ask("GRANT", 50)
    feed.tell(60 + BOUND_MS)
    found = feed.watch.settle(LATER)
    assert (found.after_revocation, found.silences) == (0, [0])


@pytest.mark.parametrize("told", [{"user": "ben"}, {"offset": 1}])
def test_other_people_and_subjects_are_not_meant(told: dict[str, Any]) -> None:
    feed = Feed()
    for user in ("anna", "ben"):
        feed.ask("GRANT", 10, user)
    feed.ask("GRANT", 10, subject=OTHER)
    feed.ask("REVOKE", 30)
    feed.tell(40 + BOUND_MS, **told)
    assert feed.watch.settle(LATER).after_revocation == 0


def test_what_ended_before_the_watch_began_is_known_but_its_silence_was_not_watched() -> None:
    feed = Feed(since_ms=100)
    feed.ask("GRANT", 10)
    feed.ask("REVOKE", 30)
    feed.tell(200 + BOUND_MS)
    found = feed.watch.settle(LATER)
    assert (found.silences, found.after_revocation) == ([], 1)


def test_what_says_another_consent_is_counted_all_the_same() -> None:
    feed = Feed()
    feed.ask("GRANT", 10)
    feed.ask("REVOKE", 30)
    feed.tell(40 + BOUND_MS, consent_id="another")
    assert feed.watch.settle(LATER).after_revocation == 1


def test_what_cannot_be_judged_is_counted() -> None:
    feed = Feed()
    feed.ask("GRANT", 10)
    feed.ask("REVOKE", 30)
    feed.watch.told(Sent(0, 0, "anna", {"consent_id": "c"}, {"notifier.source": b"x/y/z"}, b"", 40))
    found = feed.watch.settle(LATER)
    assert (found.unresolved, found.after_revocation) == (1, 0)


def test_leaks_are_counted_by_topic_until_they_are_told() -> None:
    feed = Feed()
    feed.watch.leak("a")
    feed.watch.leak("a", 2)
    assert feed.watch.settle(0).leaks == {"a": 3}
    assert feed.watch.settle(0).leaks == {}
