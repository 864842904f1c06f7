"""The worker processes of a run, its broker and the way between them, and what is done to each."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from streams.kafka.broker import broker_status
from tests.chaos.scenarios import Planned
from tests.chaos.stream import Stream
from tests.harness import clocks
from tests.harness.cluster import Cluster, eventually, kafka_tool
from tests.harness.disk import full
from tests.harness.messages import now_ms, transaction
from tests.harness.proxy import Api, Harm, Proxy
from tests.harness.trio import Trio
from tests.harness.worker import Worker

DRAIN_LIMIT_S = 20.0
MOST_WORKERS = 5
READY_S = 90.0
STRIKE_LIMIT_S = 30.0
MOST_HITS = 5
RARE_POINTS = {"acquired": 1, "restore": 1, "on_revoke": 2}
"""Passed once in a while, `on_revoke` also when a worker joins: the time at which to die there."""
JOINED_S = 10.0
NODE_AWAY_S = 3.0
"""A broker's session: the others must have gone on without it."""
OPEN_S = 0.3
"""How long a producer's transaction stays open: readers of committed records wait behind it."""
EVENTS, GROUP = "bank.transactions", "notifier"
QUOTA, QUOTA_BYTES_PER_S = "producer_byte_rate", 10_240
QUOTA_WINDOW_S = 11.0
"""Kafka's default, over which it counts: no answer is held for longer."""


class Crew:
    """Workers by arrival; a context manager that ends those that are left.

    Args:
        proxy: the way to the broker, where requests are harmed.
        has_clocks: every worker has a clock of its own, which can be set.
    """

    def __init__(
        self,
        at: Cluster,
        folder: Path,
        guarantee: str,
        workers: int,
        proxy: Proxy | None = None,
        *,
        has_clocks: bool = False,
    ) -> None:
        self._at = at
        self._has_clocks = has_clocks
        self._proxy = proxy
        self._folder = folder
        self._guarantee = guarantee
        self._started = 0
        self._least = workers
        self.workers = [self._start() for _ in range(workers)]
        self.exits: list[int] = []
        self._began = 0
        self._looked: list[dict[str, float]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.__exit__()

    def logs(self) -> list[Path]:
        """Return the logs of all workers there ever were."""
        return sorted(self._folder.glob("worker-*.log"))

    def settle(self) -> None:
        """Wait until every worker is ready and every partition number has its owner."""

        def owned() -> bool:
            found = [worker.wait_ready(READY_S)["details"]["partitions"] for worker in self.workers]
            return sum(map(len, found)) == self._at.partitions

        eventually("every partition number has an owner", owned, READY_S, pause_s=0.3)

    def do(self, fault: Planned) -> dict[str, Any]:
        """Do what is planned, until it is over; return when it began and which partitions it met."""
        actions: dict[str, Callable[[Planned], list[int]]] = {
            "crash": self._crash,
            "net": self._harm,
            "kill": self._kill,
            "terminate": self._terminate,
            "pause": self._pause,
            "join": self._join,
            "leave": self._leave,
            "broker_kill": self._broker_kill,
            "broker_terminate": self._broker_terminate,
            "broker_pause": self._broker_pause,
            "node_kill": self._node_kill,
            "node_terminate": self._node_terminate,
            "disk_full": self._disk_full,
            "look": self._look,
            "throttle": self._throttle,
            "clock": self._clock,
            "abort": self._abort,
        }
        self._began = now_ms()
        partitions = actions[fault.kind.split()[0]](fault)
        done = {
            "kind": fault.kind, "workers": fault.workers, "at_ms": self._began,
            "lasted_ms": now_ms() - self._began, "partitions": partitions,
        }  # fmt: skip
        if self._looked:
            done["looked"], self._looked = self._looked, []
        return done

    def end(self) -> None:
        """Stop every worker in good order."""
        for worker in self.workers:
            self.exits.append(worker.terminate(DRAIN_LIMIT_S))
        self.workers = []

    def _start(self, failpoints: str = "") -> Worker:
        self._started += 1
        log = self._folder / f"worker-{self._started:03d}.log"
        bootstrap = self._at.bootstrap if self._proxy is None else self._proxy.bootstrap
        clock = clocks.variables(_clock_of(log)) if self._has_clocks else None
        return Worker(bootstrap, log, clock, guarantee=self._guarantee, failpoints=failpoints)

    def _victim(self, fault: Planned) -> Worker:
        return self.workers[int(fault.chance * len(self.workers))]

    @staticmethod
    def _owned(worker: Worker) -> list[int]:
        return [int(name) for name in worker.wait_ready(READY_S)["details"]["partitions"]]

    def _crash(self, fault: Planned) -> list[int]:
        """Put a worker in another's place that kills itself at the fault's crash point."""
        point, victim = fault.kind.split()[1], self._victim(fault)
        self.exits.append(victim.terminate(DRAIN_LIMIT_S))
        nth = RARE_POINTS.get(point) or 1 + int(fault.chance * MOST_HITS)
        dying = self._start(failpoints=f"{point}:kill:nth={nth}")
        self.workers[self.workers.index(victim)] = dying
        if point == "on_revoke":  # the next to join takes something away from it
            with contextlib.suppress(subprocess.TimeoutExpired):
                dying.ended(JOINED_S)
            self._replace(dying)
            assert dying.ended(READY_S) == -signal.SIGKILL
        else:
            assert dying.ended(READY_S) == -signal.SIGKILL
            self._replace(dying)
        return []

    def _harm(self, fault: Planned) -> list[int]:
        _, harm, api = fault.kind.split()
        assert self._proxy is not None
        struck = self._proxy.strike(Api[api], Harm(harm), STRIKE_LIMIT_S)
        assert struck, f"no {api} came in {STRIKE_LIMIT_S:.0f} s"
        self._began = now_ms()  # not when it was asked for: the request may be long in coming
        time.sleep(fault.lasts_s)
        return []

    def _replace(self, victim: Worker) -> None:
        self.workers[self.workers.index(victim)] = self._start()

    def _kill(self, fault: Planned) -> list[int]:
        """Kill as many as are planned at once, then start as many."""
        first = int(fault.chance * len(self.workers))
        victims = [
            self.workers[(first + more) % len(self.workers)]
            for more in range(min(fault.workers, len(self.workers)))
        ]
        owned = [number for victim in victims for number in self._owned(victim)]
        for victim in victims:
            victim.process.kill()
        for victim in victims:
            victim.kill()
            self._replace(victim)
        return owned

    def _terminate(self, fault: Planned) -> list[int]:
        victim = self._victim(fault)
        owned = self._owned(victim)
        self.exits.append(victim.terminate(DRAIN_LIMIT_S))
        self._replace(victim)
        return owned

    def _pause(self, fault: Planned) -> list[int]:
        victim = self._victim(fault)
        owned = self._owned(victim)
        victim.process.send_signal(signal.SIGSTOP)
        time.sleep(fault.lasts_s)
        victim.wake()
        return owned

    def _join(self, _: Planned) -> list[int]:
        if len(self.workers) < MOST_WORKERS:
            self.workers.append(self._start())
        return []

    def _leave(self, fault: Planned) -> list[int]:
        if len(self.workers) <= self._least:
            return self._terminate(fault)
        victim = self._victim(fault)
        owned = self._owned(victim)
        self.exits.append(victim.terminate(DRAIN_LIMIT_S))
        self.workers.remove(victim)
        return owned

    def _broker_kill(self, _: Planned) -> list[int]:
        self._at.running.kill()
        self._at.start_again()
        return list(range(self._at.partitions))

    def _broker_terminate(self, _: Planned) -> list[int]:
        self._at.running.stop()
        self._at.start_again()
        return list(range(self._at.partitions))

    def _broker_pause(self, fault: Planned) -> list[int]:
        os.kill(self._at.running.pid, signal.SIGSTOP)
        try:
            time.sleep(fault.lasts_s)
        finally:
            os.kill(self._at.running.pid, signal.SIGCONT)
        return list(range(self._at.partitions))

    def _node_kill(self, fault: Planned) -> list[int]:
        """Kill the one of three brokers that has a role, and start it again."""
        assert isinstance(self._at, Trio)
        number = self._at.node_with(fault.kind.split()[1], EVENTS, GROUP)
        self._began = now_ms()  # not when it was looked for
        self._at.kill_node(number)
        time.sleep(NODE_AWAY_S)
        self._at.start_node(number)
        return []

    def _node_terminate(self, fault: Planned) -> list[int]:
        assert isinstance(self._at, Trio)
        number = int(fault.kind.split()[1])
        self._at.stop_node(number)
        self._at.start_node(number)
        return []

    def _disk_full(self, fault: Planned) -> list[int]:
        """Fill the broker's disk, which ends it, free it again, and start the broker."""
        home = self._at.running.home
        with full(home):
            eventually("the broker ends", lambda: broker_status(home) is None, READY_S)
            time.sleep(fault.lasts_s)  # as planned: workers wait for a broker meanwhile
        self._at.start_again()
        return list(range(self._at.partitions))

    def _look(self, _: Planned) -> list[int]:
        """Note what each worker holds."""
        self._looked = [
            {
                "resident_mib": round(worker.metric("process_resident_memory_bytes") / 2**20, 1),
                "open_files": int(worker.metric("process_open_fds")),
            }
            for worker in self.workers
        ]
        return []

    def _throttle(self, fault: Planned) -> list[int]:
        """Set a quota on what workers may write, and take it away; answers are still held for a while."""
        self._quota("--add-config", f"{QUOTA}={QUOTA_BYTES_PER_S}")
        self._began = now_ms()  # not when the tool was started
        time.sleep(fault.lasts_s)  # as planned
        self._quota("--delete-config", QUOTA)
        time.sleep(QUOTA_WINDOW_S)
        return []

    def _quota(self, *change: str) -> None:
        whom = ("--entity-type", "clients", "--entity-name", GROUP)
        kafka_tool(self._at, "kafka.admin.ConfigCommand", "--alter", *change, *whom)

    def _clock(self, fault: Planned) -> list[int]:
        """Let a worker's clock jump, and jump back."""
        clock = _clock_of(self._victim(fault).log)
        clocks.shift(clock, int(fault.kind.split()[1]))
        time.sleep(fault.lasts_s)  # as planned: batches are decided at the wrong time
        clocks.shift(clock, 0)
        return []

    def _abort(self, _: Planned) -> list[int]:
        """Let a producer of events abort what it wrote: nobody may ever be told of it."""
        producer = self._at.producer(**{"transactional.id": f"bank-{self._began}"})
        producer.init_transactions(READY_S)
        producer.begin_transaction()
        for number, subject in enumerate(Stream.subjects()):
            producer.produce(EVENTS, transaction(subject, f"aborted-{self._began}-{number}"), subject)
        producer.flush(READY_S)
        time.sleep(OPEN_S)
        producer.abort_transaction(READY_S)
        return []


def _clock_of(log: Path) -> Path:
    return log.with_suffix(".clock")
