"""The worker's operations port: is it alive, is it ready and why not, and its numbers; nothing else.

`/livez` answers as long as the event loop runs; `/readyz` says 200 only when the worker is ready, else 503
with the reasons; `/metrics` is Prometheus' text format. Loopback by default: there is no login. Imports
`errors`, `metrics` and aiohttp.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiohttp import web

from streams.errors import ConfigurationError
from streams.ops.metrics import Metrics

# Probes send a few hundred bytes at once: whoever needs more or longer is no probe.
MAX_LINE_BYTES = 1024
MAX_HEADERS = 32
IDLE_S = 5.0
SHUTDOWN_S = 1.0
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Readiness(NamedTuple):
    """Whether the worker can decide now, and the reasons why not.

    `details` are shown as they are: JSON values, no personal data.
    """

    ready: bool
    reasons: tuple[str, ...]
    details: Mapping[str, object]


class OpsServer:
    """Serves `/livez`, `/readyz` and `/metrics`.

    Args:
        host: Address to bind; loopback unless the operator says otherwise.
        port: TCP port; 0 takes a free one, told by `port` after `start`.
        metrics: The worker's numbers.
        state: Asked at every `/readyz`; must not block.
    """

    def __init__(self, host: str, port: int, metrics: Metrics, state: Callable[[], Readiness]) -> None:
        self.host = host
        self.port = port
        self._metrics = metrics
        self._state = state
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            ConfigurationError: the port is taken or the address is not ours.
        """
        app = web.Application(client_max_size=MAX_LINE_BYTES)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._serve_metrics)
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=IDLE_S,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            shutdown_timeout=SHUTDOWN_S,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigurationError(
                f"The operations port {self.host}:{self.port} cannot be opened ({error.strerror or error}). "
                "Another process may have it: choose another with --ops-port, or 0 for a free one."
            ) from error
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and every connection; a second call does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.json_response({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready, reasons, details = self._state()
        body = {"ready": ready, "reasons": list(reasons), "details": dict(details)}
        return web.json_response(body, status=200 if ready else 503)

    async def _serve_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.text(), headers={"Content-Type": TEXT_FORMAT, "Cache-Control": "no-store"}
        )
