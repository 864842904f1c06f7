"""Death at the worst moments of a commit, each hit on purpose: what was decided comes out once, or equal."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import Cluster, cluster, eventually, figures
from tests.harness.messages import Position, Record, fates, grant_all, notifications, sent, transaction
from tests.harness.worker import Worker
from verifier.model.partitions import partition_of

pytestmark = pytest.mark.timeout(120)

BURSTS, BURST = 8, 25
SUBJECTS = [
    name for name in (f"point:{number:04d}" for number in range(80)) if partition_of(name.encode(), 4) == 0
]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("points")
    with cluster(home / "kafka") as running:
        with Worker(running.bootstrap, home / "granting.log") as worker:
            worker.wait_ready()
            grant_all(running, SUBJECTS)
            assert worker.terminate() == 0
        yield running


@pytest.mark.parametrize(
    ("guarantee", "point", "repeats"),
    [
        ("exactly_once", "after_decide:kill:nth=3", False),
        ("exactly_once", "before_commit:kill:nth=3", False),
        ("exactly_once", "after_commit:kill:nth=3", False),
        ("at_least_once", "after_stage:kill:nth=5", True),  # outputs are written, states are not
        ("at_least_once", "after_stage:kill:nth=6", False),  # states too: their marker tells what is done
    ],
)
def test_death_in_a_commit_loses_and_changes_nothing(
    at: Cluster, tmp_path: Path, guarantee: str, point: str, repeats: bool
) -> None:
    places: list[Position] = []
    run = f"{guarantee}-{point}"
    with Worker(at.bootstrap, tmp_path / "dies.log", guarantee=guarantee, failpoints=point) as dying:
        dying.wait_ready()
        for number in range(BURSTS):
            places += _burst(at, f"{run}-{number}")
            _wait_past(at, places[-1], dying)
        assert dying.ended() == -9
    with Worker(at.bootstrap, tmp_path / "goes-on.log", guarantee=guarantee) as worker:
        eventually("the last event is decided", lambda: places[-1] in fates(at))
        assert worker.terminate() == 0
    ours = [one for one in notifications(at) if one["source_event_id"].startswith(f"{run}-")]
    counted = Counter(one["source_event_id"] for one in ours)
    figures(f"{guarantee}, {point}: {len(ours)} notifications of {len(places)} events")
    lost = len(places) - len(counted)
    assert not lost, f"{lost} events are lost"
    assert (len(ours) > len(places)) == repeats
    first: dict[str, dict[str, Any]] = {}
    for one in sorted(ours, key=lambda one: one["appended_ms"]):
        changing = {"decided_at": None, "appended_ms": None, "headers": {**one["headers"], "ce_time": None}}
        assert first.setdefault(one["notification_id"], {**one, **changing}) == {**one, **changing}


def _burst(at: Cluster, name: str) -> list[Position]:
    records = []
    for number in range(BURST):
        subject = SUBJECTS[number % len(SUBJECTS)]
        records.append(Record("bank.transactions", subject, transaction(subject, f"{name}-{number}")))
    return sent(at.producer(), records)


def _wait_past(at: Cluster, place: Position, worker: Worker) -> None:
    """Wait until an event is decided, or the worker died."""
    eventually("the event is decided", lambda: worker.process.poll() is not None or place in fates(at))
