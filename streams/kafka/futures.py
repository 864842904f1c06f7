"""What becomes of tasks and futures that nobody awaits. Imports nothing of ours."""

import asyncio
from collections.abc import Callable
from typing import Any


def look_at(future: asyncio.Future[Any]) -> None:
    """As a done-callback, read why it failed: asyncio would log it where nobody awaits it any more."""
    if not future.cancelled():
        future.exception()


def call_on_failure(
    task: "asyncio.Task[None]", receiver: Callable[[BaseException], None], is_expected: Callable[[], bool]
) -> None:
    """Have `receiver` called with the error that ends a task, unless it is expected to end by then."""

    def tell(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not is_expected():
            receiver(error)

    task.add_done_callback(tell)
