"""The shipped worker as a contender, once per guarantee: `notifier worker` with its defaults."""

import sys
from collections.abc import Sequence
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


def _contender(name: str, guarantee: Guarantee) -> Contender:
    def command(bootstrap: str, _: Path) -> Sequence[str]:
        options = ("--kafka", bootstrap, "--guarantee", guarantee, "--ops-port", "0")
        return (sys.executable, "-m", "streams.cli", "worker", *options)

    return Contender(
        name=name,
        command=command,
        group=GROUP,
        output_topic=DELIVERY,
        settings={"guarantee": guarantee},
        reset=_reset,
        is_exact=guarantee == "exactly_once",
    )


CONTENDERS = (
    _contender("ours-exactly-once", "exactly_once"),
    _contender("ours-at-least-once", "at_least_once"),
)
