"""Other programs under the same faults: each does the benchmark's join while it and the broker are killed.

Judged from the topics alone, by the benchmark's own computation of what must come out: what is missing, what
is there twice. Kafka Streams with exactly_once_v2 is the calibration: a judge that finds anything there is
wrong. Sessions of 6 s for all, so that a killed program comes back as fast as ours. Read next: `__main__.py`.
"""

import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench.cluster import Cluster
from bench.contender import Contender, Stage, start, stop
from bench.contenders import kafka_streams, naive, ours, python_peers
from bench.judge import Judge
from bench.workload import PARTITIONS, Workload
from streams.kafka.broker import start_broker
from streams.wire.topics import BANK_TRANSACTIONS, CONSENT_REQUESTS, TOPICS
from tests.harness import cluster as harness

EVENTS_PER_S = 1_000
SUBJECTS = 2_000
SESSION_S = 6
BEFORE_S, BETWEEN_S, AFTER_S = 4.0, 3.0, 4.0
AHEAD_S = 10.0
"""The first event's time: consents count from when they are appended, which takes a moment."""
BACK_S, END_S = 90.0, 120.0


def _naive(guarantee: str) -> Contender:
    def environment(bootstrap: str) -> Mapping[str, str]:
        return {
            **naive.NAIVE.environment(bootstrap),
            "BENCH_GUARANTEE": guarantee,
            "BENCH_SESSION_S": str(SESSION_S),
        }

    return replace(naive.NAIVE, name=f"naive-faust-{guarantee.replace('_', '-')}", environment=environment)


def _quix() -> Contender:
    consumer: dict[str, Any] = {
        **python_peers.CONFLUENT["consumer"],
        "session.timeout.ms": SESSION_S * 1000,
    }
    settings = {
        **python_peers.QUIX,
        "processing_guarantee": "exactly-once",
        "consumer_extra_config": consumer,
    }
    return python_peers.peer(
        "quix-streams-exactly-once", "quix_join", settings, timed_events=1, is_exact=True
    )


def _streams(guarantee: str) -> Contender:
    return kafka_streams.contender(
        guarantee, "tuned", "memory", {"consumer.session.timeout.ms": str(SESSION_S * 1000)}
    )


PEERS = {
    one.name: one
    for one in (
        *ours.CONTENDERS[:2],
        _streams("exactly_once_v2"),
        _streams("at_least_once"),
        _naive("at_least_once"),
        _naive("exactly_once"),
        _quix(),
    )
}


def run_peer(name: str, kills: int, broker_kills: int, seed: int) -> dict[str, Any]:
    """Run one program under so many kills of it and of the broker; return what was found."""
    contender = PEERS[name]
    with (
        tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as scratch,
        start_broker(Path(scratch) / "kafka", partitions=PARTITIONS) as broker,
    ):
        stage = Stage(Cluster(broker.bootstrap), Path(scratch))
        stage.cluster.create({topic.name: topic.config for topic in TOPICS})
        begins_ms = int((time.time() + AHEAD_S) * 1000)
        work = Workload(_events(kills, broker_kills), begins_ms, seed, subjects=SUBJECTS)
        stage.cluster.fill(CONSENT_REQUESTS, work.grants(), lambda _: None)
        contender.load(stage)
        contender.reset(stage)
        stage.cluster.find_coordinator(contender.group, BANK_TRANSACTIONS)
        at = harness.Cluster(broker, PARTITIONS)
        sent, struck = _strike(contender, stage, at, work, kills, broker_kills)
        committed = stage.cluster.committed(contender.group, BANK_TRANSACTIONS)
        ids = stage.cluster.notification_ids(contender.output_topic)
        found = Judge(work).tally(ids, committed, is_exact=contender.is_exact)
    return {"peer": name, "events": sent, **struck, **found, "undone": sent - sum(committed)}


def _events(kills: int, broker_kills: int) -> int:
    """Return more events than can be sent while this lasts."""
    return int(EVENTS_PER_S * (BEFORE_S + AFTER_S + (kills + broker_kills) * (BETWEEN_S + BACK_S)))


def _strike(
    contender: Contender, stage: Stage, at: harness.Cluster, work: Workload, kills: int, broker_kills: int
) -> tuple[int, dict[str, Any]]:
    """Send events, kill, start again, wait for the end; return how many were sent, and what was done."""
    feed = _Feed(stage.cluster.bootstrap, work)
    process = start(contender, stage)
    exits = 0
    try:
        _comes_on(contender, stage, feed)
        for number in range(kills + broker_kills):
            time.sleep(BETWEEN_S)
            if number < kills:
                process.kill()
                process.wait()
                process = start(contender, stage)
            else:
                at.running.kill()
                at.start_again()
            exits += _comes_on(contender, stage, feed, process)
            if process.poll() is not None:
                process = start(contender, stage)
        time.sleep(AFTER_S)
        sent = feed.finish()
        deadline = time.monotonic() + END_S
        while (
            stage.cluster.progress(contender.group, BANK_TRANSACTIONS) < sent and time.monotonic() < deadline
        ):
            if process.poll() is not None:
                exits += 1
                process = start(contender, stage)
            time.sleep(0.5)
    finally:
        feed.finish()
        stop(process)
    return sent, {"kills": kills, "broker_kills": broker_kills, "ended_by_itself": exits}


def _comes_on(
    contender: Contender, stage: Stage, feed: "_Feed", process: "subprocess.Popen[bytes] | None" = None
) -> int:
    """Wait until it commits again, at most BACK_S; return how often it had ended by itself meanwhile."""
    feed.start()
    before = stage.cluster.progress(contender.group, BANK_TRANSACTIONS)
    deadline = time.monotonic() + BACK_S
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            return 1
        if stage.cluster.progress(contender.group, BANK_TRANSACTIONS) > before:
            return 0
        time.sleep(0.2)
    return 0


class _Feed:
    """Sends the workload's events at their pace, in a thread, until it is told to finish."""

    def __init__(self, bootstrap: str, work: Workload) -> None:
        self._work = work
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed")
        self._sent = 0

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def finish(self) -> int:
        """Send no more; return how many were sent, all of them acknowledged."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        return self._sent

    def _run(self) -> None:
        began = time.monotonic()
        produce = partial(self._producer.produce, BANK_TRANSACTIONS)
        for number, (key, value) in enumerate(self._work.messages()):
            while (ahead := began + number / EVENTS_PER_S - time.monotonic()) > 0:
                self._producer.poll(0)
                self._stop.wait(min(ahead, 0.02))
            if self._stop.is_set():
                break
            produce(value, key)
            self._sent = number + 1
        left = self._producer.flush(60)
        if left:
            raise RuntimeError(f"{left} events are not acknowledged")
