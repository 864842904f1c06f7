"""What the demo shows while it runs: bubbles and counters on a terminal, lines elsewhere, nothing for JSON.

Imports rich and `tail`. Read next: `demo.py`.
"""

import sys
from collections import Counter, deque
from types import TracebackType
from typing import Protocol, Self

from rich import box
from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from streams.cli.shared import answer
from streams.cli.tail import as_line
from streams.core.codes import Kind
from streams.core.decision import Notification
from streams.delivery.render import render
from streams.ops.topic_reader import Record

BUBBLE_WIDTH = 72
BUBBLE_LINES = 5  # two of border, up to three of words: what decides how many fit
COUNTER_LINES = 4
SLICES_PER_S = 8
_COLORS = {
    Kind.RECEIPT: "green",
    Kind.REFUND: "cyan",
    Kind.DECLINED: "yellow",
    Kind.BALANCE: "blue",
    Kind.SHIPPING: "magenta",
    Kind.SECURITY: "red",
}


class View(Protocol):
    """What is told as it happens; a context manager around the run."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the screen in order."""
        ...

    def told(self, record: Record, notification: Notification) -> None:
        """Show that somebody was told."""
        ...

    def counted(self, counts: Counter[str], seconds_left: float) -> None:
        """Show how things stand: `counts` by a word for each fate."""
        ...


def view_for(*, as_json: bool) -> View:
    """Return the view that fits where stdout goes."""
    if as_json:
        return _Silent()
    return _Live() if sys.stdout.isatty() else _Lines()


class _Silent:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def told(self, record: Record, notification: Notification) -> None:
        pass

    def counted(self, counts: Counter[str], seconds_left: float) -> None:
        pass


class _Lines(_Silent):
    def told(self, record: Record, notification: Notification) -> None:
        answer(as_line(record, notification))


class _Live(_Silent):
    def __init__(self) -> None:
        self._console = Console()
        self._bubbles: deque[RenderableType] = deque(maxlen=50)
        self._counters = Text("waiting for the first notification")
        self._live = Live(
            console=self._console, refresh_per_second=SLICES_PER_S, get_renderable=self._picture
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def told(self, record: Record, notification: Notification) -> None:
        self._bubbles.append(bubble(record, notification))

    def counted(self, counts: Counter[str], seconds_left: float) -> None:
        shown = "   ".join(f"{name} {count:,}" for name, count in counts.items())
        self._counters = Text(f"{shown}   {seconds_left:.0f} s left")

    def _picture(self) -> RenderableType:
        room = max(1, (self._console.height - COUNTER_LINES) // BUBBLE_LINES)
        newest = list(self._bubbles)[-room:]
        return Group(*newest, Panel(self._counters, box=box.HORIZONTALS, title="notifier demo"))


def bubble(record: Record, notification: Notification) -> RenderableType:
    """Return one notification as a chat bubble: the person, the words, the time."""
    line = as_line(record, notification)
    # Text, not str: what a merchant is called is no markup.
    panel = Panel(
        Text(render(notification)),
        title=Text(notification.recipient, style="bold"),
        title_align="left",
        subtitle=Text(line[:12], style="dim"),
        subtitle_align="right",
        box=box.ROUNDED,
        border_style=_COLORS.get(notification.kind, "white"),
        width=BUBBLE_WIDTH,
    )
    return Align(panel, "left")
