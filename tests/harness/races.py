"""Races: a revocation, its acknowledgement, and right behind it an event on another connection."""

import random
import threading
import time
from typing import NamedTuple

from confluent_kafka import Producer

from tests.harness.cluster import Cluster
from tests.harness.messages import Position, Record, request, sent, transaction

CONTROLS = 200
LONGEST_GAP_MS = 5.0
RACE_EVERY_S = 0.02
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

    def __init__(self, at: Cluster, wanted: int, most: int) -> None:
        """Prepare up to `most` races, of which `wanted` are to have their event in time."""
        self._wanted, self._most = wanted, most
        self._requests = at.producer(**{"linger.ms": 0, "log_level": 0})
        self._events = at.producer(**{"linger.ms": 0, "log_level": 0})
        self._outcome = Outcome([], [], [])
        self._failures: list[BaseException] = []
        self._may_end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="races")

    @staticmethod
    def subjects(most: int) -> list[str]:
        """Return whom to grant before."""
        controls = [f"control:{number:05d}" for number in range(CONTROLS)]
        return controls + [f"racer:{number:05d}" for number in range(most)]

    @property
    def count(self) -> int:
        """Return how many races were run so far."""
        return len(self._outcome.races)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> Outcome:
        """Run until as many as are wanted had their event in time, then end."""
        self._may_end.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "the races did not end"
        assert not self._failures, self._failures
        return self._outcome

    def _run(self) -> None:
        chance = random.Random(7)
        try:
            for number in range(self._most):
                if self._may_end.is_set() and self._outcome.in_time() >= self._wanted:
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
