"""Every check of the conservation report is tripped by one change to topics that are otherwise in order."""

import copy
import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import avro.io
import avro.schema
import pytest

from verifier.avro import BrokenValueError, Reader, load_schema
from verifier.conservation import Conservation, Report, batch_hash
from verifier.evidence import Batch, Evidence, Log, Position, Told

SCHEMA = avro.schema.parse(
    json.dumps(load_schema("decision_batch")).replace(', "logicalType": "timestamp-millis"', "")
)
TOPIC = "bank.transactions"


def encoded(value: dict[str, Any], schema: Any = SCHEMA) -> bytes:
    out = io.BytesIO()
    avro.io.DatumWriter(schema).write(value, avro.io.BinaryEncoder(out))
    return out.getvalue()


def sealed(value: dict[str, Any]) -> Batch:
    body = encoded({**value, "hash": ""})
    digest = hashlib.sha256(bytes.fromhex(value["previous_hash"]) + body).hexdigest()
    whole = {**value, "hash": digest}
    position = Position("notifier.decisions", 0, value["decided_at"])
    return Batch(position, encoded(whole), Reader(load_schema("decision_batch")).read(encoded(whole)))


def row(offset: int, outcome: str, holder: str | None = "user:a", **rest: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("event_id", "reason", "kind", "consent_id", "consent_version", "notification_id"))
    return {
        "topic": TOPIC,
        "offset": offset,
        "holder": holder,
        "outcome": outcome,
        "rule": "x",
        **empty,
        **rest,
    }


def count(fate: str, number: int, reason: str | None = None, kind: str | None = None) -> dict[str, Any]:
    return {"fate": fate, "reason": reason, "kind": kind, "count": number}


def span(first: int, last: int, after: int, records: int) -> dict[str, Any]:
    ends = {"first_offset": first, "last_offset": last, "next_offset": after}
    return {"topic": TOPIC, **ends, "records": records}


def batches() -> list[dict[str, Any]]:
    """Offsets 0, 1, 3, 4 (2 is a control record) in the first batch, 5 to 7 in the second, 9 undecided."""
    first = {
        "partition": 0,
        "inputs": [span(0, 4, 5, 4)],
        "consent_next_offset": 3,
        "decided_at": 0,
        "policy_version": "1",
        "counts": [
            count("NOTIFY", 1, kind="RECEIPT"),
            count("REJECT", 1, "UNDECODABLE"),
            count("SUPPRESS", 2, "NO_CONSENT"),
        ],
        "no_consent_runs": [{"topic": TOPIC, "first_offset": 1, "last_offset": 3, "records": 2}],
        "decisions": [
            row(0, "SUPPRESS", "user:a", reason="PURPOSE", kind="RECEIPT"),
            row(0, "NOTIFY", "user:b", kind="RECEIPT", notification_id="n-0"),
            row(4, "REJECT", None, reason="UNDECODABLE"),
        ],
        "previous_hash": "",
    }
    second = {
        **first,
        "inputs": [span(5, 7, 8, 3)],
        "decided_at": 1,
        "counts": [
            count("NOTIFY", 1, kind="REFUND"),
            count("DUPLICATE", 1),
            count("SUPPRESS", 1, "REVOKED"),
        ],
        "no_consent_runs": [],
        "decisions": [
            row(5, "DUPLICATE", None),
            row(6, "SUPPRESS", reason="REVOKED"),
            row(7, "NOTIFY", kind="REFUND", notification_id="n-7"),
        ],
    }
    return [first, second]


def told(offset: int, notification_id: str, recipient: str, kind: str) -> Told:
    position = Position("messenger-delivery", 1, offset)
    return Told(position, recipient, notification_id, recipient, kind, Position(TOPIC, 0, offset))


def evidence(values: list[dict[str, Any]]) -> Evidence:
    sound, previous = [], ""
    for value in values:
        sound.append(sealed({**value, "previous_hash": previous}))
        previous = sound[-1].value["hash"]
    logs = {(topic, 0): Log(0, []) for topic in ("bank.balances", "bank.security", "shipping.events")}
    return Evidence(
        batches=sound,
        logs={**logs, (TOPIC, 0): Log(0, [0, 1, 3, 4, 5, 6, 7, 9])},
        told=[told(0, "n-0", "user:b", "RECEIPT"), told(7, "n-7", "user:a", "REFUND")],
        dead_letters=[Position(TOPIC, 0, 4), Position("consent.requests", 0, 4)],
    )


def checked(found: Evidence, *, is_exactly_once: bool = True) -> Report:
    return Conservation(found, is_exactly_once=is_exactly_once).run()


def test_sound_topics_are_conserved_and_counted_by_fate() -> None:
    report = checked(evidence(batches()))
    assert report.violations == []
    assert report.as_json() == {
        "conserved": True,
        "violations": [],
        "violation_count": 0,
        "events": 7,
        "undecided": 1,
        "repeated": 0,
        "notices": 0,
        "notifications": {"RECEIPT": 1, "REFUND": 1},
        "suppressed": {"NO_CONSENT": 2, "REVOKED": 1},
        "dead_letters": {"UNDECODABLE": 1},
        "duplicates": 1,
    }


def drop_decision(values: list[dict[str, Any]]) -> None:
    del values[0]["decisions"][1]


def drop_last_holder(values: list[dict[str, Any]]) -> None:
    del values[1]["decisions"][1]


def count_another_reason(values: list[dict[str, Any]]) -> None:
    values[1]["counts"][2]["reason"] = "EXPIRED"


def decide_twice(values: list[dict[str, Any]]) -> None:
    values[1]["inputs"][0]["first_offset"] = 4
    values[1]["inputs"][0]["records"] = 4
    values[1]["decisions"].append(row(4, "REJECT", None, reason="UNDECODABLE"))
    values[1]["counts"].append(count("REJECT", 1, "UNDECODABLE"))


def skip_a_record(values: list[dict[str, Any]]) -> None:
    values[1]["inputs"][0]["first_offset"] = 6
    values[1]["inputs"][0]["records"] = 2
    del values[1]["decisions"][0]
    del values[1]["counts"][1]


def skip_the_last_record(values: list[dict[str, Any]]) -> None:
    values[1]["inputs"] = [span(5, 6, 8, 2)]
    del values[1]["decisions"][2]
    del values[1]["counts"][0]


def decide_a_hole(values: list[dict[str, Any]]) -> None:
    values[0]["decisions"].append(row(2, "DUPLICATE", None))


def decide_and_run(values: list[dict[str, Any]]) -> None:
    values[0]["decisions"].append(row(1, "SUPPRESS", reason="NO_CONSENT"))


def one_holder_twice(values: list[dict[str, Any]]) -> None:
    values[1]["decisions"].append(row(6, "SUPPRESS", reason="REVOKED"))


def state_more_records(values: list[dict[str, Any]]) -> None:
    values[1]["inputs"][0]["records"] = 4


def a_run_too_short(values: list[dict[str, Any]]) -> None:
    values[0]["no_consent_runs"][0]["records"] = 3


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (drop_decision, "counts"),
        (drop_last_holder, "coverage"),
        (count_another_reason, "counts"),
        (decide_twice, "coverage"),
        (skip_a_record, "coverage"),
        (skip_the_last_record, "coverage"),
        (decide_a_hole, "coverage"),
        (decide_and_run, "coverage"),
        (one_holder_twice, "coverage"),
        (state_more_records, "coverage"),
        (a_run_too_short, "coverage"),
    ],
)
def test_one_change_to_the_decisions_is_a_violation(
    change: Callable[[list[dict[str, Any]]], None], check: str
) -> None:
    values = copy.deepcopy(batches())
    change(values)
    report = checked(evidence(values))
    assert not report.is_conserved
    assert any(violation.startswith(f"{check}: ") for violation in report.violations), report.violations


def test_a_dropped_notification_is_a_violation() -> None:
    found = evidence(batches())
    del found.told[0]
    assert checked(found).violations == [f"notification: {TOPIC}/0/0: decided NOTIFY, but not sent so"]


def test_a_notification_sent_twice_is_a_violation_unless_repeats_are_promised() -> None:
    found = evidence(batches())
    found.told.append(found.told[0])
    assert checked(found).violations == [f"notification: {TOPIC}/0/0: sent, but not decided so"]
    assert checked(found, is_exactly_once=False).violations == []


@pytest.mark.parametrize(
    "wrong",
    [
        told(5, "n-5", "user:a", "RECEIPT"),
        told(1, "n-1", "user:a", "RECEIPT"),
        told(0, "n-0", "user:b", "REFUND"),
        told(0, "n-0", "user:b", "RECEIPT")._replace(key="user:c"),
        told(0, "n-0", "user:b", "RECEIPT")._replace(source=None),
    ],
)
def test_a_notification_that_was_not_decided_so_is_a_violation(wrong: Told) -> None:
    found = evidence(batches())
    if wrong.notification_id == "n-0":
        found.told[0] = wrong
    else:
        found.told.append(wrong)
    violations = checked(found).violations
    assert violations
    assert all(one.startswith("notification: ") for one in violations)


def test_a_notification_past_the_last_decision_is_not_judged() -> None:
    found = evidence(batches())
    found.told.append(told(9, "n-9", "user:a", "RECEIPT"))
    assert checked(found).is_conserved


def test_every_reject_has_one_dead_letter_and_no_other_record_has_one() -> None:
    missing, other, twice = (evidence(batches()) for _ in range(3))
    missing.dead_letters.clear()
    other.dead_letters.append(Position(TOPIC, 0, 5))
    twice.dead_letters.append(Position(TOPIC, 0, 4))
    assert checked(missing).violations == [f"dead_letter: {TOPIC}/0/4: rejected without a dead letter"]
    assert checked(other).violations == [f"dead_letter: {TOPIC}/0/5: a dead letter that no REJECT asked for"]
    assert not checked(twice).is_conserved


def test_a_batch_that_is_missing_or_changed_breaks_the_chain() -> None:
    third = {**batches()[1], "inputs": [span(9, 9, 10, 1)], "decided_at": 2}
    third |= {"counts": [count("DUPLICATE", 1)], "decisions": [row(9, "DUPLICATE", None)]}
    whole = evidence([*batches(), third])
    assert checked(whole).violations == []
    del whole.batches[1]
    assert any(
        one.startswith("chain: notifier.decisions/0/2: previous_hash") for one in checked(whole).violations
    )
    changed = evidence(batches())
    one = changed.batches[1]
    body = one.body.replace(b"user:a", b"user:b")
    changed.batches[1] = one._replace(body=body)
    assert checked(changed).violations == ["chain: notifier.decisions/0/1: hash is not that of the batch"]


def test_a_chain_whose_head_has_expired_is_judged_from_the_first_batch_kept() -> None:
    found = evidence(batches())
    del found.batches[0]
    found.logs[TOPIC, 0] = Log(5, [5, 6, 7, 9])
    found.is_from_start = False
    found.told = found.told[1:]
    assert checked(found).violations == []


def test_a_repeat_counts_once_and_needs_at_least_once() -> None:
    values = batches()
    again = {**copy.deepcopy(values[1]), "decided_at": 2}
    found = evidence([*values, again])
    assert any(one.startswith("coverage: ") for one in checked(found).violations)
    report = checked(found, is_exactly_once=False)
    assert (report.violations, report.events, report.repeated) == ([], 7, 3)


def test_what_cannot_be_read_is_a_violation() -> None:
    found = evidence(batches())
    found.unreadable.append(Position("messenger-delivery", 2, 8))
    assert checked(found).violations == ["readable: messenger-delivery/2/8: cannot be read"]


def test_a_previous_hash_that_is_no_hash_matches_nothing() -> None:
    assert batch_hash(b"x" * 70, "not hexadecimal") == ""


def test_bytes_left_over_and_values_that_end_early_are_broken() -> None:
    reader = Reader(load_schema("decision_batch"))
    body = sealed(batches()[0]).body
    assert reader.read(body)["partition"] == 0
    with pytest.raises(BrokenValueError):
        reader.read(body + b"\x00")
    for size in range(len(body)):
        with pytest.raises(BrokenValueError):
            reader.read(body[:size])
