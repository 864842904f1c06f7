"""An event loop whose time jumps to the next timer as soon as nothing is left to do."""

import asyncio
from typing import Any


class StuckError(Exception):
    """Everything waits and no timer will wake it."""


class _Jump:
    """Stands where the loop waits for sockets: there are none, so time may pass at once."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Let that much time pass."""
        if timeout is None:
            raise StuckError
        self._loop.passed_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop in virtual time, which begins at 0; deterministic."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0
        self._selector = _Jump(self)

    def time(self) -> float:
        """Return virtual seconds."""
        return self.passed_s

    def _process_events(self, events: list[Any]) -> None:
        """Do nothing: no socket ever has any."""

    def _write_to_self(self) -> None:
        """Do nothing: nobody calls from another thread."""
