"""A Kafka of a few hundred lines: logs with transactions, epochs, group offsets, and a network that fails.

What it knows of the protocol: InitProducerId bumps the epoch and aborts what is open; a request of an older
epoch is fenced, whenever it arrives; a batch that comes twice is written once; EndTxn writes a marker to each
partition and bumps the epoch (KIP-890, part 2); a transaction that stays open too long is aborted; committed
reading ends at the first open transaction; a broker that starts again may forget some or all markers of one
(docs/reliability, S7), which the next of the same producer there then ends. Written from the protocol, not
from the product.
"""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from random import Random
from typing import NamedTuple, Protocol, TypeVar

from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, ProducerFenced

from streams.core.pseudonyms import SALT_BYTES
from streams.kafka.transaction_traces import LastTransaction
from streams.kernel.record_batch import RecordBatch

BASE_MS = 1_800_000_000_000
LONGEST_TRANSACTION_S = 10.0
LATEST_S = 20.0
"""How late a request may arrive that its sender has given up."""
LOST, LATE, UNANSWERED, TWICE, SLOW = 0.01, 0.01, 0.01, 0.01, 0.05
LOST_MARKERS = 0.01
NEVER_USED = LastTransaction(None, is_initialised=False, producer=(0, -1))
MOST_RECORDS = 50

Slot = tuple[str, int]
Result = TypeVar("Result")


class Client(Protocol):
    """Who sends a request: while it is paused, answers wait."""

    async def awake(self) -> None:
        """Return once it runs."""


CLIENT: contextvars.ContextVar[Client] = contextvars.ContextVar("client")


class State(Enum):
    """Of a transaction."""

    OPEN = 1
    COMMITTED = 2
    ABORTED = 3


@dataclass(eq=False)
class Part:
    """What one transaction wrote to one partition; `truth`: how it ended, where the marker was lost."""

    begins: int
    state: State = State.OPEN
    truth: State = State.OPEN


@dataclass(eq=False)
class Transaction:
    """What was written together."""

    since_s: float
    parts: dict[Slot, Part] = field(default_factory=dict)


class Entry(NamedTuple):
    """A record, or the marker of a transaction's end."""

    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    part: Part | None = None
    is_marker: bool = False

    @property
    def is_readable(self) -> bool:
        """Tell whether committed reading shows it."""
        done = self.part is None or self.part.state is State.COMMITTED
        return done and not self.is_marker


@dataclass
class Producer:
    """A transactional id: its epoch, its open transaction, and what each partition has of it: records, the
    last epoch, and parts without end marker; of the group, offsets without end marker.
    """

    epoch: int = -1
    open: Transaction | None = None
    written: dict[Slot, int] = field(default_factory=dict)
    epochs: dict[Slot, int] = field(default_factory=dict)
    unfinished: dict[Slot, list[Part]] = field(default_factory=dict)
    offsets: dict[Slot, int] = field(default_factory=dict)
    truth: State = State.OPEN
    last: LastTransaction = NEVER_USED


class SimCluster:
    """Everything that is shared and survives workers."""

    def __init__(self, chance: Random, topics: Mapping[str, int]) -> None:
        self.chance = chance
        self.draw_salt = partial(Random(0).randbytes, SALT_BYTES)
        self.is_faulty = True
        self.logs: dict[Slot, list[Entry]] = {
            (topic, partition): [] for topic, count in topics.items() for partition in range(count)
        }
        self.offsets: dict[Slot, int] = {}
        self.producers: dict[str, Producer] = {}
        self.needs_person = False
        """A worker has said that only a person can tell how something ended."""
        self.starts = 0
        """Of the broker: each breaks all connections."""
        self.changed = asyncio.Event()

    def now_ms(self) -> int:
        """Return the time of day, in UTC milliseconds."""
        return BASE_MS + int(asyncio.get_running_loop().time() * 1000)

    def end(self, slot: Slot) -> int:
        """Return where a log ends."""
        return len(self.logs[slot])

    def stable(self, slot: Slot) -> int:
        """Return where committed reading ends."""
        for offset, entry in enumerate(self.logs[slot]):
            if entry.part is not None and entry.part.state is State.OPEN:
                return offset
        return len(self.logs[slot])

    def append(self, slot: Slot, entry: Entry) -> int:
        """Append to a log; return the offset."""
        self.logs[slot].append(entry)
        return len(self.logs[slot]) - 1

    def finish(self, producer: Producer, state: State) -> None:
        """End what a producer has open: a marker goes to every partition that it wrote to, or is lost."""
        ended, producer.open = producer.open, None
        producer.epoch += 1
        producer.written.clear()
        if ended is None:
            return
        producer.last = LastTransaction(
            state is State.COMMITTED,
            is_initialised=False,
            producer=(0, producer.epoch),
            epochs=(producer.epoch - 1,),
        )
        loses = self.is_faulty and self.chance.random() < LOST_MARKERS
        share = self.chance.choice((0.5, 1.0)) if loses else 0.0
        self.starts += loses
        for slot, part in sorted(ended.parts.items()):
            part.truth = state
            if self.chance.random() >= share:
                self._mark(producer, slot, state)
        producer.truth = state
        if self.chance.random() >= share:
            self._mark_offsets(producer, state)

    def _mark(self, producer: Producer, slot: Slot, state: State) -> None:
        producer.epochs[slot] = producer.epoch
        for part in producer.unfinished.pop(slot):
            part.state = state
        self.append(slot, Entry(self.now_ms(), None, None, [], None, is_marker=True))

    def _mark_offsets(self, producer: Producer, state: State) -> None:
        if state is State.COMMITTED:
            self.offsets |= producer.offsets
        producer.offsets.clear()

    def mend(self) -> None:
        """End what hangs as it had ended: what an operator does who has looked at the records."""
        for producer in self.producers.values():
            for slot, parts in sorted(producer.unfinished.items()):
                if producer.open is None or slot not in producer.open.parts:
                    self._mark(producer, slot, parts[0].truth)
            if producer.open is None and producer.offsets:
                self._mark_offsets(producer, producer.truth)
        self._tell()

    def read(self, slot: Slot, position: int, most: int = MOST_RECORDS) -> RecordBatch | None:
        """Return committed records from `position` on; None when there is nothing new."""
        end = min(self.stable(slot), position + most)
        if end <= position:
            return None
        found = [(at, self.logs[slot][at]) for at in range(position, end) if self.logs[slot][at].is_readable]
        return RecordBatch(
            *slot,
            [at for at, _ in found],
            [one.at_ms for _, one in found],
            [one.key for _, one in found],
            [one.value for _, one in found],
            [one.headers for _, one in found],
            position,
            end,
        )

    async def ask(self, apply: Callable[[], Result]) -> Result:
        """Send a request and wait for its answer; both may go wrong, at any moment.

        Raises:
            KafkaConnectionError, KafkaTimeoutError: nobody knows whether it was done, or will be.
        """
        client, chance = CLIENT.get(), self.chance
        fate = chance.random() if self.is_faulty else 1.0
        there, back = self._delay(), self._delay()
        if (fate := fate - LOST) < 0:
            await asyncio.sleep(there)
            raise KafkaConnectionError
        if (fate := fate - LATE) < 0:
            asyncio.get_running_loop().call_later(chance.uniform(0, LATEST_S), _in_vain, apply)
            await asyncio.sleep(chance.uniform(0, 2))
            raise KafkaTimeoutError
        try:
            await asyncio.sleep(there)
        except asyncio.CancelledError:  # its sender gave up, or died; it is on its way all the same
            asyncio.get_running_loop().call_later(chance.uniform(0, there), _in_vain, apply)
            raise
        result = apply()
        if (fate := fate - TWICE) < 0:
            _in_vain(apply)
        self._tell()
        await asyncio.sleep(back)
        await client.awake()
        if fate - UNANSWERED < 0:
            raise KafkaConnectionError
        return result

    async def expire(self) -> None:
        """Abort transactions that stay open for too long, for ever."""
        while True:
            await asyncio.sleep(1)
            now = asyncio.get_running_loop().time()
            for producer in self.producers.values():
                open_ = producer.open
                if open_ is not None and now - open_.since_s > LONGEST_TRANSACTION_S:
                    self.finish(producer, State.ABORTED)
            self._tell()

    def _delay(self) -> float:
        chance = self.chance
        if self.is_faulty and chance.random() < SLOW:
            return chance.uniform(0, 1)
        return chance.uniform(0.0005, 0.005)

    def _tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


def _in_vain(apply: Callable[[], object]) -> None:
    """Do what nobody waits for any more."""
    try:
        apply()
    except (ProducerFenced, KafkaConnectionError):
        return
