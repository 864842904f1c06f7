"""DescribeProducers and DescribeTransactions, which aiokafka does not encode: what the leader of a partition
knows of a producer, and what the coordinator knows of its last transaction.

Field for field as in Kafka's message definitions. Imports the Kafka client only. Read next:
`transaction_requests.py`. Source: KIP-664; Kafka 4.3 protocol (keys 61 and 65, version 0).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, Int16, Int32, Int64, Schema

from streams.kafka.compact_types import NO_TAGS, NUMBERS, TAGS, TEXT, by_topic, each

_ID_NOT_FOUND = 105
_OUTCOMES = {
    "PrepareCommit": True,
    "CompleteCommit": True,
    "PrepareAbort": False,
    "CompleteAbort": False,
    "PrepareEpochFence": False,
}


class Trace(NamedTuple):
    """What a producer left in a partition: its last epoch there, and the first offset of a transaction that
    has no end marker yet, None if there is none.
    """

    epoch: int
    open_from: int | None


class LastTransaction(NamedTuple):
    """What the coordinator knows of a transactional id: how its last transaction ended.

    `was_committed` None: one is under way, or somebody has initialised the id since: then `is_initialised`.
    `producer` has its producer id and the epoch of now, `epochs` those that the last transaction may have.
    """

    was_committed: bool | None
    is_initialised: bool
    producer: tuple[int, int]
    epochs: tuple[int, ...] = ()


class DescribeProducersResponse(Response):
    """See `traces`."""

    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        by_topic(
            each(
                ("partition", Int32),
                ("error_code", Int16),
                ("error_message", TEXT),
                (
                    "producers",
                    each(
                        ("producer_id", Int64),
                        ("producer_epoch", Int32),
                        ("last_sequence", Int32),
                        ("last_timestamp", Int64),
                        ("coordinator_epoch", Int32),
                        ("transaction_start", Int64),
                    ),
                ),
            )
        ),
        TAGS,
    )


class DescribeProducersStruct(RequestStruct):
    """DescribeProducers 0."""

    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = DescribeProducersResponse
    SCHEMA = Schema(
        by_topic(NUMBERS),
        TAGS,
    )


class DescribeProducersRequest(Request[DescribeProducersStruct]):
    """Asks the leader of partitions for their producers; its reader needs READ on the topics."""

    API_KEY = 61

    def __init__(self, topics: Mapping[str, Sequence[int]]) -> None:
        self._topics = [(topic, list(partitions), NO_TAGS) for topic, partitions in topics.items()]

    def build(self, request_struct_class: type[DescribeProducersStruct]) -> DescribeProducersStruct:
        """Return the request."""
        return request_struct_class(self._topics, NO_TAGS)


def traces(answer: Any, producer_id: int) -> Iterator[tuple[tuple[str, int], Trace]]:
    """Return a producer's traces in the partitions of a DescribeProducersResponse, where it has one.

    Raises:
        aiokafka.errors.KafkaError: a partition was not described.
    """
    for topic, partitions, *_ in answer.topics:
        for partition, code, _, producers, *_more in partitions:
            if code:
                raise for_code(code)(f"{topic}-{partition}")
            for found_id, epoch, _sequence, _timestamp, _coordinator, start, *_rest in producers:
                if found_id == producer_id:
                    yield (topic, partition), Trace(epoch, start if start >= 0 else None)


class DescribeTransactionsResponse(Response):
    """See `last_transaction`."""

    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transactions",
            each(
                ("error_code", Int16),
                ("transactional_id", TEXT),
                ("state", TEXT),
                ("timeout_ms", Int32),
                ("start_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                by_topic(NUMBERS),
            ),
        ),
        TAGS,
    )


class DescribeTransactionsStruct(RequestStruct):
    """DescribeTransactions 0."""

    FLEXIBLE_VERSION = True
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = DescribeTransactionsResponse
    SCHEMA = Schema(("transactional_ids", CompactArray(TEXT)), TAGS)


class DescribeTransactionsRequest(Request[DescribeTransactionsStruct]):
    """Asks a transaction coordinator for the last transaction of an id."""

    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._id = transactional_id

    def build(self, request_struct_class: type[DescribeTransactionsStruct]) -> DescribeTransactionsStruct:
        """Return the request."""
        return request_struct_class([self._id], NO_TAGS)


def state_codes(answer: Any) -> list[int]:
    """Return the errors of a DescribeTransactionsResponse; an id that nobody has used yet is none."""
    return [0 if code == _ID_NOT_FOUND else code for code, *_ in answer.transactions]


def last_transaction(answer: Any, version: int) -> LastTransaction:
    """Return what a DescribeTransactionsResponse says, of a producer of this `transaction.version`.

    From version 2 on every end raises the epoch, before that only an abort by the coordinator.
    """
    (_code, _id, state, _timeout, _start, producer_id, epoch, *_rest), *_ = answer.transactions
    epochs = (epoch - 1,) if version > 1 else (epoch - 1, epoch)
    return LastTransaction(_OUTCOMES.get(state), state == "Empty", (producer_id, epoch), epochs)
