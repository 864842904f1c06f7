"""A loop over aiokafka written with care: batches in, batches out, a commit or transaction per poll.

Arguments: bootstrap, group, output topic, settings of consumer, producer and poll as JSON.
"""

import asyncio
import json
import signal
import sys
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord, TopicPartition

from bench.contenders.fastavro_join import Consents, join, load_consents

BOOTSTRAP, GROUP, OUTPUT, _SETTINGS = sys.argv[1:5]
SETTINGS = json.loads(_SETTINGS)


async def send(
    producer: Any, consents: Consents, fetched: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]
) -> None:
    """Send what the records cause, to the partition they came from, and wait until it is there."""
    sent = []
    for place, records in fetched.items():
        batch = producer.create_batch()
        for record in records:
            if (made := join(consents, record.key, record.value)) is None:
                continue
            while batch.append(key=made[0], value=made[1], timestamp=None) is None:
                batch.close()
                sent.append(await producer.send_batch(batch, OUTPUT, partition=place.partition))
                batch = producer.create_batch()
        if batch.record_count():
            batch.close()
            sent.append(await producer.send_batch(batch, OUTPUT, partition=place.partition))
    if sent:
        await asyncio.gather(*sent)


async def main() -> None:
    consents = load_consents(BOOTSTRAP)
    consumer = AIOKafkaConsumer(
        "bank.transactions",
        bootstrap_servers=BOOTSTRAP,
        group_id=GROUP,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **SETTINGS["consumer"],
    )
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **SETTINGS["producer"])
    await consumer.start()
    await producer.start()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    while not stopping.is_set():
        fetched = await consumer.getmany(**SETTINGS["getmany"])
        if not fetched:
            continue
        offsets = {place: records[-1].offset + 1 for place, records in fetched.items()}
        if "transactional_id" in SETTINGS["producer"]:
            async with producer.transaction():
                await send(producer, consents, fetched)
                await producer.send_offsets_to_transaction(offsets, GROUP)
        else:
            await send(producer, consents, fetched)
            await consumer.commit(offsets)
    await producer.stop()
    await consumer.stop()


uvloop.run(main())
