"""An event right behind an acknowledged revocation, erasure or narrowing is never told, one right behind a
grant always, whatever delays the fold.

Run with -s for the figures.
"""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import Cluster, cluster, eventually, figures
from tests.harness.messages import fates, grant_all, notifications
from tests.harness.races import LONGEST_GAP_MS, Outcome, Races
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(190)

RACES, MOST_RACES = 2_000, 3_500
REBALANCES = 3
DELAYED_READING = "consent_read:delay_ms=50"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("races")) as running:
        yield running


def test_nobody_is_told_after_an_acknowledged_revocation(at: Cluster, tmp_path: Path) -> None:
    with Worker(at.bootstrap, tmp_path / "first.log", failpoints=DELAYED_READING) as worker:
        worker.wait_ready()
        grant_all(at, Races.subjects(MOST_RACES))
        races = Races(at, RACES, MOST_RACES)
        races.start()
        rebalanced_at = _rebalance(at, tmp_path, races)
        outcome = races.finish()
        sent = {*outcome.races, *outcome.controls, *outcome.given}
        eventually("every event is decided", lambda: sent <= set(fates(at)))
        assert worker.terminate() == 0
    _judge(at, outcome, rebalanced_at)


def _rebalance(at: Cluster, folder: Path, races: Races) -> list[int]:
    """Let a second worker come and go; return after how many races it did."""
    moments: list[int] = []
    for number in range(REBALANCES):
        log = folder / f"second-{number}.log"
        with Worker(at.bootstrap, log, failpoints=DELAYED_READING) as second:
            eventually("the second worker has partitions", lambda: _has_partitions(second))
            moments.append(races.count)
            time.sleep(2)
            assert second.terminate() == 0
            moments.append(races.count)
    return moments


def _has_partitions(worker: Worker) -> bool:
    return bool(worker.wait_ready()["details"]["partitions"])


def _judge(at: Cluster, outcome: Outcome, rebalanced_at: list[int]) -> None:
    met = fates(at)
    told: Counter[Any] = Counter(one["headers"]["notifier.source"] for one in notifications(at))
    leaks = sum(told["/".join(map(str, place))] for place in outcome.races)
    waits = sorted(outcome.gaps_ms)
    figures(
        f"{len(outcome.races) + len(outcome.given)} races, "
        f"{outcome.in_time()} with the event at most {LONGEST_GAP_MS:.0f} ms "
        f"(median {waits[len(waits) // 2]:.1f}) after the acknowledgement, workers came and went after "
        f"{rebalanced_at} races: {leaks} leaks"
    )
    assert not leaks, f"{leaks} notifications after an acknowledged revocation"
    assert outcome.in_time() >= RACES
    assert len(rebalanced_at) == 2 * REBALANCES
    assert min(rebalanced_at) > 0
    assert max(rebalanced_at) < len(outcome.races), "INVALID: the races ended before the rebalances"
    assert [met[place] for place in outcome.races] == [[fate] for fate in outcome.expected()]
    heard = outcome.controls + outcome.given
    assert [told["/".join(map(str, place))] for place in heard] == [1] * len(heard)
