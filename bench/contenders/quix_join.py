"""Quix Streams: a streaming dataframe over raw bytes, consents in a dict.

Arguments: bootstrap, group, output topic, settings of the application as JSON.
"""

import json
import sys

from quixstreams import Application

from bench.contenders.fastavro_join import join, load_consents

BOOTSTRAP, GROUP, OUTPUT, _SETTINGS = sys.argv[1:5]


def recipient(notification: bytes) -> bytes:
    """Cut the recipient out of a notification: it follows the id, and is shorter than 64 bytes."""
    return notification[43 : 43 + (notification[42] >> 1)]


def main() -> None:
    consents = load_consents(BOOTSTRAP)

    def notify(value: bytes, key: bytes, *_: object) -> bytes | None:
        made = join(consents, key, value)
        return made and made[1]

    app = Application(
        broker_address=BOOTSTRAP,
        consumer_group=GROUP,
        auto_offset_reset="earliest",
        loglevel="WARNING",
        **json.loads(_SETTINGS),
    )
    events = app.topic("bank.transactions", key_deserializer="bytes", value_deserializer="bytes")
    deliveries = app.topic(OUTPUT, key_serializer="bytes", value_serializer="bytes")
    frame = app.dataframe(events)
    frame = frame.apply(notify, metadata=True).filter(lambda made: made is not None)
    frame.to_topic(deliveries, key=recipient)
    app.run()


main()
