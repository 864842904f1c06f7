"""A connection that was closed under aiokafka's hands is a broken connection, under uvloop too."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from streams.kafka import closed_connections

uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed (extra `fast`)")


async def write_after_close() -> AIOKafkaConnection:
    """Connect to a server of our own, close the transport below, and send a request."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = AIOKafkaConnection("127.0.0.1", port)
        connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
        connection._read_task = asyncio.create_task(asyncio.sleep(60))
        connection._writer.transport.abort()
        await asyncio.sleep(0.05)
        try:
            connection.send(ApiVersionRequest())
        finally:
            connection._read_task = None
        return connection


def test_a_request_on_a_closed_connection_says_that_it_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What uvloop raises by itself is nothing that aiokafka catches."""
    monkeypatch.setattr(AIOKafkaConnection, "send", AIOKafkaConnection.send)  # put back at the end
    closed_connections.install()
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(KafkaConnectionError, match="was closed already"),
    ):
        runner.run(write_after_close())


@pytest.mark.parametrize("error", [NotImplementedError, IncompatibleBrokerVersion])
def test_what_a_healthy_connection_cannot_send_is_raised_as_it_is_and_closes_nothing(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(closed_connections, "_send", refused)
    monkeypatch.setattr(AIOKafkaConnection, "send", AIOKafkaConnection.send)  # put back at the end
    closed_connections.install()
    connection = SimpleNamespace(close=lambda **_: pytest.fail("it was closed"))
    with pytest.raises(error):
        AIOKafkaConnection.send(connection, ApiVersionRequest())
