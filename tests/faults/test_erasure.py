"""What was erased is gone: no byte of it is left on the broker's disk after the time that the receipt states.

Retention, segments and compaction are scaled down to seconds and nothing is compressed, so that files can be
searched; before the erasure the same search finds every planted value in every topic that held it. Nothing
comes after the erasure: worker ticks alone have Kafka compact its logs.
"""

import contextlib
import json
import sqlite3
import time
from datetime import datetime
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from streams.ops.keys import create_keys
from streams.wire.topics import TOPICS
from tests.harness.cluster import TREE, Cluster, cluster, figures
from tests.harness.messages import acknowledged, consent, decoded_all, now_ms, request, transaction
from tests.harness.worker import Worker, notifier

pytestmark = [pytest.mark.broker, pytest.mark.faults, pytest.mark.timeout(240)]

EVIDENCE = "consent.evidence"
SUBJECT, USER = "bank:erase-me-4711", "user:Erasmus-4711"
PLANTED = {
    "subject": SUBJECT,
    "user": USER,
    "channel": "psid:Erasmus-4711",
    "consent": "consent:of-Erasmus-4711",
    "event": "event-of-Erasmus-4711",
    "merchant": "Erasmus Bookshop 4711",
}
BROKER = {
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "log.cleaner.backoff.ms": "200",
}
SCALED = {
    "segment.ms": "2000",
    "file.delete.delay.ms": "500",
    "compression.type": "uncompressed",
    "message.timestamp.after.max.ms": "1000",
}
COMPACTED = {
    "max.compaction.lag.ms": "3000",
    "delete.retention.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
}
SOURCES = {
    "bank.transactions": {"subject", "event", "merchant"},
    "consent.requests": {"subject", "user", "channel", "consent"},
    "consent.state": {"subject", "user", "channel", "consent"},
    "consent.results": {"subject", "user"},
    "messenger-delivery": {"user", "channel", "consent", "event", "merchant"},
    "notifier.decisions": {"event", "consent"},
    "notifier.state": {"subject"},
    "notifier.dead-letters": {"subject"},
    EVIDENCE: set(),
}
"""Which planted values each topic holds before the erasure."""


def test_no_byte_is_left_after_the_time_that_the_receipt_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_COMPACTION_TICK_S", "1")  # nothing else keeps the logs moving
    home = tmp_path / "home"
    monkeypatch.setenv("NOTIFIER_HOME", str(home))
    keys = create_keys("receipts", tmp_path / "keys")
    with (
        cluster(tmp_path / "kafka", partitions=1, properties=BROKER) as at,
        Worker(at.bootstrap, tmp_path / "worker.log", cwd=TREE) as worker,
    ):
        worker.wait_ready()
        scale(at, retention_ms=600_000)
        given = consent(consent_id=PLANTED["consent"], channel_ref=PLANTED["channel"])
        producer = at.producer()
        acknowledged(
            producer, "consent.requests", [(SUBJECT, request(SUBJECT, "GRANT", USER, consent=given))]
        )
        event = transaction(SUBJECT, PLANTED["event"], merchant_name=PLANTED["merchant"], lifecycle_id="life")
        acknowledged(producer, "bank.transactions", [(SUBJECT, event), (SUBJECT, event + b"\x02")])
        found_all = {}
        for _ in range(100):
            found_all = {topic: found_in(at, topic) for topic in SOURCES}
            if found_all == SOURCES:
                break
            time.sleep(0.2)
        assert found_all == SOURCES, "the search does not find what is there"

        for kept in (("snapshot",), ("explain", PLANTED["event"], "--index")):
            assert notifier(*kept, "--kafka", at.bootstrap).returncode == 0
        assert entries_in(home) == 3, "consents, and two chunks of memory"
        scale(at, retention_ms=5_000)
        done = notifier(
            "consent", "erase", SUBJECT, "--key", str(keys.private), "--json", "--kafka", at.bootstrap
        )
        assert done.returncode == 0, done.stderr
        receipt = json.loads(done.stdout)["receipt"]
        latest = {one["topic"]: moment(one["latest"]) for one in receipt["topics"]}
        assert set(latest) == {topic.name for topic in TOPICS} - {EVIDENCE}
        left = dict(latest)
        gone: dict[str, float] = {}
        while left:
            now = now_ms()
            for topic, until in list(left.items()):
                if not found_in(at, topic):
                    gone.setdefault(topic, (now - until) / 1000)
                else:
                    gone.pop(topic, None)
                if now > until:
                    assert topic in gone, f"{topic} still has {found_in(at, topic)}"
                    del left[topic]
            time.sleep(0.2)
        early = {topic: -round(seconds, 1) for topic, seconds in gone.items()}
        figures(f"gone so many seconds before the receipt's time: {early}")
        evidence = decoded_all(at, "consent_evidence", EVIDENCE)
        assert [one["action"] for one in evidence if one["action"] == "ERASE"] == ["ERASE"]
        assert worker.terminate() == 0
        assert entries_in(home) == 0
        everywhere = bytes_of(at.running.home / "data") + bytes_of(home)
        assert not [name for name, value in PLANTED.items() if value.encode() in everywhere]
        assert not [name for name, value in PLANTED.items() if value in worker.log.read_text()]


def found_in(at: Cluster, topic: str) -> set[str]:
    """Return which planted values stand in the files of a topic."""
    data = bytes_of(at.running.home / "data" / f"{topic}-0")
    return {name for name, value in PLANTED.items() if value.encode() in data}


def entries_in(home: Path) -> int:
    """Return how many entries the one snapshot has."""
    (path,) = home.glob("snapshots/*/*.sqlite")
    with contextlib.closing(sqlite3.connect(path)) as database:
        (count,) = database.execute("SELECT COUNT(*) FROM entries").fetchone()
    return int(count)


def bytes_of(folder: Path) -> bytes:
    """Return what all files of a folder hold, also those that wait to be deleted."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # deleted meanwhile
            found.append(path.read_bytes())
    return b"".join(found)


def scale(at: Cluster, retention_ms: int) -> None:
    """Set the topics' times to seconds."""
    admin = AdminClient({"bootstrap.servers": at.bootstrap})
    resources = []
    for topic in (one for one in TOPICS if one.name != EVIDENCE):
        is_compacted = topic.config["cleanup.policy"] == "compact"
        values = SCALED | (COMPACTED if is_compacted else {"retention.ms": str(retention_ms)})
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in values.items()
        ]
        resources.append(ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries))
    for future in admin.incremental_alter_configs(resources).values():
        future.result(20)


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
