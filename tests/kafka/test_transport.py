"""The group member lives on the app's loop: what Faust takes for a thread starts none."""

import asyncio
import threading
from typing import Any

import faust
import pytest

from streams.kafka.transport import BatchConsumer, BatchConsumerThread, BatchTransport


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
