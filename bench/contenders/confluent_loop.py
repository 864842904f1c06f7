"""A loop over librdkafka: consume a batch, produce what it causes, flush, commit.

Arguments: bootstrap, group, output topic, settings of consumer, producer and poll as JSON.
"""

import json
import signal
import sys

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.contenders.fastavro_join import join, load_consents

BOOTSTRAP, GROUP, OUTPUT, _SETTINGS = sys.argv[1:5]
SETTINGS = json.loads(_SETTINGS)


def main() -> None:
    consents = load_consents(BOOTSTRAP)
    base = {"bootstrap.servers": BOOTSTRAP}
    group = {"group.id": GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = Consumer({**base, **group, **SETTINGS["consumer"]})
    producer = Producer({**base, **SETTINGS["producer"]})
    consumer.subscribe(["bank.transactions"])
    is_stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: is_stopping.append(number))
    while not is_stopping:
        offsets: dict[int, int] = {}
        for message in consumer.consume(**SETTINGS["consume"]):
            if message.error():
                raise RuntimeError(message.error())
            offsets[message.partition()] = message.offset() + 1
            if (made := join(consents, message.key(), message.value())) is not None:
                producer.produce(OUTPUT, made[1], made[0])
        if offsets:
            if producer.flush(30) != 0:
                raise RuntimeError("notifications were not delivered in 30 s")
            places = [TopicPartition("bank.transactions", *place) for place in offsets.items()]
            consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


main()
