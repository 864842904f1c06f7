"""One transactional producer per owned partition number, and what its errors mean.

`open` bumps the epoch of the transactional id: it fences every earlier owner and ends their open transaction,
so whatever is read afterwards is final. aiokafka retries EndTxn by itself, hides failed batches from a commit
and waits 100 ms between transactions; here every batch is looked at, every step has a deadline, a producer
with an unknown outcome is thrown away, and the back-off is 10 ms. Source: DESIGN section 5, decision record
0003. Read next: `committers/exactly_once.py`.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaError, ProducerFenced

from streams.errors import FencedError, OutcomeUnknownError
from streams.failpoints import reach
from streams.kafka.connection import client_options
from streams.kafka.write_set import WriteSet
from streams.settings import Settings

BATCH_BYTES = 1_000_000  # below the largest batch that brokers take by default, packed or not
RETRY_BACKOFF_MS = 10
STOP_TIMEOUT_S = 5.0
MAX_RECORDS = 1 << 30  # aiokafka's sequence numbers go wrong at 2^31; tests/kafka/test_transactions.py


def producer_options(settings: Settings) -> dict[str, object]:
    """Return what every producer of a worker has in common."""
    return {
        **client_options(settings),
        "linger_ms": 0,
        "max_batch_size": BATCH_BYTES,
        "compression_type": "lz4",
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "acks": "all",
    }


class TransactionalProducer:
    """The producer of one (space, partition number).

    `is_open` is False after any failure until it is opened again.
    """

    def __init__(
        self, settings: Settings, space: str, partition: int, max_records: int = MAX_RECORDS
    ) -> None:
        self._settings = settings
        self._id = f"{settings.app_id}.{space}.{partition}"
        self._producer: AIOKafkaProducer | None = None
        self._records = 0
        self._max_records = max_records
        self.opened = 0

    @property
    def is_open(self) -> bool:
        """Tell whether transactions can be made."""
        return self._producer is not None

    async def open(self) -> None:
        """Initialise the transactional id anew, fencing any other user of it.

        Raises:
            OutcomeUnknownError: the cluster did not answer in time.
        """
        await self.close()
        producer = AIOKafkaProducer(
            **producer_options(self._settings),
            transactional_id=self._id,
            transaction_timeout_ms=self._settings.transaction_timeout_ms,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.start()
        except (KafkaError, TimeoutError) as error:
            await _stop(producer)
            raise OutcomeUnknownError(
                f"transactional id {self._id}: not initialised ({type(error).__name__}); trying again"
            ) from error
        self._producer, self._records = producer, 0
        self.opened += 1

    async def transact(
        self, writes: Sequence[WriteSet], offsets: Mapping[TopicPartition, int], group_id: str
    ) -> dict[tuple[str, int], int]:
        """Write everything and the group's offsets in one transaction; return where writes ended, by slot.

        Raises:
            FencedError: another worker has taken the transactional id; nothing was committed.
            OutcomeUnknownError: no answer; the producer is closed, and only the committed offsets tell what
            happened.
        """
        producer = self._producer
        if producer is None:
            raise OutcomeUnknownError(f"transactional id {self._id}: not open")
        try:
            async with asyncio.timeout(self._timeout_s):
                ends = await self._run(producer, writes, offsets, group_id)
        except (
            KafkaError,
            IllegalOperation,
            TimeoutError,
            RuntimeError,
            AssertionError,
        ) as error:  # aiokafka's state machine asserts after a fatal error
            cause = _cause(producer, error)
            await self.close()
            if isinstance(cause, ProducerFenced | InvalidProducerEpoch):
                raise FencedError(
                    f"transactional id {self._id}: another worker owns this partition number now"
                ) from error
            raise OutcomeUnknownError(
                f"transactional id {self._id}: {type(cause).__name__} in a transaction; reading back"
            ) from error
        self._records += sum(map(len, writes))
        if self._records > self._max_records:
            await self.open()
        return ends

    async def close(self) -> None:
        """Let go of the producer.

        An open transaction is left to the next `open` or to its time-out. Never raises.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def _run(
        self,
        producer: AIOKafkaProducer,
        writes: Sequence[WriteSet],
        offsets: Mapping[TopicPartition, int],
        group_id: str,
    ) -> dict[tuple[str, int], int]:
        await producer.begin_transaction()
        ends: dict[tuple[str, int], int] = {}
        sends = [write_set.send(producer) for write_set in writes if len(write_set)]
        results = await asyncio.gather(*sends, producer.send_offsets_to_transaction(dict(offsets), group_id))
        for result in results[:-1]:
            ends.update(result)
        await reach("before_commit")
        await producer.commit_transaction()
        await reach("after_commit")
        return ends

    @property
    def _timeout_s(self) -> float:
        return self._settings.transaction_timeout_ms / 1000


def _cause(producer: AIOKafkaProducer, error: Exception) -> BaseException:
    """Tell what ended a transaction: what comes after that in it is only called illegal.

    Reading aiokafka's own future also keeps asyncio from logging it as never looked at.
    """
    end = producer._txn_manager._transaction_waiter  # noqa: SLF001  # aiokafka has no other way to ask
    found = end.exception() if end.done() and not end.cancelled() else None
    return found if found is not None and isinstance(error, IllegalOperation) else error


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer that may be in any state."""
    with contextlib.suppress(KafkaError, TimeoutError, RuntimeError, AssertionError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await producer.stop()
