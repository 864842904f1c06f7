"""Races: a consent is taken away, narrowed or given, acknowledged, and right behind it comes an event.

On another connection; who is given a consent must be told, everybody else must not.
"""

import random
import threading
import time
from typing import NamedTuple

from confluent_kafka import Producer

from tests.harness.cluster import Cluster
from tests.harness.messages import Position, Record, consent, request, sent, transaction

CONTROLS = 200
AT_THE_END = 50
LONGEST_GAP_MS = 5.0
RACE_EVERY_S = 0.02
BANK = "bank.transactions"
TAKEN = ("SUPPRESS REVOKED", "SUPPRESS REVOKED", "SUPPRESS NO_CONSENT", "SUPPRESS PURPOSE")
"""What becomes of the event of race N, at N modulo 4: all holders revoked, one, erased, narrowed."""
GIVEN_EVERY = 4


class Outcome(NamedTuple):
    """Where the events of a run stand: by race, of subjects that nobody touched, and of those who were given
    a consent, which are raced too.
    """

    races: list[Position]
    controls: list[Position]
    gaps_ms: list[float]
    given: list[Position]

    def expected(self) -> list[str]:
        """Return what has to become of the event of each race."""
        return [TAKEN[number % len(TAKEN)] for number in range(len(self.races))]

    def in_time(self) -> int:
        """Return how many races had their event at most LONGEST_GAP_MS after the acknowledgement."""
        return sum(gap <= LONGEST_GAP_MS for gap in self.gaps_ms)


class Races:
    """A thread that asks, waits for the acknowledgement, and sends an event on another connection."""

    def __init__(self, at: Cluster, wanted: int, most: int) -> None:
        """Prepare up to `most` races, of which `wanted` are to have their event in time."""
        self._wanted, self._most = wanted, most
        self._requests = at.producer(**{"linger.ms": 0, "log_level": 0})
        self._events = at.producer(**{"linger.ms": 0, "log_level": 0})
        self._outcome = Outcome([], [], [], [])
        self._failures: list[BaseException] = []
        self._may_end_at: int | None = None
        self._thread = threading.Thread(target=self._run, name="races")

    @staticmethod
    def subjects(most: int) -> list[str]:
        """Return whom to grant everything before, as `grant_all` does."""
        controls = [f"control:{number:05d}" for number in range(CONTROLS)]
        return controls + [f"racer:{number:05d}" for number in range(most)]

    @property
    def count(self) -> int:
        """Return how many races were run so far."""
        return len(self._outcome.races)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> Outcome:
        """Run until as many as are wanted had their event in time, some of them from now on, then end."""
        self._may_end_at = self.count + AT_THE_END
        self._thread.join(120)
        assert not self._thread.is_alive(), "the races did not end"
        assert not self._failures, self._failures
        return self._outcome

    def _run(self) -> None:
        chance = random.Random(7)
        try:
            for number in range(self._most):
                if self._has_enough():
                    return
                self._race(number, chance.random() * 0.9 * LONGEST_GAP_MS / 1000)
                time.sleep(RACE_EVERY_S * chance.random())
        except BaseException as error:  # noqa: BLE001 - told by finish()
            self._failures.append(error)

    def _has_enough(self) -> bool:
        end = self._may_end_at
        return end is not None and self.count >= end and self._outcome.in_time() >= self._wanted

    def _race(self, number: int, gap_s: float) -> None:
        racer, control = f"racer:{number:05d}", f"control:{number % CONTROLS:05d}"
        self._outcome.races.append(self._raced(racer, _taking(number, racer), number, gap_s))
        value = transaction(control, f"control-{number}")
        self._outcome.controls.append(_acknowledged(self._events, Record(BANK, control, value)))
        if number % GIVEN_EVERY == 0:
            newcomer = f"newcomer:{number:05d}"
            given = request(newcomer, "GRANT", f"user-of-{newcomer}")
            self._outcome.given.append(self._raced(newcomer, given, number, gap_s))

    def _raced(self, subject: str, asked: bytes, number: int, gap_s: float) -> Position:
        """Ask, and send an event so long after the acknowledgement; return where it stands."""
        _acknowledged(self._requests, Record("consent.requests", subject, asked))
        acknowledged_at = time.monotonic()
        time.sleep(gap_s)
        value = transaction(subject, f"race-{number}")
        self._outcome.gaps_ms.append((time.monotonic() - acknowledged_at) * 1000)
        return _acknowledged(self._events, Record(BANK, subject, value))


def _taking(number: int, racer: str) -> bytes:
    """Return the request of race `number`, see TAKEN."""
    user = f"user-of-{racer}"
    match number % len(TAKEN):
        case 0:
            return request(racer, "REVOKE", None)
        case 1:
            return request(racer, "REVOKE", user)
        case 2:
            return request(racer, "ERASE", user)
        case _:
            return request(racer, "CHANGE", user, consent=consent(purposes=["BALANCE"]))


def _acknowledged(producer: Producer, record: Record) -> Position:
    """Send one record and return as soon as the broker has it."""
    (place,) = sent(producer, [record])
    return place
