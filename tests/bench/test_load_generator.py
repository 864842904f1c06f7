"""The load generator keeps its schedule whatever holds it up: no coordinated omission."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bench.cluster import Cluster
from bench.contender import Stage
from bench.latency import ECHO, ECHO_TOPIC, Course, measure
from bench.workload import PARTITIONS
from streams.kafka.broker import start_broker

pytestmark = [pytest.mark.broker, pytest.mark.interop, pytest.mark.timeout(180)]
RATE = 500
MEASURED_S = 6
PAUSE_S = 4.0
GIVE_UP_S = 90.0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with start_broker(tmp_path / "broker", fresh=True, partitions=PARTITIONS) as broker:
        yield Stage(Cluster(broker.bootstrap), tmp_path)


def is_generator(process: psutil.Process) -> bool:
    try:
        return "LoadGenerator" in process.cmdline()
    except psutil.NoSuchProcess:  # other children come and go, some of them while they are looked at
        return False


def generator() -> psutil.Process | None:
    return next(filter(is_generator, psutil.Process().children(recursive=True)), None)


def pause_in_full_flow(stage: Stage) -> None:
    """Stop the generator for a while, soon after its warm-up of a second.

    Raises:
        TimeoutError: No generator was seen in full flow.
    """
    give_up_at = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up_at:
        time.sleep(0.1)
        running = generator()
        if running and sum(stage.cluster.ends(ECHO_TOPIC)) > 1.2 * RATE:
            running.suspend()
            time.sleep(PAUSE_S)
            running.resume()
            return
    raise TimeoutError("the generator was not seen in full flow")


def test_events_due_while_the_generator_stood_still_count_from_when_they_were_due(stage: Stage) -> None:
    stage.cluster.create({ECHO_TOPIC: {}})
    with ThreadPoolExecutor(1) as beside:
        pausing = beside.submit(pause_in_full_flow, stage)
        found = measure(stage, (), Course((RATE,), warmup_s=1, measured_s=MEASURED_S), {})[ECHO][str(RATE)]
        pausing.result()
    assert found["faults"] == []
    assert 0.2 < found["notifications"] / (RATE * MEASURED_S) < 0.35
    assert found["generator_late_ms"]["max"] >= 0.9 * PAUSE_S * 1_000
    assert found["max"] >= 0.9 * PAUSE_S * 1_000
    # Two in three events were due in the pause; counted from when they were sent, the median would hide it.
    assert found["p50"] >= 0.15 * PAUSE_S * 1_000
