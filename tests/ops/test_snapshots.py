"""Snapshots of what workers remember: sealed, whole, and without whoever was erased since."""

import asyncio
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams.core.consent import ConsentState
from streams.core.pseudonyms import SALT_BYTES
from streams.errors import CheckFailedError
from streams.kafka.admin import apply_topics
from streams.kafka.broker import RunningBroker
from streams.kafka.partition_store import MARKER_KEY, PartitionStore
from streams.kernel.subjects import PlainSubjects
from streams.ops.snapshots import SnapshotFolder, Taken, forget, newest_before
from streams.settings import Settings
from streams.wire.codec import PositionMarker, encode_consent_state, encode_position_marker
from streams.wire.partition import partition_of
from streams.wire.topics import CONSENT_STATE, NOTIFIER_STATE

pytestmark = pytest.mark.broker
PARTITIONS, DAY_MS = 4, 86_400_000
FIRST, SECOND = "snapshot:one", "snapshot:two"
NUMBER = partition_of(FIRST.encode(), PARTITIONS)
MARKER = PositionMarker("cluster", NUMBER, (), "head", 5)


@pytest.fixture
def settings(broker: RunningBroker, tmp_path: Path) -> Settings:
    found = Settings.from_env({"NOTIFIER_HOME": str(tmp_path)}, kafka=broker.bootstrap)
    asyncio.run(apply_topics(found))
    return found


def keep(settings: Settings, subject: str, salt: int) -> None:
    """Write a subject's consents, and the position marker, as a worker does."""
    value = encode_consent_state(ConsentState(subject, (), suspended=True, salt=bytes([salt]) * SALT_BYTES))
    producer = Producer({"bootstrap.servers": settings.kafka})
    producer.produce(
        CONSENT_STATE, value, subject.encode(), partition=partition_of(subject.encode(), PARTITIONS)
    )
    producer.produce(NOTIFIER_STATE, encode_position_marker(MARKER), MARKER_KEY, partition=NUMBER)
    assert producer.flush(10) == 0


def take(settings: Settings, at_ms: int, keep_days: int = 31) -> Taken:
    async def taking() -> Taken:
        return await (await SnapshotFolder.of(settings)).take(settings, keep_days, lambda: at_ms)

    return asyncio.run(taking())


def kept(settings: Settings, before_ms: int) -> dict[str, PartitionStore]:
    """Return the stores of both subjects, filled from the newest snapshot before a time."""
    found = asyncio.run(newest_before(settings, before_ms))
    assert found is not None
    assert found.taken_ms < before_ms
    stores = {}
    for subject in (FIRST, SECOND):
        stores[subject] = PartitionStore(PlainSubjects())
        found.fill(stores[subject], partition_of(subject.encode(), PARTITIONS))
    return stores


def has(settings: Settings, before_ms: int, subject: str) -> bool:
    return kept(settings, before_ms)[subject].consent_state(subject.encode()) is not None


def test_a_snapshot_is_sealed_and_gives_back_what_was_remembered(settings: Settings) -> None:
    keep(settings, FIRST, 1)
    keep(settings, SECOND, 1)
    assert asyncio.run(newest_before(settings, 10)) is None, "there is none yet"
    taken = take(settings, 10)
    assert (taken.taken_ms, taken.partitions) == (10, PARTITIONS)
    assert taken.subjects >= 2
    assert asyncio.run(newest_before(settings, 10)) is None, "one of that moment is not before it"
    assert has(settings, 11, FIRST)
    assert has(settings, 11, SECOND)
    assert kept(settings, 11)[FIRST].marker == MARKER
    written = b"".join(path.read_bytes() for path in settings.home.rglob("*") if path.is_file())
    assert b"snapshot:" not in written
    assert all(path.stat().st_mode & 0o077 == 0 for path in (settings.home / "snapshots").iterdir())


def test_who_was_erased_leaves_older_snapshots_with_the_next(settings: Settings) -> None:
    keep(settings, FIRST, 1)
    keep(settings, SECOND, 1)
    take(settings, 10)
    keep(settings, FIRST, 2)
    assert take(settings, 20).forgotten == 1
    assert (has(settings, 11, FIRST), has(settings, 11, SECOND)) == (False, True)
    assert has(settings, 21, FIRST), "who came back is in the newest"
    assert asyncio.run(forget(settings, [SECOND])) == 2, "one in each"
    assert not has(settings, 11, SECOND)
    assert not has(settings, 21, SECOND)
    assert take(settings, 20 + 3 * DAY_MS, keep_days=2).removed == 2
    assert asyncio.run(newest_before(settings, 21)) is None


def test_a_snapshot_of_another_key_is_refused_with_the_cure(settings: Settings) -> None:
    keep(settings, FIRST, 1)
    take(settings, 10)
    (settings.home / "snapshots" / "key").write_bytes(bytes(32))
    with pytest.raises(CheckFailedError, match="its key is another: delete it"):
        kept(settings, 11)
