"""A paced producer in a thread of its own, which goes on until it is told to finish."""

import threading
import time
from collections.abc import Callable
from typing import Any, Self

from confluent_kafka import Message

from tests.harness.cluster import Cluster
from tests.harness.messages import Record


class Load:
    """Sends `make(0)`, `make(1)` ... at `per_s`, each at its own time, at most `limit`; a context manager."""

    def __init__(self, at: Cluster, per_s: float, limit: int, make: Callable[[int], Record]) -> None:
        self._make = make
        self._per_s = per_s
        self._limit = limit
        self._producer = at.producer(**{"linger.ms": 1, "enable.idempotence": True, "log_level": 0})
        self._acknowledged = 0
        self._failed: list[Any] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    @property
    def acknowledged(self) -> int:
        """Return how many records are acknowledged so far."""
        return self._acknowledged

    def finish(self) -> int:
        """Send no more, wait for the last acknowledgement, and return how many there were."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the load did not end"
        assert not self._failed, self._failed[:3]
        return self._acknowledged

    def _run(self) -> None:
        started = time.monotonic()
        for number in range(self._limit):
            while (ahead := started + number / self._per_s - time.monotonic()) > 0:
                self._producer.poll(0)
                if self._stop.wait(min(ahead, 0.05)):
                    break
            if self._stop.is_set():
                break
            record = self._make(number)
            self._producer.produce(
                record.topic, record.value, record.key, partition=record.partition, on_delivery=self._told
            )
        else:
            self._failed.append(f"all {self._limit} records were sent before the test was done")
        self._producer.flush(60)

    def _told(self, error: Any, _: Message) -> None:
        if error is not None:
            self._failed.append(error)
        else:
            self._acknowledged += 1
