import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.kafka.probe import is_ready

NO_ERROR, ERROR_35 = b"\x00\x00", b"\x00\x23"
ONE_BROKER, NO_BROKER = b"\x00\x00\x00\x01", b"\x00\x00\x00\x00"


def _framed(body: bytes) -> bytes:
    return struct.pack(">ii", 4 + len(body), 1) + body


@contextmanager
def _server(*answers: bytes) -> Iterator[int]:
    """Answer the requests of one connection with these bytes in turn and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for answer in answers:
                    connection.recv(1024)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_broker_that_knows_itself_is_ready() -> None:
    with _server(_framed(NO_ERROR), _framed(ONE_BROKER)) as port:
        assert is_ready("127.0.0.1", port)


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (_framed(b""), _framed(ONE_BROKER)),
        (_framed(ERROR_35), _framed(ONE_BROKER)),
        (_framed(NO_ERROR), _framed(NO_BROKER)),
        (_framed(NO_ERROR), _framed(ONE_BROKER)[:-1]),
    ],
    ids=["hang up", "another protocol", "empty answer", "error code", "no broker yet", "cut answer"],
)
def test_who_does_not_answer_as_a_ready_broker_is_not_ready(answers: tuple[bytes, ...]) -> None:
    with _server(*answers) as port:
        assert not is_ready("127.0.0.1", port)


def test_closed_port_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not is_ready("127.0.0.1", port)
