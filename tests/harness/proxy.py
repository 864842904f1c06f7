"""A TCP proxy in front of a broker that harms chosen requests, told by their API key.

It reads Kafka's frames: four bytes of size, then API key, version and correlation id. Answers that name the
broker's address (Metadata, FindCoordinator) name the proxy's instead, so that no client goes around it.
Source: the Kafka protocol guide, "Common Request and Response Structure".
"""

import asyncio
import contextlib
import struct
import threading
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Self

HOST = "127.0.0.1"
DELAY_S = 0.5
SLOW_BYTES_PER_S = 1024
SLOW_S = 3.0
SILENT_S = 25.0
"""How long a connection stays half open; clients give up before."""
_SIZE = struct.Struct(">i")
_HEAD = struct.Struct(">hhi")


class Api(IntEnum):
    """Requests by their API key."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    FIND_COORDINATOR = 10
    HEARTBEAT = 12
    INIT_PRODUCER_ID = 22
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class Harm(StrEnum):
    """What happens to a request and its connection."""

    CUT_REQUEST = "cut_request"
    CUT_ANSWER = "cut_answer"
    DELAY = "delay"
    HALF_OPEN = "half_open"
    SLOW = "slow"


_NAMES_ADDRESSES = (Api.METADATA, Api.FIND_COORDINATOR)


@dataclass(slots=True)
class _Link:
    """One client's connection, with what was asked on it and is not answered."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    asked: deque[tuple[int, Harm | None]] = field(default_factory=deque)
    is_silent: bool = False

    def cut(self) -> None:
        """Close both sides."""
        for side in (self.near, self.far):
            side.close()


class Proxy:
    """Listens on a port of its own and passes everything on to `port`; a context manager."""

    def __init__(self, port: int) -> None:
        self._broker = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._armed: tuple[Api, Harm] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: list[_Link] = []
        self.struck = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def bootstrap(self) -> str:
        """Return the address for clients."""
        return f"{HOST}:{self.port}"

    def strike(self, api: Api, harm: Harm, deadline_s: float) -> bool:
        """Harm the next request of this kind; wait for it, and tell whether it came."""
        before, deadline = self.struck, time.monotonic() + deadline_s
        self._armed = (api, harm)
        while self.struck == before:
            if time.monotonic() > deadline:
                self._armed = None
                return False
            time.sleep(0.01)
        return True

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for link in self._links:
            link.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            far_in, far_out = await asyncio.open_connection(HOST, self._broker)
        except OSError:
            near_out.close()
            return
        link = _Link(near_out, far_out)
        self._links.append(link)
        for way in (self._requests(near_in, link), self._answers(far_in, link)):
            task = asyncio.create_task(self._until_closed(way, link))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _until_closed(way: Coroutine[None, None, None], link: _Link) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await way
        link.cut()

    async def _requests(self, near: asyncio.StreamReader, link: _Link) -> None:
        while True:
            frame = await _frame(near)
            api, _, _ = _HEAD.unpack_from(frame)
            harm = self._harm(api)
            if harm is Harm.CUT_REQUEST:
                return
            if harm is Harm.HALF_OPEN:
                link.is_silent = True
                await asyncio.sleep(SILENT_S)
                return
            if harm is Harm.DELAY:
                await asyncio.sleep(DELAY_S)
            link.asked.append((api, harm))
            link.far.write(_SIZE.pack(len(frame)) + frame)
            await link.far.drain()

    async def _answers(self, far: asyncio.StreamReader, link: _Link) -> None:
        slow_until = 0.0
        while True:
            frame = await _frame(far)
            api, harm = link.asked.popleft()
            if harm is Harm.CUT_ANSWER:
                return
            if harm is Harm.SLOW:
                slow_until = time.monotonic() + SLOW_S
            if link.is_silent:
                continue
            if api in _NAMES_ADDRESSES:
                frame = frame.replace(_address(self._broker), _address(self.port))
            link.near.write(_SIZE.pack(len(frame)) + frame)
            await link.near.drain()
            if time.monotonic() < slow_until:
                await asyncio.sleep(min(len(frame) / SLOW_BYTES_PER_S, SLOW_S))

    def _harm(self, api: int) -> Harm | None:
        """Return what happens to this request, once for each call of `strike`."""
        if self._armed is None or self._armed[0] != api:
            return None
        _, harm = self._armed
        self._armed = None
        self.struck += 1
        return harm


async def _frame(stream: asyncio.StreamReader) -> bytes:
    (size,) = _SIZE.unpack(await stream.readexactly(_SIZE.size))
    return await stream.readexactly(size)


def _address(port: int) -> bytes:
    """Return how answers have an address: the host's text, however its length is told, then the port."""
    return HOST.encode() + _SIZE.pack(port)
