"""The truth table in the core, in the model, which was written apart, and through a real broker."""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from streams.core.codes import Fate, Reason, RefusalReason
from streams.core.policy import make_policy
from streams.core.pseudonyms import SALT_BYTES, user_pseudonym
from streams.kafka.partition_store import PartitionStore
from streams.kernel.fold_batch import Secrets, fold_batches
from streams.kernel.interpret import Interpreter
from streams.kernel.record_batch import RecordBatch
from streams.kernel.subjects import PlainSubjects
from streams.wire.codec import PositionMarker, decode_notification, encode_consent_state
from tests.harness.cluster import TREE, cluster, eventually
from tests.harness.messages import Position, Record, decided_to, decode, now_ms, sent
from tests.harness.worker import Worker
from tests.truth.table import Case, Found, Step, check, table
from verifier.model.pseudonyms import pseudonym
from verifier.model.rules import Model
from verifier.model.rules import Record as ModelRecord
from verifier.recording import record

BANK, REQUESTS = "bank.transactions", "consent.requests"
START_MS, STEP_MS = 1_772_712_000_000, 100
SALT = bytes(SALT_BYTES)
TABLE = table()


def test_the_table_has_what_was_asked_for() -> None:
    assert len(TABLE) >= 40
    assert len({case.name for case in TABLE}) == len(TABLE)


def run(
    case: Case,
    fold: Callable[[bytes, bytes, int, int], str | None],
    decide: Callable[[bytes, bytes, int, int], Found],
) -> None:
    """Run a case on a clock of its own, step by step."""
    now, key = START_MS, case.subject.encode()
    case.appended = []
    for number, step in enumerate(case.steps):
        now += STEP_MS
        if step.kind == "wait":
            now += step.told["ms"]
        elif step.kind == "event":
            check(case, number, decide(key, case.event(step, number, now), number, now))
        else:
            refused = fold(key, case.request(step, now), number, now)
            case.appended.append(now)
            assert refused == step.expected, f"{case.name}, step {number}"


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name.replace(" ", "-"))
def test_the_core_says_what_the_table_says(case: Case) -> None:
    store, policy = PartitionStore(PlainSubjects()), make_policy()
    kernel = Interpreter("notifier", 0, 1, policy, replay=False)

    def fold(key: bytes, value: bytes, offset: int, now: int) -> str | None:
        asked = RecordBatch(REQUESTS, 0, [offset], [now], [key], [value], [()], offset, offset + 1)
        folded = fold_batches([asked], store, 1, policy, Secrets(lambda: SALT))
        states = {one: state and encode_consent_state(state) for one, state in folded.changes.items()}
        store.merge_consents(states, (), 0)
        store.merge_answers(folded.seen, 0)
        reason = folded.answers[0][1].reason
        return None if reason is None else RefusalReason(reason).name

    def decide(key: bytes, value: bytes, offset: int, now: int) -> Found:
        events = RecordBatch(BANK, 0, [offset], [now], [key], [value], [()], offset, offset + 1)
        result = kernel.decide([events], store, 0, now)
        store.merge_states(result.states, PositionMarker("", 0, (), "", 0), 0)
        names = {user_pseudonym(SALT, name): name for name in ("anna", "ben")}
        outcomes = {names.get(row.holder or "", ""): _said(row.outcome, row.reason) for row in result.rows}
        told = [decode_notification(output.value)._asdict() for output in result.outputs]
        shown = next((one for one in told if one["recipient"] == "anna"), None)
        return Found(outcomes or {"": "NO_CONSENT"}, shown)

    run(case, fold, decide)


def _said(fate: int, reason: int | None) -> str:
    return Fate(fate).name if reason is None else Reason(reason).name


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name.replace(" ", "-"))
def test_the_model_says_what_the_table_says(case: Case) -> None:
    model = Model(0, 1)

    def fold(key: bytes, value: bytes, offset: int, now: int) -> str | None:
        answer = model.fold(key, value, now, offset)
        assert answer is not None
        return answer.reason

    def decide(key: bytes, value: bytes, offset: int, now: int) -> Found:
        rows = model.decide(ModelRecord(BANK, 0, offset, key, value), now)
        outcomes = {row.holder or "": row.reason or row.outcome for row in rows}
        return Found(outcomes, next((row.notification for row in rows if row.holder == "anna"), None))

    run(case, fold, decide)


class Sent(NamedTuple):
    """An event of a case that was sent: which step, and where it stands."""

    case: Case
    number: int
    place: Position


@pytest.mark.broker
@pytest.mark.timeout(180)
def test_a_worker_says_what_the_table_says(tmp_path: Path) -> None:
    cases, events = table(), list[Sent]()
    refused: dict[Position, tuple[Case, int]] = {}
    with cluster(tmp_path / "kafka") as at, Worker(at.bootstrap, tmp_path / "log", cwd=TREE) as worker:
        worker.wait_ready()
        producer = at.producer()
        for wave in range(max(len(case.steps) for case in cases)):
            due = [(case, case.steps[wave]) for case in cases if wave < len(case.steps)]
            asked = [(case, step) for case, step in due if step.kind not in ("event", "wait")]
            places = sent(producer, [_request(case, step) for case, step in asked])
            times = _appended(at, places)
            for (case, _), place in zip(asked, places, strict=True):
                case.appended.append(times[place])
                refused[place] = case, wave
            time.sleep(max([step.told["ms"] for _, step in due if step.kind == "wait"], default=20) / 1000)
            happened = [case for case, step in due if step.kind == "event"]
            records = [
                Record(BANK, case.subject, case.event(case.steps[wave], wave, now_ms())) for case in happened
            ]
            found = sent(producer, records)
            events += [Sent(case, wave, place) for case, place in zip(happened, found, strict=True)]
            eventually("events are decided", partial(_all_decided, at, found))
        assert worker.terminate() == 0
        answers = {
            (one["subject"], one["request_offset"]): one["reason"]
            for one in (decode("consent_result", item.value() or b"") for item in at.read("consent.results"))
        }
        for place, (case, number) in refused.items():
            said = answers[case.subject, place.offset]
            assert said == case.steps[number].expected, f"{case.name}, step {number}"
        _check_events(at.bootstrap, events)


def _request(case: Case, step: Step) -> Record:
    return Record(REQUESTS, case.subject, case.request(step, now_ms()))


def _appended(at: Any, places: list[Position]) -> dict[Position, int]:
    wanted = set(places)
    return {
        place: item.timestamp()[1]
        for item in at.read(REQUESTS)
        if (place := Position(REQUESTS, item.partition() or 0, item.offset() or 0)) in wanted
    }


def _all_decided(at: Any, places: list[Position]) -> bool:
    reached = decided_to(at)
    return all(reached.get(place[:2], 0) > place.offset for place in places)


def _check_events(bootstrap: str, events: list[Sent]) -> None:
    recording = record(bootstrap)
    rows: dict[Position, list[dict[str, Any]]] = defaultdict(list)
    for batches in recording.batches.values():
        for batch in batches:
            for row in batch["decisions"]:
                rows[Position(row["topic"], batch["partition"], row["offset"])].append(row)
    shown = {one.source: one.value for one in recording.sent if one.key == "anna"}
    for case, number, place in events:
        salts = recording.salts.get(case.subject.encode(), [])
        names = {pseudonym(salt, "u", name): name for _, salt in salts for name in ("anna", "ben")}
        outcomes = {
            names.get(row["holder"] or "", ""): row["reason"] or row["outcome"] for row in rows[place]
        }
        check(case, number, Found(outcomes or {"": "NO_CONSENT"}, shown.get(place)))
