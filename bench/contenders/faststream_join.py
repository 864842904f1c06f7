"""FastStream over aiokafka: a handler of one record, or of a batch of them.

Arguments: bootstrap, group, output topic, settings of broker and subscriber as JSON, "single" or "batch".
"""

import asyncio
import json
import sys
from typing import Any

import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaPublishMessage

from bench.contenders.fastavro_join import join, load_consents

BOOTSTRAP, GROUP, OUTPUT, _SETTINGS, FORM = sys.argv[1:6]
SETTINGS = json.loads(_SETTINGS)
consents = load_consents(BOOTSTRAP)
broker = KafkaBroker(BOOTSTRAP, logger=None, **SETTINGS["broker"])


async def as_it_is(message: KafkaMessage) -> Any:
    """Decode nothing: bodies are Avro, not text or JSON."""
    return message.body


def subscriber(**settings: Any) -> Any:
    shared: dict[str, Any] = {"group_id": GROUP, "auto_offset_reset": "earliest", "decoder": as_it_is}
    return broker.subscriber("bank.transactions", **{**shared, **SETTINGS["subscriber"], **settings})


async def on_event(body: bytes, message: KafkaMessage) -> None:
    record: Any = message.raw_message
    if (made := join(consents, record.key, body)) is not None:
        await broker.publish(made[1], OUTPUT, key=made[0], no_confirm=True)


async def on_batch(bodies: list[bytes], message: KafkaMessage) -> None:
    pairs = zip(message.raw_message, bodies, strict=True)
    made = [join(consents, record.key, body) for record, body in pairs]
    if found := [KafkaPublishMessage(one[1], key=one[0]) for one in made if one is not None]:
        await broker.publish_batch(*found, topic=OUTPUT)


if FORM == "batch":
    subscriber(batch=True, ack_policy=AckPolicy.NACK_ON_ERROR)(on_batch)
else:
    subscriber(ack_policy=AckPolicy.ACK_FIRST)(on_event)
uvloop.install()
asyncio.run(FastStream(broker, logger=None).run())
