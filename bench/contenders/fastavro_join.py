"""The join as one writes it in Python with fastavro, shared by the Python contenders.

Consents are a dict, looked up by the record's key before anything is decoded.
"""

import io
import json
import time
import uuid
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Consumer, TopicPartition

SCHEMAS = Path(__file__).parents[2] / "schemas"
NAMESPACE = uuid.UUID("1b5eb6ff-3e37-4091-bfeb-9304ea67c482")
LEVELS = ("UNKNOWN", "ACTIVITY_ONLY", "AMOUNT", "AMOUNT_MERCHANT", "FULL")
FIELDS = {
    2: ("status", "amount_minor", "currency"),
    3: ("merchant_name", "merchant_country"),
    4: ("category",),
}
COPIED = ("consent_id", "channel_ref", "detail_level", "locale", "timezone")
SIX_HOURS_MS = 6 * 3_600_000
Consent = tuple[str, int, list[str], dict[str, Any]]
Consents = dict[bytes, Consent]


def _load(name: str) -> Any:
    """A schema whose times stay numbers: fastavro's datetimes are slow to make and to take apart."""
    plain = (SCHEMAS / f"{name}.avsc").read_text().replace('"logicalType"', '"unused"')
    return fastavro.parse_schema(json.loads(plain))


TRANSACTION, REQUEST, NOTIFICATION = map(_load, ("bank_transaction", "consent_request", "notification"))


def _decode(schema: Any, value: bytes) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)


def read_grant(value: bytes) -> Consent | None:
    """What a request grants: user, least amount, fields to show, and what each notification repeats."""
    request = _decode(REQUEST, value)
    consent = request["consent"]
    if "RECEIPT" not in consent["purposes"]:
        return None
    level = LEVELS.index(consent["detail_level"])
    fields = [name for needed, names in FIELDS.items() if level >= needed for name in names]
    fixed = {name: consent[name] for name in COPIED} | {
        "recipient": request["user_id"], "kind": "RECEIPT", "purpose": "RECEIPT", "priority": 3,
        "template_key": "receipt", "push": "REGULAR", "subject_label": "", "consent_version": 1,
    }  # fmt: skip
    return request["user_id"], consent["preferences"]["min_amount_minor"] or 0, fields, fixed


def load_consents(bootstrap: str) -> Consents:
    """Read the consent requests up to their present end; by key."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "consents", "enable.auto.commit": False})
    topic = "consent.requests"
    places = [
        TopicPartition(topic, number, 0) for number in consumer.list_topics(topic).topics[topic].partitions
    ]
    consumer.assign(places)
    wanted = sum(consumer.get_watermark_offsets(place)[1] for place in places)
    consents: Consents = {}
    while wanted > 0:
        for message in consumer.consume(10_000, timeout=1.0):
            if message.error() is not None:  # a broker that is away says so in the place of a record
                continue
            wanted -= 1
            if (consent := read_grant(message.value())) is not None:
                consents[message.key()] = consent
    consumer.close()
    return consents


def join(consents: Consents, key: bytes, value: bytes) -> tuple[bytes, bytes] | None:
    """Key and value of the notification that an event causes; None if it causes none."""
    if (consent := consents.get(key)) is None:
        return None
    event = _decode(TRANSACTION, value)
    user, minimum, fields, fixed = consent
    amount, at, event_id = event["amount_minor"], event["occurred_at"], event["event_id"]
    if abs(amount) < minimum:
        return None
    parts = (user, event["subject"], "RECEIPT", event_id, event["status"], str(amount))
    notification = fixed | {name: event[name] for name in fields} | {
        "notification_id": str(uuid.uuid5(NAMESPACE, "\x1f".join(parts))), "source_event_id": event_id,
        "occurred_at": at, "not_before": at, "not_after": at + SIX_HOURS_MS,
        "decided_at": time.time_ns() // 10**6,
    }  # fmt: skip
    fastavro.schemaless_writer(out := io.BytesIO(), NOTIFICATION, notification)
    return user.encode(), b"\0\0\0\0\x09" + out.getvalue()
