"""The requests that make transactions, over aiokafka's connections and without its sender.

aiokafka's sender makes a transaction's requests one after another, each woken by its loop, hides batches that
failed from the commit, repeats an EndTxn whose answer is missing, and numbers records wrongly after 2^31.
Here one request follows another at once, whatever fails raises, and nothing is repeated but what Kafka says
it did not do yet. Batches do not go beside AddOffsetsToTxn or TxnOffsetCommit: Kafka checks the first batch
of every partition, and the offsets, against the transaction, and refuses one of two checks at a time. Where
the cluster has `transaction.version` 2, nothing is added to a transaction before it is written. Imports
`write_set` and `transaction_protocol`. Read next: `transactions.py`. Source: decision records 0007 and 0008;
Kafka protocol, KIP-98, KIP-890.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    LeaderNotAvailableError,
    NotCoordinatorError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from streams.kafka.answer_codes import (
    NOT_YET,
    first_code,
    is_refused_for_now,
    partition_codes,
    raise_for,
    single_code,
)
from streams.kafka.connection import client_options
from streams.kafka.transaction_protocol import (
    FEATURE,
    EndTxnRequest5,
    FeaturesRequest,
    ProduceRequest12,
    TxnOffsetCommitRequest5,
    finalized,
)
from streams.kafka.transaction_traces import (
    DescribeProducersRequest,
    DescribeTransactionsRequest,
    LastTransaction,
    Trace,
    last_transaction,
    state_codes,
    traces,
)
from streams.kafka.write_set import Batch, Slot
from streams.settings import Settings

BACKOFF_S = 0.005
"""Between questions that Kafka answers with "not yet": the markers of the transaction before take so long."""
LONGEST_BACKOFF_S = 0.1
"""Between batches that Kafka refuses for now, when it goes on refusing: replicas may be missing."""
LATEST_VERSION = 2
"""Of Kafka's feature `transaction.version`."""
SEQUENCE_LIMIT = 1 << 31
"""Record numbers of a producer and partition go on at 0 after the largest 32-bit number."""

_ELSEWHERE = (CoordinatorNotAvailableError, NotCoordinatorError)
_ALL_REPLICAS = -1


class TransactionRequests:
    """One transactional id's requests, in the order of a transaction. Throw it away after any error.

    Args:
        settings: how to reach Kafka, and its time limits.
        transactional_id: whose they are.
        first_sequence: number of the first record of every partition.
        latest_version: use no later `transaction.version` than this.
    """

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        first_sequence: int = 0,
        latest_version: int = LATEST_VERSION,
    ) -> None:
        self._client = AIOKafkaClient(**client_options(settings))
        self._id = transactional_id
        self._timeout_ms = settings.transaction_timeout_ms
        self._coordinators: dict[int, int] = {}
        self._sequences: defaultdict[Slot, int] = defaultdict(lambda: first_sequence)
        self._producer = (-1, -1)
        self._latest_version = latest_version
        self._connections: set[Any] = set()
        self.is_in_doubt = False
        self.version = 1
        self.last: LastTransaction | None = None

    async def start(self) -> None:
        """Connect, and fence every other user of the transactional id.

        `last` tells then what the coordinator knew of it before, also if this failed later.

        Raises:
            aiokafka.errors.KafkaError: the cluster did not answer, or refused.
        """
        await self._client.bootstrap()
        self.version = min(await self._cluster_version(), self._latest_version)
        answer = await self._initialise()
        self._producer = (answer.producer_id, answer.producer_epoch)
        self._note_connections()

    def has_lost_connection(self) -> bool:
        """Tell whether one that was used broke since those were forgotten: a broker may have been away."""
        return not all(connection.connected() for connection in self._connections)

    def forget_lost_connections(self) -> None:
        """Have `has_lost_connection` speak of what breaks from now on."""
        self._connections = {connection for connection in self._connections if connection.connected()}

    async def close(self) -> None:
        """Disconnect; what is under way fails."""
        await self._client.close()

    async def add_partitions(self, slots: Iterable[Slot]) -> None:
        """Make partitions part of the transaction, the first thing in it; from version 2 on `produce` does.

        Raises:
            ProducerFenced: another producer has the id.
            aiokafka.errors.KafkaError: the cluster did not answer, or refused.
        """
        if self.version > 1:
            return
        adding = self._adding(slots)
        await self._ask(CoordinationType.TRANSACTION, self._id, adding, partition_codes)

    async def produce(self, batches: Iterable[tuple[Slot, Batch]]) -> dict[Slot, int]:
        """Write batches of partitions that were added, those of a partition one after another.

        Return where they ended, by slot.

        Raises:
            ProducerFenced: another producer has the id.
            aiokafka.errors.KafkaError: a batch was not acknowledged by all replicas in sync.
        """
        queues: defaultdict[Slot, deque[Batch]] = defaultdict(deque)
        for slot, batch in batches:
            queues[slot].append(batch)
        ends: dict[Slot, int] = {}
        while queues:
            ends.update(await self._produce({slot: queue.popleft() for slot, queue in queues.items()}))
            queues = defaultdict(deque, {slot: queue for slot, queue in queues.items() if queue})
        self._note_connections()
        return ends

    async def add_group(self, group_id: str) -> None:
        """Make a group part of the transaction; from version 2 on `commit_offsets` does.

        Raises:
            ProducerFenced: another producer has the id.
            aiokafka.errors.KafkaError: the cluster did not answer, or refused.
        """
        if self.version > 1:
            return
        adding = self._adding_group(group_id)
        await self._ask(CoordinationType.TRANSACTION, self._id, adding, single_code)

    async def commit_offsets(self, offsets: Mapping[TopicPartition, int], group_id: str) -> None:
        """Set offsets of a group that was added; they count once the transaction is committed.

        Raises:
            ProducerFenced: another producer has the id.
            aiokafka.errors.KafkaError: the cluster did not answer, or refused.
        """
        by_topic: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for (topic, partition), offset in offsets.items():
            by_topic[topic].append((partition, offset))
        request: Any
        if self.version > 1:
            request = TxnOffsetCommitRequest5(self._id, group_id, self._producer, by_topic)
        else:
            named = [(topic, [(*pair, "") for pair in pairs]) for topic, pairs in by_topic.items()]
            request = TxnOffsetCommitRequest(self._id, group_id, *self._producer, named)
        await self._ask(CoordinationType.GROUP, group_id, request, partition_codes)

    async def commit(self) -> None:
        """End the transaction, once: after an error nobody knows whether it was committed.

        Raises:
            ProducerFenced: another producer has the id.
            aiokafka.errors.KafkaError: any other error.
        """
        node = await self._coordinator(CoordinationType.TRANSACTION, self._id)
        request = (
            EndTxnRequest5(self._id, self._producer)
            if self.version > 1
            else EndTxnRequest(self._id, *self._producer, True)
        )
        answer = await self._client.send(node, request, group=ConnectionGroup.COORDINATION)
        raise_for(answer.error_code)
        if self.version > 1:
            self._producer = (answer.producer_id, answer.producer_epoch)
            self._sequences.clear()
        self._note_connections()

    async def mark(self, slots: Collection[Slot], group_id: str, *, is_commit: bool) -> None:
        """Have Kafka write end markers to partitions and to the group's offsets, and nothing else.

        With requests of version 1: they can add without writing, whatever version the cluster has. They go
        together: a connection's requests are served in their order, and whoever is killed between them would
        leave a commit to be aborted.

        Raises:
            ProducerFenced: another producer has the id.
            aiokafka.errors.KafkaError: the cluster did not answer, or refused.
        """
        node = await self._coordinator(CoordinationType.TRANSACTION, self._id)
        ending = EndTxnRequest(self._id, *self._producer, is_commit)
        asked = [(self._adding(slots), partition_codes)] if slots else []
        asked += [(self._adding_group(group_id), single_code), (ending, single_code)]
        await self._client.ready(node, group=ConnectionGroup.COORDINATION)
        answers = await asyncio.gather(
            *(self._client.send(node, request, group=ConnectionGroup.COORDINATION) for request, _ in asked)
        )
        for answer, (_, codes) in zip(answers, asked, strict=True):
            raise_for(first_code(codes(answer)))

    async def traces(self, slots: Iterable[Slot]) -> dict[Slot, Trace]:
        """Return what this producer left in partitions, for those where it left something.

        A partition without a leader is left out, and `is_in_doubt` until it is asked again.

        Raises:
            aiokafka.errors.KafkaError: the cluster did not answer, or refused.
        """
        by_node: defaultdict[int, list[Slot]] = defaultdict(list)
        is_in_doubt = False
        for slot in slots:
            try:
                by_node[await self._leader(*slot)].append(slot)
            except LeaderNotAvailableError:
                is_in_doubt = True
        found: dict[Slot, Trace] = {}
        try:
            for node, led in by_node.items():
                answer = await self._client.send(node, DescribeProducersRequest(_by_topic(led)))
                found.update(traces(answer, self._producer[0]))
        except KafkaError:
            self._client.force_metadata_update()  # another broker may lead it by now
            raise
        self.is_in_doubt = is_in_doubt
        return found

    def _adding(self, slots: Iterable[Slot]) -> Any:
        return AddPartitionsToTxnRequest(self._id, *self._producer, list(_by_topic(slots).items()))

    def _adding_group(self, group_id: str) -> Any:
        return AddOffsetsToTxnRequest(self._id, *self._producer, group_id)

    async def _initialise(self) -> Any:
        """Have the id initialised, which ends what is under way; note how its last transaction ended."""
        kind, name = CoordinationType.TRANSACTION, self._id
        describing = DescribeTransactionsRequest(name)
        initialising = InitProducerIdRequest(name, self._timeout_ms)
        while True:
            last = last_transaction(await self._ask(kind, name, describing, state_codes), self.version)
            self.last = last
            try:
                answer = await self._ask(
                    kind,
                    name,
                    initialising,
                    single_code,
                    (CoordinatorLoadInProgressError,),
                )
            except ConcurrentTransactions:
                await asyncio.sleep(BACKOFF_S)
                continue
            if (answer.producer_id, answer.producer_epoch - 1) != last.producer:
                self.last = last._replace(was_committed=None)  # somebody had the id in between
            return answer

    def _note_connections(self) -> None:
        connections = self._client._conns.values()  # noqa: SLF001  # it tells of none of them
        self._connections.update(one for one in connections if one.connected())

    async def _cluster_version(self) -> int:
        """Return the cluster's `transaction.version`, 1 if it is too old to have one."""
        try:
            answer = await self._client.send(self._client.get_random_node(), FeaturesRequest())
        except NotImplementedError:  # so aiokafka says that the broker knows no such request
            return 1
        raise_for(answer.error_code)
        return finalized(answer).get(FEATURE, 1)

    async def _produce(self, batches: Mapping[Slot, Batch]) -> dict[Slot, int]:
        """Write one batch for each slot: Kafka takes no more of a partition in one request."""
        waiting = {slot: self._numbered(slot, batch) for slot, batch in batches.items()}
        ends: dict[Slot, int] = {}
        backoff_s = BACKOFF_S
        while True:
            for answer in await self._sent(waiting):
                for topic, partitions, *_ in answer.topics:
                    for partition, code, offset, *_more in partitions:
                        if not is_refused_for_now(code):
                            raise_for(code)
                            slot = (topic, partition)
                            ends[slot] = offset + batches[slot].record_count()
                            del waiting[slot]
            if not waiting:
                return ends
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)

    def _numbered(self, slot: Slot, batch: Batch) -> bytearray:
        """Return a batch's bytes with its place in the sequence: sent twice, it is written once."""
        sequence = self._sequences[slot]
        self._sequences[slot] = (sequence + batch.record_count()) % SEQUENCE_LIMIT
        batch._set_producer_state(*self._producer, sequence)  # noqa: SLF001  # as aiokafka's sender does
        return batch._build()  # noqa: SLF001  # as above

    async def _sent(self, batches: Mapping[Slot, bytearray]) -> list[Any]:
        """Send one request to each leader; return the answers once all are there."""
        by_node: defaultdict[int, dict[str, list[tuple[int, Any]]]] = defaultdict(dict)
        for (topic, partition), data in batches.items():
            node = await self._leader(topic, partition)
            by_node[node].setdefault(topic, []).append((partition, data))
        asked = [
            asyncio.ensure_future(self._client.send(node, self._produce_request(by_topic)))
            for node, by_topic in by_node.items()
        ]
        try:
            return await asyncio.gather(*asked)
        finally:
            for one in asked:  # a request that came later would use a client that is closed
                one.cancel()

    def _produce_request(self, by_topic: Mapping[str, list[tuple[int, Any]]]) -> Any:
        head = (self._id, _ALL_REPLICAS, self._timeout_ms)
        if self.version > 1:
            return ProduceRequest12(*head, by_topic)
        return ProduceRequest(*head, list(by_topic.items()))

    async def _leader(self, topic: str, partition: int) -> int:
        await self._client._wait_on_metadata(topic)  # noqa: SLF001  # as aiokafka's producer does
        node: int | None = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if node is None or node < 0:
            self._client.force_metadata_update()
            raise LeaderNotAvailableError(f"{topic}-{partition}")
        return node

    async def _coordinator(self, kind: int, key: str) -> int:
        """Return the node of a coordinator, asking for it until there is one."""
        while kind not in self._coordinators:
            try:
                self._coordinators[kind] = await self._client.coordinator_lookup(kind, key)
            except CoordinatorNotAvailableError:
                await asyncio.sleep(BACKOFF_S)
        return self._coordinators[kind]

    async def _ask(
        self,
        kind: int,
        key: str,
        request: Any,
        codes: Callable[[Any], Sequence[int]],
        not_yet: tuple[type[Exception], ...] = NOT_YET,
    ) -> Any:
        """Ask a coordinator, again while it has not begun with it or another one is responsible."""
        while True:
            node = await self._coordinator(kind, key)
            answer = await self._client.send(node, request, group=ConnectionGroup.COORDINATION)
            code = first_code(codes(answer))
            error = for_code(code)
            if issubclass(error, _ELSEWHERE):
                del self._coordinators[kind]
            elif not issubclass(error, not_yet):
                raise_for(code)
                return answer
            await asyncio.sleep(BACKOFF_S)


def _by_topic(slots: Iterable[Slot]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for topic, partition in slots:
        found.setdefault(topic, []).append(partition)
    return found
