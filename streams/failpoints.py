"""Named points at which tests stop, delay or kill a worker; without the environment variable, nothing.

`NOTIFIER_FAILPOINTS="fold_before_commit:stop:nth=2,consent_applied:delay_ms=20"`: comma-separated
`name:action[:option=value]`; actions are `kill` (SIGKILL to itself), `stop` (SIGSTOP to itself),
`delay_ms=N`. `nth` counts the hits of that point from 1 and fires once; without it every hit fires. Imports
the standard library only.
"""

import asyncio
import os
import signal
from dataclasses import dataclass

from streams.errors import ConfigurationError

VARIABLE = "NOTIFIER_FAILPOINTS"


@dataclass(slots=True)
class Failpoint:
    """One armed point; `hits` counts how often it was passed."""

    action: str
    delay_ms: int = 0
    nth: int = 0
    hits: int = 0


def parse(text: str) -> dict[str, Failpoint]:
    """Return the points that `text` arms, by name.

    Raises:
        ConfigurationError: an action or option that does not exist.
    """
    points: dict[str, Failpoint] = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        name, *options = part.split(":")
        point = Failpoint(action="")
        for option in options:
            key, _, value = option.partition("=")
            if key in ("kill", "stop") and not value:
                point.action = key
            elif key == "delay_ms" and value.isdigit():
                point.action, point.delay_ms = "delay", int(value)
            elif key == "nth" and value.isdigit():
                point.nth = int(value)
            else:
                raise ConfigurationError(
                    f"{VARIABLE}: '{option}' of failpoint '{name}' is not kill, stop, delay_ms=N or nth=N"
                )
        points[name] = point
    return points


_ARMED = parse(os.environ.get(VARIABLE, ""))


async def reach(name: str) -> None:
    """Do what the environment asks at this point; nothing, without a suspension, when it asks for nothing."""
    if not _ARMED or (point := _ARMED.get(name)) is None:
        return
    point.hits += 1
    if point.nth and point.hits != point.nth:
        return
    if point.action == "delay":
        await asyncio.sleep(point.delay_ms / 1000)
    elif point.action in ("kill", "stop"):
        os.kill(os.getpid(), signal.SIGKILL if point.action == "kill" else signal.SIGSTOP)
