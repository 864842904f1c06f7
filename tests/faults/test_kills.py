"""SIGKILL of workers in flight: nothing lost, nothing twice, and the partitions stand still only for seconds.

Run with -s for the figures.
"""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.cluster import Cluster, cluster, eventually, figures
from tests.harness.load import Load
from tests.harness.messages import (
    Record,
    balance,
    conserved,
    decided_to,
    grant_all,
    notifications,
    now_ms,
    shipment,
    transaction,
)
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(240)

KILLS = 5
EVENTS_PER_S = 400
LONGEST_LOAD_S = 170
CONSENTED, OTHERS = 400, 100
TAKEOVER_LIMIT_S = 15.0
IN_FLIGHT_MS = 100  # a dead process's last request may still be on its way to the broker
LEAST_PROGRESS, MOST_PROGRESS = 0.05, 0.95
PAUSE_S = 1.5


class Stage(NamedTuple):
    """A cluster with granted subjects, for runs under one guarantee."""

    at: Cluster
    guarantee: str
    home: Path


class Kill(NamedTuple):
    """When (UTC ms), after how many acknowledged events, and which partitions it left."""

    at_ms: int
    acknowledged: int
    partitions: list[int]


class Events:
    """Makes the events of a run and knows what must come of them: (kind, event_id) once for each."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._newest_ms = 0
        self.expected: set[tuple[str, str]] = set()
        self.sent = 0

    def make(self, number: int) -> Record:
        """Return event `number`.

        Three topics in turn, one of five subjects unconsented, pending and posted pairs, one of fifty sent
        twice.
        """
        self.sent = number + 1
        number -= number % 50 == 48
        subject = f"kills:{number // 3 % (CONSENTED + OTHERS):04d}"
        event_id = f"{self._run}-{number}"
        self._newest_ms = max(now_ms(), self._newest_ms + 1)  # a balance older than the last is silent
        kind = ("RECEIPT", "BALANCE", "SHIPPING")[number % 3]
        if number // 3 % (CONSENTED + OTHERS) < CONSENTED:
            self.expected.add((kind, event_id))
        if kind == "RECEIPT":
            return Record("bank.transactions", subject, self._transaction(subject, event_id, number))
        if kind == "BALANCE":
            value = balance(subject, event_id, as_of=self._newest_ms, booked_minor=number)
            return Record("bank.balances", subject, value)
        return Record("shipping.events", subject, shipment(subject, event_id, status_at=self._newest_ms))

    def _transaction(self, subject: str, event_id: str, number: int) -> bytes:
        round_, turn = divmod(number // 3, CONSENTED + OTHERS)
        if turn % 4:
            return transaction(subject, event_id, amount_minor=-number)
        is_second = round_ % 2 == 1
        life = f"{self._run}-{round_ // 2}-{turn}"
        status, amount = ("POSTED", -2_000) if is_second else ("PENDING", -1_000)
        return transaction(subject, event_id, lifecycle_id=life, status=status, amount_minor=amount)


@pytest.fixture(scope="module", params=["exactly_once", "at_least_once"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp(request.param)
    with cluster(home / "kafka") as at:
        with Worker(at.bootstrap, home / "granting.log", guarantee=request.param) as worker:
            worker.wait_ready()
            grant_all(at, [f"kills:{number:04d}" for number in range(CONSENTED)])
            assert worker.terminate() == 0
        yield Stage(at, request.param, home)


@pytest.mark.parametrize("workers", [1, 2], ids=["the_only_worker", "one_of_two_workers"])
def test_killed_worker_loses_nothing(stage: Stage, workers: int) -> None:
    run = f"{stage.guarantee}-{workers}"
    events = Events(run)
    kills: list[Kill] = []
    with ExitStack() as stack:
        crew = [_start(stage, stack, f"{run}-{number}") for number in range(workers)]
        _all_ready(crew)
        with Load(stage.at, EVENTS_PER_S, EVENTS_PER_S * LONGEST_LOAD_S, events.make) as load:
            time.sleep(2 * PAUSE_S)
            for number in range(KILLS):
                _all_ready(crew)
                eventually("every worker decides", lambda: all(map(_has_decided, crew)))
                time.sleep(PAUSE_S)
                victim = crew.pop(0)
                owned = [int(name) for name in victim.wait_ready()["details"]["partitions"]]
                acknowledged = load.acknowledged
                victim.kill()
                kills.append(Kill(now_ms(), acknowledged, owned))
                crew.append(_start(stage, stack, f"{run}-again-{number}"))
            _all_ready(crew)
            eventually("every worker decides", lambda: all(map(_has_decided, crew)))
            time.sleep(2 * PAUSE_S)
            total = load.finish()
        _wait_done(stage.at)
        assert [worker.terminate() for worker in crew] == [0] * workers
    _judge(stage, run, events, kills, total)


def _start(stage: Stage, stack: ExitStack, name: str) -> Worker:
    worker = Worker(stage.at.bootstrap, stage.home / f"{name}.log", guarantee=stage.guarantee)
    return stack.enter_context(worker)


def _all_ready(crew: list[Worker]) -> None:
    """Wait until every worker is ready and has partitions."""

    def owned(worker: Worker) -> int:
        return len(worker.wait_ready()["details"]["partitions"])

    eventually("every worker owns partitions", lambda: all(owned(worker) for worker in crew))


def _has_decided(worker: Worker) -> bool:
    return worker.metric("notifier_records_total") > 0


def _wait_done(at: Cluster) -> None:
    """Wait until every event that is in the topics is decided."""
    ends: Counter[tuple[str, int]] = Counter()
    for topic in ("bank.transactions", "bank.balances", "shipping.events"):
        for message in at.read(topic):
            place = topic, int(message.partition() or 0)
            ends[place] = max(ends[place], int(message.offset() or 0) + 1)

    def is_done() -> bool:
        reached = decided_to(at)
        return all(reached.get(place, 0) >= end for place, end in ends.items())

    eventually("every event is decided", is_done, pause_s=0.5)


def _judge(stage: Stage, run: str, events: Events, kills: list[Kill], total: int) -> None:
    told = notifications(stage.at)
    takeovers = [_takeover_s(told, kill, partition) for kill in kills for partition in kill.partitions]
    progress = [kill.acknowledged / total for kill in kills]
    ours = [one for one in told if one["source_event_id"].startswith(f"{run}-")]
    counted = Counter((one["kind"], one["source_event_id"]) for one in ours)
    repeats = sum(counted.values()) - len(counted)
    figures(
        f"{run}: {total} events, {len(ours)} notifications, {repeats} repeated; kills at "
        f"{', '.join(f'{share:.0%}' for share in progress)}; takeover of {len(takeovers)} partitions: "
        f"p50 {statistics.median(takeovers):.1f} s, max {max(takeovers):.1f} s"
    )
    assert total == events.sent
    assert len(kills) == KILLS
    invalid = [share for share in progress if not LEAST_PROGRESS < share < MOST_PROGRESS]
    assert not invalid, "INVALID: a kill hit no work in flight"
    lost = events.expected - set(counted)
    assert not lost, f"{len(lost)} lost, such as {min(lost)}"
    assert set(counted) == events.expected, "somebody was told what nobody should be"
    if stage.guarantee == "exactly_once":
        assert not repeats, f"{repeats} told twice, such as {counted.most_common(3)}"
    _assert_repeats_are_equal(ours)
    assert max(takeovers) <= TAKEOVER_LIMIT_S
    report = conserved(stage.at, stage.guarantee)
    assert not report["violations"], report["violations"][:5]


def _takeover_s(told: list[dict[str, Any]], kill: Kill, partition: int) -> float:
    """Return the time from the kill to the next output of a partition."""
    after: list[int] = [
        one["appended_ms"]
        for one in told
        if int(one["headers"]["notifier.source"].split("/")[1]) == partition
        and one["appended_ms"] > kill.at_ms + IN_FLIGHT_MS
    ]
    assert after, f"partition {partition} never came back"
    return (min(after) - kill.at_ms) / 1000


def _assert_repeats_are_equal(told: list[dict[str, Any]]) -> None:
    """Compare repeats with the first, but for decided_at, ce_time and the time of the append."""
    known: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in sorted(told, key=lambda one: one["appended_ms"]):
        headers = {name: value for name, value in one["headers"].items() if name != "ce_time"}
        same = {name: value for name, value in one.items() if name not in ("decided_at", "appended_ms")}
        known[one["notification_id"]].append({**same, "headers": headers})
    for first, *repeats in known.values():
        for repeat in repeats:
            assert repeat == first
