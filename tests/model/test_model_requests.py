"""The model against docs/rules.md, section 8: what consent requests make of consents."""

from tests.model import values
from tests.model.scene import DAY, FAR, HOUR, NOTIFY, SUBJECT, Scene, T
from verifier.model.consents import Answer
from verifier.model.partitions import partition_of
from verifier.model.rules import Model

# Section 8


def test_requests_are_answered_in_the_order_of_the_page(scene: Scene) -> None:
    good = values.consent(FAR)
    answers = [
        (scene.ask("GRANT", None, T, consent=good), "NO_USER"),
        (scene.ask("GRANT", "", T, consent=None), "NO_USER"),
        (scene.ask("GRANT", "u", T, consent=None), "NO_CONSENT_GIVEN"),
        (scene.grant(purposes=[], valid_until=0), "NO_PURPOSE"),
        (scene.grant(purposes=["RECEIPT", "UNKNOWN"]), "NO_PURPOSE"),
        (scene.grant(at=T, valid_until=T, direction="UNKNOWN"), "VALIDITY"),
        (scene.grant(at=T, valid_until=T + 365 * DAY + 1), "VALIDITY"),
        (scene.grant(direction="UNKNOWN", action="CHANGE"), "INVALID"),
        (scene.grant(detail_level="UNKNOWN"), "INVALID"),
        (scene.grant(consent_id="x" * 257), "INVALID"),
        (scene.grant(min_amount_minor=-1), "INVALID"),
        (scene.grant(currency="euro"), "INVALID"),
        (scene.grant(action="CHANGE"), "NOT_GRANTED"),
        (scene.ask("GRANT", "u", T, consent=good, expected_version=1), "VERSION_CONFLICT"),
        (scene.ask("GRANT", "u", T, consent=good, expected_version=0), None),
        (scene.ask("CHANGE", "u", T, consent=good, expected_version=0), "VERSION_CONFLICT"),
        (scene.ask("CHANGE", "u", T, consent=good, expected_version=1), None),
        (scene.ask("REVOKE", "nobody", T), None),
        (scene.ask("UNKNOWN", "u", T), "UNREADABLE"),
        (scene.ask("GRANT", "u", T, subject="bank:2", consent=good), "SUBJECT_MISMATCH"),
    ]
    assert [answer.reason if answer else "none" for answer, _ in answers] == [reason for _, reason in answers]


def test_a_ninth_holder_is_one_too_many(scene: Scene) -> None:
    for number in range(8):
        assert scene.grant(f"u-{number}") == Answer(None, 1, T - DAY)
    assert scene.grant("u-8") == Answer("TOO_MANY_HOLDERS")
    assert scene.grant("u-7") == Answer(None, 2, T - DAY)


def test_an_unreadable_request_suspends_until_the_next_readable_one(granted: Scene) -> None:
    key = SUBJECT.encode()
    for broken in (None, b"", b"\x00\x00\x00\x00\x06garbage"):
        assert granted.model.fold(key, broken, T) == Answer("UNREADABLE")
        assert granted.pay("e-1") == ":SUPPRESS CONSENT_UNREADABLE"
        assert granted.ask("GRANT", None, T) == Answer("NO_USER")
    assert granted.pay("e-1") == NOTIFY


def test_a_subject_that_never_granted_is_suspended_too(scene: Scene) -> None:
    scene.model.fold(SUBJECT.encode(), b"", T)
    assert scene.raw(b"garbage") == ":SUPPRESS CONSENT_UNREADABLE"
    scene.ask("REVOKE", None, T)
    assert scene.raw(b"garbage") == ":SUPPRESS NO_CONSENT"


def test_a_request_of_another_partition_folds_nothing() -> None:
    model = Model((partition_of(SUBJECT.encode(), 4) + 1) % 4, 4)
    value = values.request(SUBJECT, "GRANT", "u", consent=values.consent(FAR))
    assert model.fold(SUBJECT.encode(), value, T) == Answer("MISROUTED")
    assert model.fold(None, value, T) is None
    assert model.consents.find(SUBJECT.encode()) is None


def test_a_revocation_counts_at_once_and_a_new_grant_revives_nothing(scene: Scene) -> None:
    scene.grant(at=T - 3 * HOUR)
    assert scene.ask("REVOKE", None, T - 2 * HOUR, requested_at=T + DAY) == Answer(None)
    assert scene.pay("e-1", at=T - 2 * HOUR - 1) == "u:SUPPRESS REVOKED"
    assert scene.grant(at=T - HOUR) == Answer(None, 2, T - HOUR)
    assert scene.pay("e-2", at=T - 2 * HOUR - 1) == "u:SUPPRESS NOT_EFFECTIVE"
    assert scene.pay("e-3") == NOTIFY
    assert scene.last["consent_version"] == 2


def test_a_request_may_ask_for_later_but_never_earlier(scene: Scene) -> None:
    assert scene.grant("a", at=T, effective_at=T - DAY) == Answer(None, 1, T)
    assert scene.grant("b", at=T, effective_at=T + DAY) == Answer(None, 1, T + DAY)


def test_erased_holders_are_gone_and_with_the_last_one_the_subject(scene: Scene) -> None:
    scene.grant("a")
    scene.grant("b")
    scene.ask("ERASE", "a", T)
    assert scene.pay("e-1") == "b:NOTIFY notify"
    scene.ask("ERASE", None, T)
    assert scene.raw(b"garbage") == ":SUPPRESS NO_CONSENT"
    assert scene.grant("a") == Answer(None, 1, T - DAY)


def test_an_erased_subject_takes_along_what_was_remembered_of_it(granted: Scene) -> None:
    assert granted.step("e-1", "POSTED") == NOTIFY
    granted.ask("ERASE", None, T)
    granted.grant()
    assert granted.step("e-1", "POSTED") == NOTIFY


def test_eight_versions_are_kept(scene: Scene) -> None:
    for number in range(10):
        scene.grant(at=T - 20 * HOUR + number)
    subject = scene.model.consents.find(SUBJECT.encode())
    assert subject is not None
    assert [one["version"] for one in subject.holders["u"]] == [3, 4, 5, 6, 7, 8, 9, 10]


def test_a_version_whose_successor_is_older_than_any_event_that_counts_is_dropped(scene: Scene) -> None:
    scene.grant(at=T - 4 * DAY)
    scene.grant(at=T - 3 * DAY)
    scene.grant(at=T)
    subject = scene.model.consents.find(SUBJECT.encode())
    assert subject is not None
    assert [one["version"] for one in subject.holders["u"]] == [2, 3]
