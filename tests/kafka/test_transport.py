"""The group member lives on the app's loop: what Faust takes for a thread starts none."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP

from streams.kafka.transport import BatchConsumer, BatchConsumerThread, BatchTransport, Fetched
from streams.kernel.record_batch import RecordBatch


def member() -> BatchConsumerThread:
    """Return what the transport's consumer makes on this loop; nothing is connected."""
    app = faust.App("one-loop", broker="kafka://127.0.0.1:1", store="memory://", web_enabled=False)
    consumer = BatchTransport([], app).create_consumer(
        _nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing
    )
    assert isinstance(consumer, BatchConsumer)
    return consumer._thread


async def _nothing(*_: Any) -> None:
    pass


def test_it_starts_calls_and_stops_on_the_loop_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchConsumerThread, "on_start", _nothing)
    monkeypatch.setattr(BatchConsumerThread, "on_thread_stop", _nothing)

    async def story() -> None:
        before = threading.active_count()
        found = member()
        assert found.thread_loop is asyncio.get_running_loop()
        other = asyncio.create_task(asyncio.sleep(60))
        await found.start()

        async def where() -> int:
            return threading.get_ident()

        assert await found.call_thread(where) == threading.get_ident()
        assert threading.active_count() == before
        await found.stop()
        assert not other.done()
        other.cancel()

    asyncio.run(asyncio.wait_for(story(), 5))


def test_what_ends_its_start_is_raised_by_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_: BatchConsumerThread) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(BatchConsumerThread, "on_start", refused)
    monkeypatch.setattr(BatchConsumerThread, "on_thread_stop", _nothing)

    async def story() -> None:
        with pytest.raises(ConnectionError, match="no broker"):
            await member().start()

    asyncio.run(asyncio.wait_for(story(), 5))


def test_it_stops_also_when_its_member_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_: BatchConsumerThread) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(BatchConsumerThread, "on_start", _nothing)
    monkeypatch.setattr(BatchConsumerThread, "on_thread_stop", refused)

    async def story() -> None:
        found = member()
        await found.start()
        await found.stop()

    asyncio.run(asyncio.wait_for(story(), 5))


def test_a_fetch_is_one_message_of_the_partitions_of_its_own_generation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was fetched before a rebalance may belong to another member now."""

    def batch(partition: int) -> RecordBatch:
        return RecordBatch("t", partition, [4], [0], [b"k"], [b"v"], [()], 4, 5)

    async def story() -> None:
        consumer: Any = member().consumer
        app = consumer.app
        app.carrier = SimpleNamespace(room=asyncio.Event(), saturated=set)
        app.consumer_generation_id = 7
        fetched = {
            TP("t", partition): [Fetched([[batch(partition)]], generation)]
            for partition, generation in ((0, 7), (1, 6), (2, 7))
        }

        async def getmany(**_: Any) -> dict[TP, list[Fetched]]:
            return fetched

        monkeypatch.setattr(consumer, "_getmany", getmany)
        monkeypatch.setattr(consumer, "_get_active_partitions", lambda: set(fetched))
        consumer.flow_active = True
        messages = [message async for _, message in consumer.getmany(1.0)]
        assert [[b.partition for one in m.value.partitions for b in one] for m in messages] == [[0, 2]]
        assert (messages[0].offset, messages[0].generation_id) == (4, 7)

    asyncio.run(asyncio.wait_for(story(), 5))
