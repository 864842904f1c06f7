"""The commands against a real Kafka; the worker's side of a conversation is played by records put there."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.core.codes import Fate, Kind, Reason
from streams.kafka.broker import RunningBroker, start_broker
from streams.wire.codec import (
    DecisionBatch,
    DecisionRow,
    InputRange,
    OffsetRun,
    encode_decision_batch,
    encode_notification,
)
from streams.wire.partition import partition_of
from streams.wire.topics import TOPICS
from tests.cli.conftest import Run
from tests.delivery.notifications import told

pytestmark = pytest.mark.broker

TRANSACTIONS = "bank.transactions"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A Kafka of this file's own: what the doctor is to find must disturb no other test."""
    limits = {"group.min.session.timeout.ms": "5500", "transaction.max.timeout.ms": "60000"}
    with start_broker(tmp_path_factory.mktemp("broker"), partitions=2, properties=limits) as running:
        yield running


@pytest.fixture
def topics(kafka: RunningBroker, notifier: Run) -> str:
    """The address of a Kafka with all topics."""
    assert notifier("topics", "apply", "--kafka", kafka.bootstrap, NOTIFIER_PARTITIONS="2").code == 0
    return kafka.bootstrap


def _put(kafka: str, topic: str, partition: int, *values: bytes, key: bytes = b"key") -> list[int]:
    async def put() -> list[int]:
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            return [(await producer.send_and_wait(topic, one, key, partition)).offset for one in values]

    return asyncio.run(put())


def _batch(first: int, rows: tuple[DecisionRow, ...] = (), runs: tuple[OffsetRun, ...] = ()) -> bytes:
    read = InputRange(TRANSACTIONS, first, first + 1, first + 2, 2)
    return encode_decision_batch(DecisionBatch(1, (read,), 0, 1_700_000_000_000, "1", (), runs, rows), "")[0]


def test_missing_topics_are_named_with_their_cure_then_made(kafka: RunningBroker, notifier: Run) -> None:
    address = ("--kafka", kafka.bootstrap)
    missing = notifier("tail", *address)
    if missing.code == 4:  # the first test to come here finds none
        assert "has no topic messenger-delivery. Run `notifier topics apply`." in missing.err
        rows = json.loads(notifier("topics", "list", "--json", *address).out)
        assert all(row["partitions"] is None and "missing" in row["problems"][0] for row in rows)
    notifier("topics", "apply", *address, NOTIFIER_PARTITIONS="2")
    applied = json.loads(notifier("topics", "apply", "--json", *address).out)
    assert applied == {"created": [], "existing": [one.name for one in TOPICS], "problems": []}
    rows = json.loads(notifier("topics", "list", "--json", *address).out)
    assert {row["topic"]: row["partitions"] for row in rows} == {one.name: 2 for one in TOPICS}
    assert len(notifier("topics", "list", *address).out.splitlines()) == len(TOPICS)


def test_tail_shows_words_then_json_and_ends_when_told(topics: str, notifier: Run) -> None:
    notification = told("BALANCE", booked_minor=100, currency="EUR")
    _put(topics, "messenger-delivery", 0, b"broken", encode_notification(notification))
    arguments = ("tail", "--from-beginning", "--max", "1", "--timeout", "20", "--kafka", topics)
    result = notifier(*arguments)
    assert result.code == 0
    assert "user:recipient  Your balance is €1.00." in result.out
    assert "messenger-delivery/0/0 is no notification" in result.err
    line = json.loads(notifier(*arguments, "--json").out)
    assert (line["notification_id"], line["partition"], line["offset"]) == (
        notification.notification_id,
        0,
        1,
    )
    assert notifier("tail", "--timeout", "0.5", "--kafka", topics).out == ""


def test_explain_finds_by_id_and_by_position_what_was_decided_and_what_was_not(
    topics: str, notifier: Run
) -> None:
    first = _put(topics, TRANSACTIONS, 1, *[b"value"] * 5)[0]
    row = DecisionRow(
        TRANSACTIONS, first, "e-77", "u", Fate.SUPPRESS, Reason.REVOKED, "revoked", Kind.RECEIPT, "c", 1, None
    )
    run = OffsetRun(TRANSACTIONS, first + 1, first + 1, 1)
    _put(topics, "notifier.decisions", 1, _batch(first, (row,), (run,)), _batch(first + 2))

    def outcomes(asked: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(notifier("explain", asked, "--json", "--kafka", topics).out)
        return found

    by_id, by_position = outcomes("e-77"), outcomes(f"{TRANSACTIONS}/1/{first}")
    assert by_id == by_position
    assert (by_id[0]["outcome"], by_id[0]["holders"][0]["reason"]) == ("suppressed", "REVOKED")
    shown = {
        offset: outcomes(f"{TRANSACTIONS}/1/{offset}")[0]["outcome"] for offset in range(first + 1, first + 6)
    }
    assert list(shown.values()) == ["not_opened", "absent", "absent", "undecided", "absent"]
    assert outcomes("nobody-knows")[0]["outcome"] == "unknown"
    assert notifier("explain", "nobody-knows", "--kafka", topics).code == 1
    assert notifier("explain", f"{TRANSACTIONS}/9/0", "--kafka", topics).code == 4


def test_an_unopened_event_is_found_by_the_id_in_its_header(
    topics: str, notifier: Run, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    event = {"event_id": "e-88", "subject": "bank:88", "as_of": 1, "booked_minor": 5, "currency": "EUR"}
    file.write_text(json.dumps({"record": "AccountBalance", **event}))
    produced = notifier("produce", str(file), "--format", "jsonl", "--json", "--kafka", topics)
    assert json.loads(produced.out)["published"] == {"bank.balances": 1}
    found = json.loads(notifier("explain", "e-88", "--json", "--kafka", topics).out)
    assert (found[0]["outcome"], found[0]["position"].startswith("bank.balances/")) == ("undecided", True)


def test_a_consent_request_is_stored_though_no_worker_answers(
    topics: str, notifier: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.cli.asking.ANSWER_WAIT_S", 0.5)
    address = ("--kafka", topics)
    waited = notifier("consent", "revoke", "bank:1", *address)
    assert waited.code == 1
    partition = partition_of(b"bank:1", 2)
    assert f"stored at consent.requests/{partition}/" in waited.err
    assert "notifier worker" in waited.err
    left = notifier("consent", "erase", "bank:1", "--no-wait", "--json", *address)
    assert left.code == 0
    assert json.loads(left.out)["outcome"] is None
    assert notifier("consent", "show", "bank:1", *address).code == 1


def test_the_doctor_finds_a_healthy_cluster_healthy_and_leaves_nothing_to_read(
    topics: str, notifier: Run
) -> None:
    before = notifier("tail", "--from-beginning", "--timeout", "1", "--json", "--kafka", topics).out
    found = json.loads(notifier("doctor", "--json", "--kafka", topics).out)
    by_check = {one["check"]: one["ok"] for one in found["findings"] if one["check"] != "partitioner"}
    assert set(by_check.values()) == {True}
    assert notifier("tail", "--from-beginning", "--timeout", "1", "--json", "--kafka", topics).out == before


def test_the_doctor_names_timeouts_that_the_cluster_refuses(topics: str, notifier: Run) -> None:
    environ = {"NOTIFIER_SESSION_TIMEOUT_MS": "5000", "NOTIFIER_TRANSACTION_TIMEOUT_MS": "70000"}
    result = notifier("doctor", "--json", "--kafka", topics, **environ)
    assert result.code == 1
    wrong = {one["found"]: one["cure"] for one in json.loads(result.out)["findings"] if one["ok"] is False}
    session = wrong["NOTIFIER_SESSION_TIMEOUT_MS is 5000, the cluster allows 5500 to 1800000."]
    assert "group.min.session.timeout.ms" in session
    transaction = wrong["NOTIFIER_TRANSACTION_TIMEOUT_MS is 70000, the cluster allows 0 to 60000."]
    assert "transaction.max.timeout.ms" in transaction


def test_the_doctor_names_misrouted_keys_and_wrong_partition_counts(topics: str, notifier: Run) -> None:
    wrong = 1 - partition_of(b"bank:crc32", 2)
    _put(topics, "bank.security", wrong, b"value", key=b"bank:crc32")
    result = notifier("doctor", "--kafka", topics)
    assert result.code == 1
    assert "1 in bank.security" in result.out
    assert "murmur2" in result.out
    asyncio.run(_recreate(topics, "notifier.dead-letters", partitions=3))
    result = notifier("doctor", "--kafka", topics)
    assert result.code == 1
    assert "notifier.dead-letters: It has 3 partitions, others of its key space 2." in result.out
    asyncio.run(_recreate(topics, "notifier.dead-letters", partitions=2))


async def _recreate(kafka: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        for _ in range(100):
            if topic not in await admin.list_topics():
                break
            await asyncio.sleep(0.05)
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


@pytest.mark.timeout(300)
def test_the_demo_ends_with_a_summary_that_an_independent_process_confirms() -> None:
    command = [
        sys.executable,
        "-m",
        "streams.cli",
        "demo",
        "--seconds",
        "5",
        "--rate",
        "60",
        "--no-browser",
        "--json",
    ]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["conserved"] is True
    assert summary["events"] > 100
    assert sum(summary["notifications"].values()) > 20
    assert summary["suppressed"]["NO_CONSENT"] > 10
    assert summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    counted = sum(sum(summary[name].values()) for name in ("notifications", "suppressed", "dead_letters"))
    assert counted + summary["duplicates"] == summary["events"]
    assert "demo: 4/4" in done.stderr
