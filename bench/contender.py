"""What a contender is: a program of its own that reads the workload's topics and writes notifications.

Adding one: a file in `bench/contenders/` with a `Contender`, named in `bench/contenders/__init__.py`.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.cluster import Cluster

ROOT = Path(__file__).parents[1]
STOP_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run takes place: the cluster, and a folder for logs and scratch."""

    cluster: Cluster
    folder: Path


def _nothing(_: Stage) -> None:
    """Most contenders need no preparation before the events are there."""


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One program.

    Attributes:
        name: Key of its figures.
        command: Command line for a bootstrap address and a scratch folder.
        group: Consumer group whose committed offsets are its progress.
        output_topic: Where its notifications go; they are `Notification` values.
        settings: What differs from its defaults, published with the figures.
        reset: Puts its topics and group back to the start, before each round.
        load: Runs once, when consents are there and events are not.
        environment: Variables that its process gets besides PATH and the like.
        is_exact: Whether its output and its committed offsets are one: nothing beyond them may be seen.
        timed_events: Most events that are timed after `warmup_events`; None takes the plan's.
        warmup_events: Events before the clock starts, at most the plan's; None takes the plan's.
        is_floor: Whether it only reads: there is no output to judge.
    """

    name: str
    command: Callable[[str, Path], Sequence[str]]
    group: str
    output_topic: str
    settings: Mapping[str, str]
    reset: Callable[[Stage], None]
    load: Callable[[Stage], None] = _nothing
    environment: Callable[[str], Mapping[str, str]] = field(default=lambda _: {})
    is_exact: bool = False
    timed_events: int | None = None
    warmup_events: int | None = None
    is_floor: bool = False


def start(contender: Contender, stage: Stage) -> subprocess.Popen[bytes]:
    """Start a contender's process; its output goes to a log in the stage's folder."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("NOTIFIER_", "FAUST_"))
    }
    bootstrap = stage.cluster.bootstrap
    with (stage.folder / f"{contender.name}.log").open("ab") as log:
        return subprocess.Popen(
            list(contender.command(bootstrap, stage.folder)),
            cwd=ROOT,
            env={**inherited, **contender.environment(bootstrap)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a contender in good order, by force after 30 s."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def log_tail(contender: Contender, stage: Stage, lines: int = 15) -> str:
    """The last lines of a contender's log."""
    text = (stage.folder / f"{contender.name}.log").read_text(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
