"""The scenarios, and how a seed becomes the plan of one: which fault comes when, and whom it meets."""

from random import Random
from typing import NamedTuple

from tests.chaos.stream import Mix

PAUSES_S = (3.0, 8.0, 15.0)
"""Shorter than the session (6 s), longer, and longer than a transaction may last (10 s)."""
BROKER_PAUSE_S = 10.0
HARM_S, SILENCE_S = 2.0, 12.0
"""After a request was harmed; a connection that says nothing is given up after a transaction's 10 s."""
SMALL_DISK_MIB = 256


class Scenario(NamedTuple):
    """What happens in a run.

    Attributes:
        says: what it is.
        kinds: faults, in turn; see `crew.Crew.do`.
        faults: how many of them a whole run has.
        workers: how many processes there are.
        every_s: least and most seconds from the end of one fault to the next.
        races: revocations with an event right behind them, beside the faults.
        mix: what events are like.
        brokers: one, or three with three copies of everything.
        disk_mib: size of the broker's disk, which is made for it; 0: the machine's.
    """

    says: str
    kinds: tuple[str, ...]
    faults: int
    workers: int
    every_s: tuple[float, float]
    races: int = 0
    mix: Mix = Mix()
    brokers: int = 1
    disk_mib: int = 0


_BROKER = ("broker_kill", "broker_terminate", "broker_pause")
_GUESTS = ("join", "leave", "kill")
_ALL = ("kill", "pause", "join", "terminate", "broker_kill", "leave", "kill")
CRASH_POINTS = (
    "event_read", "consent_read", "consent_apply", "fold", "after_barrier", "after_decide", "after_produce",
    "before_commit", "after_commit", "acquired", "restore", "on_revoke",
)  # fmt: skip
"""All that exactly_once passes; `streams/failpoints.py`."""
_CRASHES = tuple(f"crash {point}" for point in CRASH_POINTS)
_NETWORK = (
    "net cut_answer END_TXN", "net cut_answer PRODUCE", "net delay END_TXN", "net cut_request END_TXN",
    "net cut_answer TXN_OFFSET_COMMIT", "net half_open END_TXN", "net delay PRODUCE", "net slow FETCH",
    "net cut_request PRODUCE", "net half_open PRODUCE",
    "net cut_answer LIST_OFFSETS", "net cut_answer HEARTBEAT",
)  # fmt: skip
_NODES = (
    "node_kill leader", "node_terminate 1", "node_kill coordinator", "node_terminate 2",
    "node_kill controller", "node_terminate 3",
)  # fmt: skip
_CLOCKS = ("clock +600", "clock -20", "clock +7200", "clock -600")
"""Ten minutes make balances stale or consents not yet effective; two hours are more than Kafka lets pass."""
_DIRTY = Mix(repeats=0.1, recent=5_000, disorder=0.1, late=0.01)
SCENARIOS = {
    "S0": Scenario("no fault; memory and files looked at", ("look",), 20, 2, (8.0, 12.0)),
    "S1": Scenario("SIGKILL at each crash point", _CRASHES, 36, 2, (0.5, 2.0)),
    "S2": Scenario("SIGKILL of one to three workers at once, started again", ("kill",), 30, 3, (0.5, 3.0)),
    "S3": Scenario("SIGTERM of a worker, started again at once", ("terminate",), 20, 2, (0.5, 3.0)),
    "S4": Scenario("SIGSTOP of a worker for 3, 8, 15 s: zombies", ("pause",), 15, 2, (1.0, 3.0)),
    "S7": Scenario("the broker's disk is full", ("disk_full",), 3, 2, (2.0, 4.0), disk_mib=SMALL_DISK_MIB),
    "S8": Scenario("broker: SIGKILL, SIGTERM, SIGSTOP for 10 s", _BROKER, 14, 2, (3.0, 6.0)),
    "S9": Scenario("one of three brokers, by its role", _NODES, 18, 2, (1.0, 3.0), brokers=3),
    "S10": Scenario("requests and answers cut, delayed, swallowed", _NETWORK, 40, 2, (0.5, 2.0)),
    "S11": Scenario("rebalances: workers come and go", ("join", "leave"), 20, 2, (1.0, 3.0)),
    "S12": Scenario(
        "repeats, disorder, producers that abort", ("abort", "abort", "kill"), 18, 2, (1.0, 3.0), mix=_DIRTY
    ),
    "S13": Scenario(
        "misrouted and odd keys, no values", ("kill",), 5, 2, (2.0, 4.0), mix=Mix(misrouted=0.05, odd=0.05)
    ),
    "S14": Scenario("consent races while workers come and go", _GUESTS, 9, 2, (1.0, 3.0), 2_000),
    "S15": Scenario("clocks of workers jump and come back", _CLOCKS, 8, 2, (1.0, 3.0)),
    "S16": Scenario("a third of the frames is damaged", ("kill",), 5, 2, (2.0, 4.0), mix=Mix(damaged=0.33)),
    "S19": Scenario("the broker takes 10 KiB/s of what workers write", ("throttle",), 3, 2, (2.0, 4.0)),
    "S23": Scenario("kills, pauses, restarts, rebalances", _ALL, 28, 2, (1.0, 4.0)),
}
"""By the names of reliability reports."""


class Planned(NamedTuple):
    """One fault to come: what, how long to wait before it, which and how many workers, for how long."""

    kind: str
    after_s: float
    chance: float
    lasts_s: float
    workers: int = 1


def plan(name: str, seed: int, share: float) -> list[Planned]:
    """Return the faults of a run; `share` of the scenario's number, at least one of each kind."""
    scenario, chance = SCENARIOS[name], Random(f"{name}:{seed}")
    count = max(len(scenario.kinds), round(scenario.faults * share))
    planned = []
    for number in range(count):
        kind = scenario.kinds[number % len(scenario.kinds)]
        lasts = PAUSES_S[number // len(scenario.kinds) % len(PAUSES_S)]
        if kind == "broker_pause":
            lasts = BROKER_PAUSE_S
        if kind.startswith("net "):
            lasts = SILENCE_S if "half_open" in kind else HARM_S
        planned.append(
            Planned(
                kind, chance.uniform(*scenario.every_s), chance.random(), lasts,
                chance.randint(1, scenario.workers) if scenario.kinds == ("kill",) else 1,
            )
        )  # fmt: skip
    return planned
