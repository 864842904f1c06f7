"""How a worker process ends: the first SIGTERM or SIGINT drains, a second ends it at once, and so does a
drain that takes too long; a worker that stands still is started anew in the same process.

Ending at once loses nothing: Kafka aborts what was open, and the next owner goes on from the committed
positions. Read next: `worker.py`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import NoReturn

import faust

log = logging.getLogger(__name__)

FAILED = 1
SIGNALLED = 128  # plus the signal's number, as shells have it


def leave_on_signals() -> None:
    """End with exit code 0 on SIGTERM or SIGINT from here on: nothing is held yet.

    `DrainingWorker` replaces these handlers when it starts.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


def start_anew() -> NoReturn:
    """Replace this process by a new one with the same arguments and environment."""
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line


class DrainingWorker(faust.Worker):
    """Faust's worker with a limit to its patience.

    Args:
        drain_timeout_s: from the first signal on.
    """

    drain_timeout_s: float

    async def start_unless_told_to_stop(self) -> None:
        """Start; a signal that comes meanwhile cancels what is not started yet."""
        self._starting_fut = asyncio.ensure_future(self.start())
        with contextlib.suppress(asyncio.CancelledError):
            await self._starting_fut

    def _schedule_shutdown(self, signal: signal.Signals) -> None:  # mode's name
        if self._signal_stop_time:
            log.warning("told to stop again: ending at once")
            self._end_now(SIGNALLED + signal)
        super()._schedule_shutdown(signal)
        self.loop.call_later(self.drain_timeout_s, self._give_up)

    def _give_up(self) -> None:
        log.error(
            "not stopped within %g s: ending at once; what was open is decided again", self.drain_timeout_s
        )
        self._end_now(FAILED)

    @staticmethod
    def _end_now(code: int) -> NoReturn:
        logging.shutdown()
        os._exit(code)
