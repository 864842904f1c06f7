"""The floor of latency for whoever reads a topic and writes another: each record, as it is, by librdkafka.

Arguments: bootstrap, group, topic to read, topic to write. No consent, no decision, no state, no transaction,
nothing waited for: two ways through Kafka and as little as can be between them.
"""

import signal
import sys
import threading

from confluent_kafka import Consumer, Producer

RECORDS = 1_000
POLL_S = 0.005


def main(bootstrap: str, group: str, source: str, target: str) -> None:
    """Relay until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 1,
        }
    )
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "acks": "all"})
    consumer.subscribe([source])
    while not stop.is_set():
        for message in consumer.consume(RECORDS, POLL_S):
            if message.error() is None:
                producer.produce(target, message.value(), message.key(), message.partition() or 0)
        producer.poll(0)
    producer.flush()
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
