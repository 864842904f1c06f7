"""How workers end and come back: told to stop at bad moments, standing still, drowning in dead letters, and
with no Kafka for longer than anybody's patience.

Run with -s for the figures.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, cluster, eventually, figures
from tests.harness.messages import (
    Record,
    grant_all,
    notifications,
    sent,
    transaction,
)
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(180)

SUBJECT = "ending:1"
DRAIN_LIMIT_S = 20.0
AT_ONCE_S = 2.0
HANGING = "before_commit:delay_ms=600000"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("endings")
    with cluster(home / "kafka") as running:
        with Worker(running.bootstrap, home / "granting.log") as worker:
            worker.wait_ready()
            grant_all(running, [SUBJECT])
            assert worker.terminate() == 0
        yield running


def _send(at: Cluster, *names: str) -> None:
    sent(at.producer(), [Record("bank.transactions", SUBJECT, transaction(SUBJECT, name)) for name in names])


def _told(at: Cluster, name: str) -> int:
    return sum(one["source_event_id"] == name for one in notifications(at))


def _says(worker: Worker, words: str) -> None:
    eventually(f"the worker says '{words}'", lambda: words in worker.log.read_text())


def _stop(worker: Worker) -> tuple[int, float]:
    """SIGTERM a worker; return its exit code and how long it took, in seconds."""
    began = time.monotonic()
    return worker.terminate(2 * DRAIN_LIMIT_S), time.monotonic() - began


@pytest.mark.parametrize(
    ("moment", "words", "failpoints"),
    [
        ("loading its kernel", "kernel: ", ""),
        ("connecting", "operations on", ""),
        ("restoring", "owns partition numbers", "restore:delay_ms=3000"),
    ],
)
def test_a_worker_stops_in_good_order_while(
    at: Cluster, tmp_path: Path, moment: str, words: str, failpoints: str
) -> None:
    with Worker(at.bootstrap, tmp_path / "worker.log", failpoints=failpoints) as worker:
        _says(worker, words)
        code, seconds = _stop(worker)
        figures(f"SIGTERM while {moment}: exit {code} after {seconds:.1f} s")
        assert code == 0, worker.log.read_text()
        assert seconds <= DRAIN_LIMIT_S
        assert "Traceback" not in worker.log.read_text()


def test_workers_stop_in_good_order_while_the_group_rebalances(at: Cluster, tmp_path: Path) -> None:
    with (
        Worker(at.bootstrap, tmp_path / "first.log") as first,
        Worker(at.bootstrap, tmp_path / "second.log") as second,
    ):
        first.wait_ready()
        _says(second, "operations on")
        for worker in (first, second):
            worker.process.send_signal(signal.SIGTERM)
        assert [worker.ended(DRAIN_LIMIT_S) for worker in (first, second)] == [0, 0]


def test_a_second_signal_ends_a_worker_at_once_and_loses_nothing(at: Cluster, tmp_path: Path) -> None:
    with Worker(at.bootstrap, tmp_path / "hangs.log", failpoints=HANGING) as worker:
        worker.wait_ready()
        _send(at, "twice-signalled")
        eventually("a transaction is open", lambda: at.read("messenger-delivery", "read_uncommitted"))
        worker.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert worker.process.poll() is None, "the first signal lets it finish its work"
        code, seconds = _stop(worker)
        figures(f"second SIGTERM: exit {code} after {seconds:.2f} s")
        assert code == 128 + signal.SIGTERM
        assert seconds <= AT_ONCE_S
    with Worker(at.bootstrap, tmp_path / "goes-on.log") as worker:
        eventually("the next one tells it", lambda: _told(at, "twice-signalled") == 1)
        assert worker.terminate() == 0


def test_work_that_does_not_end_is_abandoned_within_the_drain_time(at: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "hangs.log"
    with Worker(at.bootstrap, log, failpoints=HANGING, drain_timeout_s="5") as worker:
        worker.wait_ready()
        _send(at, "abandoned")
        time.sleep(1)
        code, seconds = _stop(worker)
        figures(f"hanging work, drain time 5 s: exit {code} after {seconds:.1f} s")
        assert code == 0
        assert seconds <= 5
    with Worker(at.bootstrap, tmp_path / "goes-on.log") as worker:
        eventually("the next one tells it", lambda: _told(at, "abandoned") == 1)
        assert worker.terminate() == 0


@pytest.mark.parametrize("point", ["after_decide", "event_read"])
def test_a_worker_that_stands_still_is_not_ready_and_starts_anew(
    at: Cluster, tmp_path: Path, point: str
) -> None:
    """The task hangs in the first case; in the second the reader gets nothing any more."""
    stalled = f"{point}:delay_ms=600000:nth={1 if point == 'after_decide' else 40}"
    log = tmp_path / "still.log"
    with Worker(at.bootstrap, log, failpoints=stalled, stall_timeout_s="16", drain_timeout_s="5") as worker:
        worker.wait_ready()
        time.sleep(0 if point == "after_decide" else 2)  # idle reads count too
        began = time.monotonic()
        while "kernel: ready" not in log.read_text().partition("starts anew")[2]:
            _send(at, f"{point}-{time.monotonic():.3f}")
            time.sleep(0.5)
            assert time.monotonic() - began < 90, log.read_text()
        figures(f"{point}: started anew after {time.monotonic() - began:.0f} s, stall timeout 16 s")
        assert worker.process.poll() is None
        assert "have stood still for 16 s and more" in log.read_text()
    with Worker(at.bootstrap, tmp_path / "goes-on.log") as worker:
        _send(at, f"{point}-last")
        eventually("everything is told", lambda: _told(at, f"{point}-last") == 1)
        told = [one["source_event_id"] for one in notifications(at)]
        assert len(told) == len(set(told))
        assert worker.terminate() == 0


def test_an_idle_worker_does_not_stand_still(at: Cluster, tmp_path: Path) -> None:
    with Worker(at.bootstrap, tmp_path / "idle.log", stall_timeout_s="10") as worker:
        worker.wait_ready()
        _send(at, "before-idling")
        time.sleep(20)  # twice what a standstill may last
        assert worker.get("/readyz")[0] == 200
        assert worker.metric("notifier_stalled_partitions") == 0
        assert worker.terminate() == 0
        assert "starts anew" not in worker.log.read_text()


def test_a_worker_stops_when_most_of_what_comes_in_is_dead(at: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "breaks.log"
    with Worker(at.bootstrap, log, dead_letter_window_records="200", dead_letter_percent="60") as worker:
        worker.wait_ready()
        _send(at, *(f"good-{number}" for number in range(100)))
        eventually("the good ones are told", lambda: _told(at, "good-99"))
        sent(at.producer(), [Record("bank.transactions", SUBJECT, b"no schema")] * 99)
        eventually("half is dead", lambda: worker.metric("notifier_dead_letter_ratio") > 0.4)
        assert worker.process.poll() is None
        sent(at.producer(), [Record("bank.transactions", SUBJECT, b"no schema")] * 60)
        assert worker.ended(DRAIN_LIMIT_S) == 1
    said = worker.log.read_text()
    assert "went to dead letters, more than 60 %: this worker stops" in said
    assert "Traceback" not in said
    dead = [message for message in at.read("notifier.dead-letters") if message.key() == SUBJECT.encode()]
    assert len(dead) == 159


def test_a_worker_waits_for_a_kafka_that_is_away_for_long(tmp_path: Path) -> None:
    """Longer than 60 s, after which it gave up once; and it stops in good order meanwhile."""
    with (
        cluster(tmp_path / "kafka") as at,
        Worker(at.bootstrap, tmp_path / "stops.log") as stops,
        Worker(at.bootstrap, tmp_path / "waits.log") as waits,
    ):
        waits.wait_ready()
        stops.wait_ready()
        grant_all(at, [SUBJECT])
        at.running.stop()
        eventually("it is not ready", lambda: "Kafka does not answer" in waits.get("/readyz")[1])
        code, seconds = _stop(stops)
        figures(f"SIGTERM without a Kafka: exit {code} after {seconds:.1f} s")
        assert code == 0
        assert seconds <= DRAIN_LIMIT_S
        time.sleep(65)  # longer than the 60 s after which refusals end a worker
        at.start_again()
        began = time.monotonic()
        _send(at, "after-the-outage")
        eventually("it goes on by itself", lambda: _told(at, "after-the-outage") == 1)
        figures(f"Kafka away for over 65 s: told {time.monotonic() - began:.1f} s after its return")
        eventually("it is ready", lambda: waits.get("/readyz")[0] == 200)
        assert waits.terminate() == 0
        assert waits.log.stat().st_size < 100_000
