"""An event right behind an acknowledged revocation is never told, whatever delays the fold.

Run with -s for the figures.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer

from tests.harness.cluster import Cluster, cluster, eventually, figures
from tests.harness.messages import (
    Position,
    Record,
    fates,
    grant_all,
    notifications,
    request,
    sent,
    transaction,
)
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(190)

RACES, MOST_RACES = 2_000, 3_500
CONTROLS = 200
REBALANCES = 3
LONGEST_GAP_MS = 5.0
RACE_EVERY_S = 0.02
DELAYED_READING = "consent_read:delay_ms=50"
BANK = "bank.transactions"


class Outcome(NamedTuple):
    """Where the events of a run stand: by race, and those of subjects that nobody revoked."""

    races: list[Position]
    controls: list[Position]
    gaps_ms: list[float]

    def in_time(self) -> int:
        """Return how many races had their event at most LONGEST_GAP_MS after the acknowledgement."""
        return sum(gap <= LONGEST_GAP_MS for gap in self.gaps_ms)


class Races:
    """A thread that revokes, waits for the acknowledgement, and sends an event on another connection."""

    def __init__(self, at: Cluster) -> None:
        self._requests = at.producer(**{"linger.ms": 0})
        self._events = at.producer(**{"linger.ms": 0})
        self._outcome = Outcome([], [], [])
        self._failures: list[BaseException] = []
        self._may_end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="races")

    @property
    def count(self) -> int:
        """Return how many races were run so far."""
        return len(self._outcome.races)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> Outcome:
        """Run until RACES of them had their event in time, then end."""
        self._may_end.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "the races did not end"
        assert not self._failures, self._failures
        return self._outcome

    def _run(self) -> None:
        chance = random.Random(7)
        try:
            for number in range(MOST_RACES):
                if self._may_end.is_set() and self._outcome.in_time() >= RACES:
                    return
                self._race(number, chance.random() * 0.9 * LONGEST_GAP_MS / 1000)
                time.sleep(RACE_EVERY_S * chance.random())
        except BaseException as error:  # noqa: BLE001 - told by finish()
            self._failures.append(error)

    def _race(self, number: int, gap_s: float) -> None:
        racer, control = f"racer:{number:05d}", f"control:{number % CONTROLS:05d}"
        _acknowledged(self._requests, Record("consent.requests", racer, request(racer, "REVOKE", None)))
        acknowledged_at = time.monotonic()
        time.sleep(gap_s)
        value = transaction(racer, f"race-{number}")
        self._outcome.gaps_ms.append((time.monotonic() - acknowledged_at) * 1000)
        self._outcome.races.append(_acknowledged(self._events, Record(BANK, racer, value)))
        value = transaction(control, f"control-{number}")
        self._outcome.controls.append(_acknowledged(self._events, Record(BANK, control, value)))


def _acknowledged(producer: Producer, record: Record) -> Position:
    """Send one record and return as soon as the broker has it."""
    (place,) = sent(producer, [record])
    return place


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("races")) as running:
        yield running


def test_nobody_is_told_after_an_acknowledged_revocation(at: Cluster, tmp_path: Path) -> None:
    with Worker(at.bootstrap, tmp_path / "first.log", failpoints=DELAYED_READING) as worker:
        worker.wait_ready()
        grant_all(at, [f"control:{number:05d}" for number in range(CONTROLS)])
        grant_all(at, [f"racer:{number:05d}" for number in range(MOST_RACES)])
        races = Races(at)
        races.start()
        rebalanced_at = _rebalance(at, tmp_path, races)
        outcome = races.finish()
        eventually("every event is decided", lambda: set(outcome.races + outcome.controls) <= set(fates(at)))
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
        f"{len(outcome.races)} races, {outcome.in_time()} with the event at most {LONGEST_GAP_MS:.0f} ms "
        f"(median {waits[len(waits) // 2]:.1f}) after the acknowledgement, workers came and went after "
        f"{rebalanced_at} races: {leaks} leaks"
    )
    assert not leaks, f"{leaks} notifications after an acknowledged revocation"
    assert outcome.in_time() >= RACES
    assert len(rebalanced_at) == 2 * REBALANCES
    assert min(rebalanced_at) > 0
    assert max(rebalanced_at) < len(outcome.races), "INVALID: the races ended before the rebalances"
    assert Counter(str(met[place]) for place in outcome.races) == {"['SUPPRESS REVOKED']": len(outcome.races)}
    assert [told["/".join(map(str, place))] for place in outcome.controls] == [1] * len(outcome.controls)
