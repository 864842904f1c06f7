"""The naive Faust agent as a contender: Faust's defaults, its web server off, timed on 100,000 events."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.cluster import POLL_S
from bench.contender import Contender, Stage, log_tail, start, stop

APP = "naive-faust"
OUTPUT = "naive-deliveries"
CHANGELOG = f"{APP}-consents-changelog"
LOAD_TIMEOUT_S = 120.0


def _command(_: str, folder: Path) -> Sequence[str]:
    module = "bench.contenders.naive_faust"
    data = str(folder / "naive-faust-data")
    return (
        sys.executable,
        "-m",
        "faust",
        "--datadir",
        data,
        "-A",
        module,
        "worker",
        "-l",
        "warn",
        "--without-web",
    )


def _load(stage: Stage) -> None:
    """Let the agent read the consents into its table before there are events: it has no barrier."""
    wanted = sum(stage.cluster.ends("consent.requests"))
    process = start(NAIVE, stage)
    give_up_at = time.monotonic() + LOAD_TIMEOUT_S
    try:
        while sum(stage.cluster.ends(CHANGELOG)) < wanted:
            if time.monotonic() > give_up_at or process.poll() is not None:
                raise RuntimeError(f"naive-faust did not load the consents:\n{log_tail(NAIVE, stage)}")
            time.sleep(POLL_S)
    finally:
        stop(process)


def _reset(stage: Stage) -> None:
    stage.cluster.recreate({OUTPUT: {}})
    stage.cluster.rewind(APP, "bank.transactions")


NAIVE = Contender(
    name="naive-faust",
    command=_command,
    group=APP,
    output_topic=OUTPUT,
    settings={"topic_partitions": "4", "web": "off"},
    reset=_reset,
    load=_load,
    environment=lambda bootstrap: {"BENCH_KAFKA": bootstrap},
    timed_events=100_000,
    warmup_events=10_000,
)

CONTENDERS = (NAIVE,)
