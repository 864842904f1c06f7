"""The agent one would write with Faust first: one event at a time, a Table of consents, Faust's defaults."""

import io
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import fastavro
import faust

SCHEMAS = Path(__file__).parents[2] / "schemas"
NAMESPACE = uuid.UUID("1b5eb6ff-3e37-4091-bfeb-9304ea67c482")
LEVELS = ("UNKNOWN", "ACTIVITY_ONLY", "AMOUNT", "AMOUNT_MERCHANT", "FULL")
FIELDS = {
    2: ["status", "amount_minor", "currency"],
    3: ["merchant_name", "merchant_country"],
    4: ["category"],
}
COPIED = ("consent_id", "channel_ref", "detail_level", "locale", "timezone")


def load(name: str) -> Any:
    return fastavro.parse_schema(fastavro.schema.load_schema(str(SCHEMAS / f"{name}.avsc")))


def decode(schema: Any, value: bytes) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)


def encode(record: dict[str, Any]) -> bytes:
    fastavro.schemaless_writer(out := io.BytesIO(), NOTIFICATION, record)
    return b"\0\0\0\0\x09" + out.getvalue()


TRANSACTION, REQUEST, NOTIFICATION = map(load, ("bank_transaction", "consent_request", "notification"))
app = faust.App(
    "naive-faust",
    broker=f"kafka://{os.environ['BENCH_KAFKA']}",
    topic_partitions=4,
    processing_guarantee=os.environ.get("BENCH_GUARANTEE", "at_least_once"),
    broker_session_timeout=float(os.environ.get("BENCH_SESSION_S", "60")),  # 60 is Faust's default
)
requests = app.topic("consent.requests", key_type=str, value_type=bytes, value_serializer="raw")
transactions = app.topic("bank.transactions", key_type=str, value_type=bytes, value_serializer="raw")
deliveries = app.topic("naive-deliveries", key_type=str, value_type=bytes, value_serializer="raw")
consents = app.Table("consents")


@app.agent(requests)
async def remember(stream: Any) -> None:
    async for value in stream:
        request = decode(REQUEST, value)
        kept = {name: request["consent"][name] for name in (*COPIED, "purposes")}
        minimum = request["consent"]["preferences"]["min_amount_minor"] or 0
        consents[request["subject"]] = kept | {"user": request["user_id"], "minimum": minimum}


@app.agent(transactions)
async def notify(stream: Any) -> None:
    async for value in stream:
        event = decode(TRANSACTION, value)
        consent, at = consents.get(event["subject"]), event["occurred_at"]
        if (
            not consent
            or "RECEIPT" not in consent["purposes"]
            or abs(event["amount_minor"]) < consent["minimum"]
        ):
            continue
        user, level = consent["user"], LEVELS.index(consent["detail_level"])
        amount = str(event["amount_minor"])
        key = (user, event["subject"], "RECEIPT", event["event_id"], event["status"], amount)
        notification = {name: consent[name] for name in COPIED} | {
            "notification_id": str(uuid.uuid5(NAMESPACE, "\x1f".join(key))), "recipient": user, "priority": 3,
            "kind": "RECEIPT", "purpose": "RECEIPT", "template_key": "receipt", "push": "REGULAR",
            "occurred_at": at, "not_before": at, "not_after": at + timedelta(hours=6), "subject_label": "",
            "decided_at": time.time_ns() // 10**6, "source_event_id": event["event_id"], "consent_version": 1,
        }  # fmt: skip
        for needed, names in FIELDS.items():
            notification |= {name: event[name] for name in names if level >= needed}
        await deliveries.send(key=user, value=encode(notification))
