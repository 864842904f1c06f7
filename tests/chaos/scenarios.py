"""The scenarios, and how a seed becomes the plan of one: which fault comes when, and whom it meets."""

from random import Random
from typing import NamedTuple

PAUSES_S = (3.0, 8.0, 15.0)
"""Shorter than the session (6 s), longer, and longer than a transaction may last (10 s)."""
BROKER_PAUSE_S = 10.0


class Scenario(NamedTuple):
    """What happens in a run.

    Attributes:
        says: what it is.
        kinds: faults, in turn; see `crew.Crew.do`.
        faults: how many of them a whole run has.
        workers: how many processes there are.
        every_s: least and most seconds from the end of one fault to the next.
        races: revocations with an event right behind them, beside the faults.
    """

    says: str
    kinds: tuple[str, ...]
    faults: int
    workers: int
    every_s: tuple[float, float]
    races: int = 0


_BROKER = ("broker_kill", "broker_terminate", "broker_pause")
_GUESTS = ("join", "leave", "kill")
_ALL = ("kill", "pause", "join", "terminate", "broker_kill", "leave", "kill")
SCENARIOS = {
    "S0": Scenario("no fault", (), 0, 2, (0.0, 0.0)),
    "S2": Scenario("SIGKILL of a worker, started again at once", ("kill",), 30, 3, (0.5, 3.0)),
    "S3": Scenario("SIGTERM of a worker, started again at once", ("terminate",), 20, 2, (0.5, 3.0)),
    "S4": Scenario("SIGSTOP of a worker for 3, 8, 15 s: zombies", ("pause",), 15, 2, (1.0, 3.0)),
    "S8": Scenario("broker: SIGKILL, SIGTERM, SIGSTOP for 10 s", _BROKER, 14, 2, (3.0, 6.0)),
    "S11": Scenario("rebalances: workers come and go", ("join", "leave"), 20, 2, (1.0, 3.0)),
    "S14": Scenario("consent races while workers come and go", _GUESTS, 9, 2, (1.0, 3.0), 2_000),
    "S23": Scenario("all of them", _ALL, 28, 2, (1.0, 4.0)),
}
"""By the names of reliability reports."""


class Planned(NamedTuple):
    """One fault to come: what, how long to wait before it, which of the workers, and for how long."""

    kind: str
    after_s: float
    chance: float
    lasts_s: float


def plan(name: str, seed: int, share: float) -> list[Planned]:
    """Return the faults of a run; `share` of the scenario's number, at least one of each kind."""
    scenario, chance = SCENARIOS[name], Random(f"{name}:{seed}")
    count = max(len(scenario.kinds), round(scenario.faults * share)) if scenario.kinds else 0
    planned = []
    for number in range(count):
        kind = scenario.kinds[number % len(scenario.kinds)]
        lasts = PAUSES_S[number // len(scenario.kinds) % len(PAUSES_S)]
        if kind == "broker_pause":
            lasts = BROKER_PAUSE_S
        planned.append(Planned(kind, chance.uniform(*scenario.every_s), chance.random(), lasts))
    return planned
