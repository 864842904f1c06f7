"""The worker processes of a run and its broker, and what is done to them."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.chaos.scenarios import Planned
from tests.harness.cluster import Cluster, eventually
from tests.harness.messages import now_ms
from tests.harness.worker import Worker

DRAIN_LIMIT_S = 20.0
MOST_WORKERS = 5
READY_S = 90.0


class Crew:
    """Workers by arrival; a context manager that ends those that are left."""

    def __init__(self, at: Cluster, folder: Path, guarantee: str, workers: int) -> None:
        self._at = at
        self._folder = folder
        self._guarantee = guarantee
        self._started = 0
        self._least = workers
        self.workers = [self._start() for _ in range(workers)]
        self.exits: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
            "kill": self._kill,
            "terminate": self._terminate,
            "pause": self._pause,
            "join": self._join,
            "leave": self._leave,
            "broker_kill": self._broker_kill,
            "broker_terminate": self._broker_terminate,
            "broker_pause": self._broker_pause,
        }
        began = now_ms()
        partitions = actions[fault.kind](fault)
        return {"kind": fault.kind, "at_ms": began, "lasted_ms": now_ms() - began, "partitions": partitions}

    def end(self) -> None:
        """Stop every worker in good order."""
        for worker in self.workers:
            self.exits.append(worker.terminate(DRAIN_LIMIT_S))
        self.workers = []

    def _start(self) -> Worker:
        self._started += 1
        log = self._folder / f"worker-{self._started:03d}.log"
        return Worker(self._at.bootstrap, log, guarantee=self._guarantee)

    def _victim(self, fault: Planned) -> Worker:
        return self.workers[int(fault.chance * len(self.workers))]

    @staticmethod
    def _owned(worker: Worker) -> list[int]:
        return [int(name) for name in worker.wait_ready(READY_S)["details"]["partitions"]]

    def _replace(self, victim: Worker) -> None:
        self.workers[self.workers.index(victim)] = self._start()

    def _kill(self, fault: Planned) -> list[int]:
        victim = self._victim(fault)
        owned = self._owned(victim)
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
        self.workers.remove(victim)
        self.exits.append(victim.terminate(DRAIN_LIMIT_S))
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
