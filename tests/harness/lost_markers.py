"""Transactions without end markers, as Kafka 4 leaves them where a partition has no leader when they are due.

A broker that does not check whether a partition belongs to a transaction (LAX) takes records and offsets that
the coordinator knows nothing of: it never ends them.
"""

from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.protocol.transaction import TxnOffsetCommitRequest

from streams.kafka.transaction_requests import TransactionRequests
from streams.kafka.transactions import _builder
from streams.kafka.write_set import WriteSet
from streams.settings import Settings

LAX = {"transaction.partition.verification.enable": "false"}


async def leave_open(
    settings: Settings,
    transactional_id: str,
    left: Sequence[WriteSet],
    offsets: Mapping[TopicPartition, int],
    ended: Sequence[WriteSet] = (),
) -> None:
    """Write records and the group's offsets that get no end marker, and `ended`, which are committed."""
    requests = TransactionRequests(settings, transactional_id)
    await requests.start()
    try:
        for write_set in ended:
            await requests.produce(write_set.batches(_builder, is_transactional=True))
        latest, requests.version = requests.version, 1  # whose batches add nothing to the transaction
        for write_set in left:
            await requests.produce(write_set.batches(_builder, is_transactional=True))
        if offsets:
            await _set_offsets(requests, transactional_id, settings.app_id, offsets)
        requests.version = latest
        if ended:
            await requests.commit()
    finally:
        await requests.close()


async def _set_offsets(
    requests: TransactionRequests, transactional_id: str, group_id: str, offsets: Mapping[TopicPartition, int]
) -> None:
    client = requests._client
    node = await client.coordinator_lookup(0, group_id)
    topics = [(tp.topic, [(tp.partition, offset, "")]) for tp, offset in offsets.items()]
    answer = await client.send(
        node, TxnOffsetCommitRequest(transactional_id, group_id, *requests._producer, topics)
    )
    assert all(code == 0 for _, partitions in answer.errors for _, code in partitions), answer
