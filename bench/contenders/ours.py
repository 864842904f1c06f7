"""The worker as a contender, per guarantee: with its defaults, and with the bare join only."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.contender import Contender, Stage
from streams.settings import Guarantee, Settings
from streams.wire.topics import CONSENT_REQUESTS, DELIVERY, EVENT_TOPICS, TOPICS

INPUTS = (*EVENT_TOPICS, CONSENT_REQUESTS)
GROUP = Settings().app_id


def _reset(stage: Stage) -> None:
    """Forget what an earlier round decided: only the inputs stay."""
    stage.cluster.forget_group(GROUP)
    stage.cluster.recreate({topic.name: topic.config for topic in TOPICS if topic.name not in INPUTS})


def _worker(guarantee: Guarantee, bootstrap: str, _: Path) -> Sequence[str]:
    options = ("--kafka", bootstrap, "--guarantee", guarantee, "--ops-port", "0")
    return (sys.executable, "-m", "streams.cli", "worker", *options)


def _bare_join(guarantee: Guarantee, bootstrap: str, _: Path) -> Sequence[str]:
    return (
        sys.executable, "-m", "bench.contenders.bare_join", "--kafka", bootstrap, "--guarantee", guarantee
    )  # fmt: skip


def _contender(name: str, guarantee: Guarantee, command: Callable[..., Sequence[str]]) -> Contender:
    what = "the bare join" if command is _bare_join else "everything on"

    return Contender(
        name=name,
        command=partial(command, guarantee),
        group=GROUP,
        output_topic=DELIVERY,
        settings={"form": what, "guarantee": guarantee},
        reset=_reset,
        is_exact=guarantee == "exactly_once",
    )


CONTENDERS = (
    _contender("ours-exactly-once", "exactly_once", _worker),
    _contender("ours-at-least-once", "at_least_once", _worker),
    _contender("ours-bare-exactly-once", "exactly_once", _bare_join),
    _contender("ours-bare-at-least-once", "at_least_once", _bare_join),
)
