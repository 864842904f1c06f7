"""One transactional id per owned partition number, and what its errors mean.

`open` bumps the epoch of the transactional id: it fences every earlier owner and ends their open transaction,
so whatever is read afterwards is final. Every step has a deadline, and after any error everything is thrown
away: only the committed offsets tell what happened. Source: DESIGN section 5, decision records 0003 and 0007.
Read next: `committers/exactly_once.py`.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced, TopicAuthorizationFailedError
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.errors import FencedError, LateWriteError, OutcomeUnknownError, TornTransactionError
from streams.failpoints import reach
from streams.kafka.batch_header import LZ4
from streams.kafka.pace import within
from streams.kafka.transaction_requests import LATEST_VERSION, TransactionRequests
from streams.kafka.transaction_traces import LastTransaction, Trace
from streams.kafka.write_set import BATCH_BYTES, Slot, Slotted, WriteSet
from streams.settings import Settings

CLOSE_TIMEOUT_S = 5.0


class UnfinishedTransactionError(KafkaError):  # type: ignore[misc]  # aiokafka ships no types
    """The transaction before has no end markers: this one would end it."""


class TransactionalProducer:
    """The producer of one (space, partition number).

    `is_open` is False after any failure until it is opened again.

    Args:
        slots: every partition that it may write to.
        first_sequence, latest_version: see TransactionRequests.
    """

    def __init__(
        self,
        settings: Settings,
        space: str,
        partition: int,
        slots: Collection[Slot],
        first_sequence: int = 0,
        latest_version: int = LATEST_VERSION,
    ) -> None:
        self._settings = settings
        self._id = f"{settings.app_id}.{space}.{partition}"
        self._slots = slots
        self._requests: TransactionRequests | None = None
        self._last: LastTransaction | None = None
        self._first_sequence = first_sequence
        self._latest_version = latest_version

    @property
    def is_open(self) -> bool:
        """Tell whether transactions can be made."""
        return self._requests is not None

    async def open(self) -> None:
        """Initialise the transactional id anew, fencing any other user of it.

        Raises:
            OutcomeUnknownError: the cluster did not answer in time.
        """
        await self.close()
        requests = TransactionRequests(self._settings, self._id, self._first_sequence, self._latest_version)
        try:
            async with asyncio.timeout(self._timeout_s):
                await requests.start()
        except (KafkaError, TimeoutError) as error:
            await _close(requests)
            raise OutcomeUnknownError(
                f"transactional id {self._id}: not initialised ({type(error).__name__}); trying again"
            ) from error
        except BaseException:
            await _close(requests)
            raise
        finally:
            self._note(requests.last)
        self._requests = requests

    @property
    def was_committed(self) -> bool | None:
        """Tell how the last transaction had ended when it was opened; None: nobody knows."""
        return None if self._last is None else self._last.was_committed

    def _note(self, last: LastTransaction | None) -> None:
        """Keep how the last transaction ended, which Kafka forgets when the id is initialised.

        An `open` before this one may have done that, and failed later: no transaction came since if the epoch
        is of at most one more.
        """
        known = self._last
        if last is not None and last.is_initialised and known is not None:
            more = last.producer[1] - known.producer[1]
            if last.producer[0] == known.producer[0] and 0 <= more <= 1:
                last = last._replace(was_committed=known.was_committed, epochs=known.epochs)
        self._last = last or known

    async def unfinished(self) -> dict[Slot, int]:
        """Return where records of an earlier transaction still wait for its end, by slot their first offset.

        After `open` nothing may: Kafka has lost the end marker (it takes a partition without a leader for a
        deleted one), and the next transaction there would end this one with its own outcome.

        Raises:
            OutcomeUnknownError: no answer.
            TornTransactionError: `was_committed` is None and other partitions have their markers.
        """
        requests = self._opened()
        try:
            async with asyncio.timeout(self._timeout_s):
                traces = await requests.traces(self._slots)
        except TopicAuthorizationFailedError as error:
            raise OutcomeUnknownError(
                f"transactional id {self._id}: not allowed to read {error}, and so to see end markers that "
                "Kafka lost: grant the right to read on every topic that a worker writes to"
            ) from error
        except (KafkaError, TimeoutError) as error:
            raise OutcomeUnknownError(
                f"transactional id {self._id}: {type(error).__name__} for what is unfinished; trying again"
            ) from error
        left = _left_open(traces)
        if self._last is not None and any(traces[slot].epoch not in self._last.epochs for slot in left):
            self._last = self._last._replace(was_committed=None)  # it is of a transaction before the last
        if left and self.was_committed is None:
            last = min(traces[slot].epoch for slot in left)
            before = last if requests.version > 1 else last - 1  # until then transactions share epochs
            ended = [slot for slot, trace in traces.items() if slot not in left and trace.epoch > before]
            if ended:
                raise TornTransactionError(_torn(self._id, left, ended))
        return left

    async def is_whole(self) -> bool:
        """Tell whether nothing is known to wait for its end, asking only if a connection broke since.

        True also while nobody answers: the next call, or transaction, asks again.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._is_whole(self._opened())
        except (KafkaError, TimeoutError):
            return True

    async def finish(self, slots: Collection[Slot], group_id: str) -> None:
        """Have end markers written to these partitions and for the group's offsets, and close.

        As committed if the transaction was, else as aborted.

        Raises:
            OutcomeUnknownError: no answer.
        """
        requests = self._opened()
        try:
            async with asyncio.timeout(self._timeout_s):
                await requests.mark(slots, group_id, is_commit=bool(self.was_committed))
        except (KafkaError, TimeoutError) as error:
            raise OutcomeUnknownError(
                f"transactional id {self._id}: {type(error).__name__} while it is finished; trying again"
            ) from error
        finally:
            await self.close()

    async def transact(
        self,
        writes: Sequence[WriteSet],
        offsets: Mapping[TopicPartition, int],
        group_id: str,
        write_within_s: float | None = None,
    ) -> dict[Slot, int]:
        """Write everything and the group's offsets in one transaction; return where writes ended, by slot.

        Writes that are not acknowledged within `write_within_s` of waiting are not committed.

        Raises:
            LateWriteError: they were not.
            FencedError: another worker has taken the transactional id; nothing was committed.
            OutcomeUnknownError: no answer; the producer is closed, and only the committed offsets tell what
            happened.
        """
        requests = self._opened()
        self._last = None
        batches = [
            slotted for write_set in writes for slotted in write_set.batches(_builder, is_transactional=True)
        ]
        try:
            async with asyncio.timeout(self._timeout_s):
                writing = self._written(requests, batches, group_id)
                ends = await (writing if write_within_s is None else within(writing, write_within_s))
                await reach("after_produce")
                await requests.commit_offsets(offsets, group_id)
                await reach("before_commit")
                await requests.commit()
                await reach("after_commit")
        except ProducerFenced as error:
            await self.close()
            raise FencedError(
                f"transactional id {self._id}: another worker owns this partition number now"
            ) from error
        except LateWriteError as error:
            await self.close()
            raise LateWriteError(
                f"transactional id {self._id}: Kafka did not take the records in time; deciding again"
            ) from error
        except (KafkaError, TimeoutError) as error:
            await self.close()
            raise OutcomeUnknownError(
                f"transactional id {self._id}: {type(error).__name__} in a transaction; reading back"
            ) from error
        return ends

    async def close(self) -> None:
        """Let go of the producer.

        An open transaction is left to the next `open` or to its time-out. Never raises.
        """
        requests, self._requests = self._requests, None
        if requests is not None:
            await _close(requests)

    async def _written(
        self, requests: TransactionRequests, batches: Sequence[Slotted], group_id: str
    ) -> dict[Slot, int]:
        if not await self._is_whole(requests):
            raise UnfinishedTransactionError
        await requests.add_partitions({slot: None for slot, _ in batches})
        await requests.add_group(group_id)
        return await requests.produce(batches)

    async def _is_whole(self, requests: TransactionRequests) -> bool:
        if requests.has_lost_connection() or requests.is_in_doubt:
            if _left_open(await requests.traces(self._slots)):
                return False
            requests.forget_lost_connections()
        return True

    def _opened(self) -> TransactionRequests:
        if self._requests is None:
            raise OutcomeUnknownError(f"transactional id {self._id}: not open")
        return self._requests

    @property
    def _timeout_s(self) -> float:
        return self._settings.transaction_timeout_ms / 1000


def _left_open(traces: Mapping[Slot, Trace]) -> dict[Slot, int]:
    return {slot: trace.open_from for slot, trace in traces.items() if trace.open_from is not None}


def _torn(transactional_id: str, left: Mapping[Slot, int], ended: Sequence[Slot]) -> str:
    """Return what a person has to decide, and how."""
    (topic, partition), offset = min(left.items())
    others = ", ".join(f"{name}-{number}" for name, number in sorted(ended))
    return (
        f"transactional id {transactional_id}: Kafka lost the end marker of a transaction in "
        f"{topic}-{partition} from offset {offset} on, while {others} may have theirs, so whether it was "
        "committed cannot be told; nothing is decided here until somebody ends it, see docs/operations.md "
        "(End markers that Kafka lost)"
    )


def _builder() -> BatchBuilder:
    """Return an empty batch."""
    return BatchBuilder(BATCH_BYTES, LZ4, is_transactional=True)


async def _close(requests: TransactionRequests) -> None:
    """Disconnect, whatever state it is in: what ended one of its tasks is no news here."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await requests.close()
