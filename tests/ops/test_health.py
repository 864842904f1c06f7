"""The operations port over real sockets: three pages, two methods, small limits."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from streams.errors import ConfigurationError
from streams.ops import health
from streams.ops.health import OpsServer, Readiness
from streams.ops.metrics import Metrics

READY = Readiness(ready=True, reasons=(), details={"partitions": [0, 1]})


def on_server(
    check: Callable[[OpsServer], Awaitable[None]], state: Callable[[], Readiness] = lambda: READY
) -> None:
    async def run() -> None:
        server = OpsServer("127.0.0.1", 0, Metrics(4), state)
        await server.start()
        try:
            await check(server)
        finally:
            await server.stop()

    asyncio.run(run())


async def ask(server: OpsServer, path: str, method: str = "GET", headers: str = "") -> tuple[int, str, bytes]:
    """Send one request on a connection of its own and read until the server closes it."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


def test_livez_answers_while_the_loop_runs_even_when_not_ready() -> None:
    async def check(server: OpsServer) -> None:
        status, _, body = await ask(server, "/livez")
        assert (status, json.loads(body)) == (200, {"alive": True})

    on_server(check, lambda: Readiness(ready=False, reasons=("restoring",), details={}))


def test_readyz_says_why_not_and_turns_with_the_state() -> None:
    states = [
        Readiness(ready=False, reasons=("consent.state-3 is being restored",), details={"restored": 0.4}),
        READY,
    ]

    async def check(server: OpsServer) -> None:
        status, head, body = await ask(server, "/readyz")
        assert status == 503
        assert "application/json" in head
        assert json.loads(body) == {
            "ready": False,
            "reasons": ["consent.state-3 is being restored"],
            "details": {"restored": 0.4},
        }
        status, _, body = await ask(server, "/readyz")
        assert (status, json.loads(body)) == (
            200,
            {"ready": True, "reasons": [], "details": {"partitions": [0, 1]}},
        )

    on_server(check, lambda: states.pop(0))


def test_metrics_are_served_in_the_text_format() -> None:
    async def check(server: OpsServer) -> None:
        status, head, body = await ask(server, "/metrics")
        assert status == 200
        assert "text/plain; version=0.0.4" in head
        assert b"\nnotifier_partitions 4.0\n" in body

    on_server(check)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head_gives_the_status_without_a_body(path: str) -> None:
    async def check(server: OpsServer) -> None:
        status, _, body = await ask(server, path, "HEAD")
        assert (status, body) == (200, b"")

    on_server(check)


@pytest.mark.parametrize("path", ["/", "/table/consent", "/metrics/", "/livez/x", "/../etc/passwd"])
def test_any_other_path_is_not_found(path: str) -> None:
    async def check(server: OpsServer) -> None:
        assert (await ask(server, path))[0] == 404

    on_server(check)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_any_other_method_is_refused(method: str) -> None:
    async def check(server: OpsServer) -> None:
        assert (await ask(server, "/readyz", method, "Content-Length: 0\r\n"))[0] == 405

    on_server(check)


@pytest.mark.parametrize(
    "headers",
    [
        f"X-Long: {'x' * health.MAX_LINE_BYTES * 2}\r\n",
        "".join(f"X-{n}: y\r\n" for n in range(health.MAX_HEADERS * 2)),
    ],
    ids=["a long header", "many headers"],
)
def test_headers_over_the_limits_are_refused(headers: str) -> None:
    async def check(server: OpsServer) -> None:
        assert (await ask(server, "/livez", headers=headers))[0] == 400

    on_server(check)


def test_a_connection_that_never_finishes_its_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "IDLE_S", 0.3)

    async def check(server: OpsServer) -> None:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET /livez HT")
        begun = time.monotonic()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert time.monotonic() - begun < 8
        writer.close()

    on_server(check)


def test_a_port_in_use_is_a_configuration_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        async def run() -> None:
            with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}.*--ops-port"):
                await OpsServer("127.0.0.1", port, Metrics(4), lambda: READY).start()

        asyncio.run(run())


def test_stop_frees_the_port_and_may_be_called_twice() -> None:
    async def run() -> None:
        server = OpsServer("127.0.0.1", 0, Metrics(4), lambda: READY)
        await server.start()
        assert server.port
        await server.stop()
        await server.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)

    asyncio.run(run())
