import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.kafka.probe import is_ready


@contextmanager
def _server(answer: bytes) -> Iterator[int]:
    """Answer the first request of one connection with these bytes and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00\x04\x00\x00\x00\x01",
        b"\x00\x00\x00\x06\x00\x00\x00\x01\x00\x23",
    ],
    ids=["hang up", "another protocol", "empty answer", "error code"],
)
def test_who_does_not_answer_as_a_kafka_broker_is_not_ready(answer: bytes) -> None:
    with _server(answer) as port:
        assert not is_ready("127.0.0.1", port)


def test_closed_port_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not is_ready("127.0.0.1", port)
