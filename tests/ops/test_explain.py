import pytest

from streams.core.codes import Fate, Kind, Reason
from streams.ops.explain import MEANINGS, Position, as_json, in_batch, in_words, of_rows, parse_position
from streams.wire.codec import DecisionBatch, DecisionRow, InputRange, OffsetRun

TOPIC = "bank.transactions"
AT_MS = 1_709_654_640_050


def _row(
    offset: int, outcome: Fate, reason: Reason | None = None, holder: str | None = "u", rule: str = "rule"
) -> DecisionRow:
    told = "n-1" if outcome == Fate.NOTIFY else None
    return DecisionRow(TOPIC, offset, "e-1", holder, outcome, reason, rule, Kind.RECEIPT, "c-1", 2, told)


def _batch(*rows: DecisionRow) -> DecisionBatch:
    read = InputRange(TOPIC, 0, 19, 20, 20)
    return DecisionBatch(3, (read,), 5, AT_MS, "1", (), (OffsetRun(TOPIC, 10, 12, 3),), rows)


def test_every_reason_has_words() -> None:
    assert set(MEANINGS) == set(Reason) - {Reason.UNKNOWN}
    assert all(words == words.strip(". ") for words in MEANINGS.values())


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("bank.balances/0/12", Position("bank.balances", 0, 12)),
        ("messenger-delivery/3/0", Position("messenger-delivery", 3, 0)),
        ("e-1", None),
        ("a/b", None),
        ("a/1", None),
        ("a/1/-1", None),
        ("a/1/1/1", None),
        ("a b/1/1", None),
    ],
)
def test_a_position_has_three_parts_and_anything_else_is_an_event_id(
    text: str, position: Position | None
) -> None:
    assert parse_position(text) == position


@pytest.mark.parametrize(
    ("fate", "reason", "outcome", "words"),
    [
        (Fate.NOTIFY, None, "notified", "holder u: told RECEIPT, notification n-1, consent c-1 version 2"),
        (
            Fate.SUPPRESS,
            Reason.STALE,
            "suppressed",
            "the event was too old to be told when it was decided (STALE)",
        ),
        (Fate.DUPLICATE, None, "duplicate", "not told RECEIPT again: the same was told before"),
        (Fate.REJECT, Reason.INVALID, "rejected", "a field of the value breaks its limits (INVALID)"),
    ],
)
def test_a_decision_is_explained_by_its_rows(
    fate: Fate, reason: Reason | None, outcome: str, words: str
) -> None:
    found = in_batch(_batch(_row(4, fate, reason), _row(5, Fate.NOTIFY)), Position(TOPIC, 3, 4))
    assert found.outcome == outcome
    assert found.rows == (_row(4, fate, reason),)
    assert words in in_words(found)
    assert "decided at 2024-03-05T16:04:00.050Z" in in_words(found)


def test_the_records_outcome_is_the_strongest_that_a_holder_met() -> None:
    rows = (_row(4, Fate.SUPPRESS, Reason.REVOKED, "a"), _row(4, Fate.NOTIFY, None, "b"))
    found = in_batch(_batch(*rows), Position(TOPIC, 3, 4))
    assert found.outcome == "notified"
    assert in_words(found).count("\n") == 2


def test_an_event_in_a_run_without_consent_was_not_opened() -> None:
    for offset in (10, 12):
        found = in_batch(_batch(), Position(TOPIC, 3, offset))
        assert (found.outcome, found.event_id, found.rows) == ("not_opened", None, ())
        assert "never opened" in in_words(found)
    assert in_batch(_batch(), Position(TOPIC, 3, 13)).outcome == "absent"


def test_a_code_of_a_newer_version_is_shown_not_failed_on() -> None:
    row = _row(4, Fate.SUPPRESS, Reason.UNKNOWN)
    assert "UNKNOWN" in in_words(in_batch(_batch(row), Position(TOPIC, 3, 4)))


def test_json_names_every_code() -> None:
    found = in_batch(_batch(_row(4, Fate.SUPPRESS, Reason.PURPOSE)), Position(TOPIC, 3, 4))
    assert as_json(found) == {
        "outcome": "suppressed",
        "position": "bank.transactions/3/4",
        "event_id": "e-1",
        "decided_at": AT_MS,
        "explanation": "Nobody was told",
        "subject": None,
        "holders": [
            {
                "holder": None,
                "pseudonym": "u",
                "outcome": "SUPPRESS",
                "reason": "PURPOSE",
                "meaning": MEANINGS[Reason.PURPOSE],
                "rule": "rule",
                "kind": "RECEIPT",
                "consent_id": "c-1",
                "consent_version": 2,
                "notification_id": None,
            }
        ],
    }


def test_names_stand_in_the_place_of_the_pseudonyms_that_are_known() -> None:
    found = in_batch(_batch(_row(4, Fate.NOTIFY)._replace(subject="s")), Position(TOPIC, 3, 4))
    named = found._replace(names={"u": "anna", "s": "bank:1"})
    assert "anna: told RECEIPT" in in_words(named)
    assert as_json(named)["subject"] == "bank:1"
    assert (as_json(named)["holders"][0]["holder"], as_json(named)["holders"][0]["pseudonym"]) == (
        "anna",
        "u",
    )


@pytest.mark.parametrize(("revision", "when"), [("P30D", "30 days before"), ("P1D", "1 day before")])
def test_a_notice_of_a_consents_end_is_explained_by_how_long_before_it_came(revision: str, when: str) -> None:
    row = _row(4, Fate.NOTIFY, rule="consent_expires")._replace(
        topic="consent.requests", event_id=f"c-1/2/{revision}", kind=Kind.SERVICE
    )
    found = of_rows((row,), Position("consent.requests", 3, 4), AT_MS)
    assert in_words(found).splitlines() == [
        (
            f"consent.requests/3/4 (event c-1/2/{revision}): Somebody was told that a consent is about to "
            "end; decided at 2024-03-05T16:04:00.050Z."
        ),
        (
            f"  holder u: told SERVICE {when} the consent ends, notification n-1, consent c-1 version 2 "
            "[rule consent_expires]"
        ),
    ]
    assert as_json(found)["holders"][0]["meaning"] == f"{when} the consent ends"
    assert "before the consent" not in in_words(
        of_rows((row._replace(rule="notify"),), Position("consent.requests", 3, 4), AT_MS)
    )
