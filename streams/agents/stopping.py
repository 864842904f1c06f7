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

STARTED_ANEW = "STARTED_ANEW_BY_NOTIFIER"
"""Environment variable of a process that took an earlier one's place: nobody waits for its exit code."""
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
    os.environ[STARTED_ANEW] = "1"
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
            self.end_now(SIGNALLED + signal)
        super()._schedule_shutdown(signal)
        self.loop.call_later(self.drain_timeout_s, self._give_up)

    def _give_up(self) -> None:
        self.tell_it_hangs(self.drain_timeout_s)
        self.end_now(FAILED)

    @staticmethod
    def tell_it_hangs(timeout_s: float) -> None:
        """Say that the process ends at once, and what that means."""
        log.error("not stopped within %g s: ending at once; what was open is decided again", timeout_s)

    @property
    def is_told_to_stop(self) -> bool:
        """Tell whether a signal came."""
        return bool(self._signal_stop_time)

    def start_anew_unless_told_to_stop(self) -> NoReturn:
        """Replace the process, whatever of it still runs; end it if that is what was asked for."""
        if self.is_told_to_stop:
            self.end_now(FAILED)
        start_anew()

    @staticmethod
    def end_now(code: int) -> NoReturn:
        """End the process at once."""
        logging.shutdown()
        os._exit(code)
