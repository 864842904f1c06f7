"""What a store took in without reading it is compared with the log."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

from streams.kafka.admin import apply_topics
from streams.kafka.broker import RunningBroker
from streams.kafka.partition_store import MARKER_KEY, PartitionStore
from streams.kafka.record_batches import install
from streams.kafka.restorer import Restorer
from streams.kafka.transactions import TransactionalProducer, _builder
from streams.kafka.worker_connections import Connections
from streams.kafka.write_set import WriteSet
from streams.kernel.subjects import PlainSubjects
from streams.settings import Settings
from streams.wire.codec import PositionMarker, encode_position_marker
from streams.wire.topics import BANK_TRANSACTIONS, NOTIFIER_STATE

pytestmark = pytest.mark.broker
PARTITION = 0
INPUT = TopicPartition(BANK_TRANSACTIONS, PARTITION)
SLOT = (NOTIFIER_STATE, PARTITION)
MARKER = PositionMarker("cluster", PARTITION, (), "head", 1)


def test_memory_of_what_was_aborted_is_not_in_the_log(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MemoryRecords", "PartitionRecords"):  # put back after the test
        monkeypatch.setattr(fetcher, name, getattr(fetcher, name))
    install()
    settings = Settings.from_env({"NOTIFIER_APP_ID": "restorer"}, kafka=broker.bootstrap)
    quiet = SimpleNamespace(restore_progress=lambda *_: None)
    shared = cast("Connections", SimpleNamespace(settings=settings, observer=quiet))
    restorer = Restorer(shared, PARTITION)
    store = PartitionStore(PlainSubjects())
    marker = WriteSet()
    marker.add(*SLOT, MARKER_KEY, encode_position_marker(MARKER))

    async def story() -> None:
        await apply_topics(settings)
        owner = TransactionalProducer(settings, "subject", PARTITION, [SLOT])
        await owner.open()
        assert await restorer.is_in_log(store), "it remembers nothing"
        end = (await owner.transact([marker], {INPUT: 1}, settings.app_id))[SLOT]
        store.merge_states({}, MARKER, end)
        await owner.open()  # by then the end markers are written
        assert await restorer.is_in_log(store)
        assert owner._requests is not None
        await owner._requests.produce(marker.batches(_builder, is_transactional=True))
        store.merge_states({}, MARKER, end + 2)  # an end marker stands between
        await owner.open()
        assert not await restorer.is_in_log(store)
        store.marker_at = None
        assert await restorer.is_in_log(store), "what was read from the log is in it"
        await owner.close()

    asyncio.run(asyncio.wait_for(story(), 60))
