"""Events, grants and revocations for tests with a worker, and what came out of them.

Encoded by fastavro from the schema files, not by the product's codec.
"""

import io
import json
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, NamedTuple, cast

import fastavro
from confluent_kafka import Message, Producer

from tests.harness.cluster import ROOT, Cluster, as_json, eventually
from verifier.model.partitions import partition_of

_IDS = json.loads((ROOT / "schemas" / "ids.json").read_text())
_SCHEMAS = {
    name: fastavro.parse_schema(json.loads((ROOT / "schemas" / f"{name}.avsc").read_text())) for name in _IDS
}
YEAR_MS = 364 * 86_400_000
_HUGE = (b"\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80" * 11, b"\x01")
"""Sizes and counts as Avro writes them: 2^31 - 1, the smallest long, one that never ends, minus one."""


def encode(schema: str, value: dict[str, Any]) -> bytes:
    """Return a value with its Confluent frame."""
    buffer = io.BytesIO(b"")
    fastavro.schemaless_writer(buffer, _SCHEMAS[schema], value)
    return b"\0" + struct.pack(">I", _IDS[schema]) + buffer.getvalue()


def decode(schema: str, value: bytes) -> dict[str, Any]:
    """Return the fields of a framed value."""
    assert value[:5] == b"\0" + struct.pack(">I", _IDS[schema]), "another schema's frame"
    record = fastavro.schemaless_reader(io.BytesIO(value[5:]), _SCHEMAS[schema], None)
    assert isinstance(record, dict)
    return record


def now_ms() -> int:
    """Return the present, UTC milliseconds."""
    return time.time_ns() // 1_000_000


def transaction(subject: str, event_id: str, **fields: Any) -> bytes:
    """Return a posted card payment of 12.34 EUR that happened now, unless `fields` say otherwise."""
    return encode(
        "bank_transaction",
        {
            "event_id": event_id,
            "subject": subject,
            "occurred_at": now_ms(),
            "status": "POSTED",
            "amount_minor": -1234,
            "currency": "EUR",
            "merchant_name": "Test Shop",
            **fields,
        },
    )


def balance(subject: str, event_id: str, **fields: Any) -> bytes:
    """Return a booked balance of 100.00 EUR as of now, unless `fields` say otherwise."""
    return encode(
        "account_balance",
        {
            "event_id": event_id,
            "subject": subject,
            "as_of": now_ms(),
            "booked_minor": 10_000,
            "currency": "EUR",
            **fields,
        },
    )


def alert(subject: str, event_id: str, **fields: Any) -> bytes:
    """Return an alert about a new device that happened now, unless `fields` say otherwise."""
    return encode(
        "security_alert",
        {
            "event_id": event_id,
            "subject": subject,
            "occurred_at": now_ms(),
            "type": "NEW_DEVICE",
            "severity": "HIGH",
            **fields,
        },
    )


def shipment(subject: str, event_id: str, **fields: Any) -> bytes:
    """Return a parcel that is in transit as of now, unless `fields` say otherwise."""
    return encode(
        "shipment_update",
        {
            "event_id": event_id,
            "subject": subject,
            "shipment_id": f"parcel-of-{event_id}",
            "status": "IN_TRANSIT",
            "status_at": now_ms(),
            "action_required": False,
            **fields,
        },
    )


def damaged(value: bytes, chance: Random) -> bytes:
    """Return a frame with one to three things wrong; it may be a whole one again, by chance."""
    frame = bytearray(value)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(frame) + 1)
        match chance.randrange(7):
            case 0 if at < len(frame):
                frame[at] ^= 1 << chance.randrange(8)
            case 1:
                del frame[at:]
            case 2:
                frame[:1] = chance.randbytes(1)
            case 3:
                frame[1:5] = chance.randrange(2**32).to_bytes(4, "big")
            case 4:
                frame[at:at] = chance.choice(_HUGE)
            case 5:
                frame[at : at + 4] = b"\xff\xc3\x28\xfe"  # no UTF-8
            case _:
                frame += chance.randbytes(chance.randint(1, 40))
        frame = frame or bytearray(b"\0")
    return bytes(frame)


def consent(**fields: Any) -> dict[str, Any]:
    """Return a consent to everything in full for a year, unless `fields` say otherwise."""
    return {
        "consent_id": "consent-1",
        "version": 0,
        "purposes": ["RECEIPT", "BALANCE", "SHIPPING", "SECURITY"],
        "detail_level": "FULL",
        "direction": "BOTH",
        "channel_ref": "channel-1",
        "effective_at": 0,
        "valid_until": now_ms() + YEAR_MS,
        "revoked_at": None,
        "notice_id": "notice-1",
        "notice_hash": "0" * 64,
        "locale": "en",
        "timezone": "UTC",
        "preferences": {"min_amount_minor": None, "currency": None, "low_balance_minor": None},
        **fields,
    }


def request(subject: str, action: str, user_id: str | None = "user-1", **fields: Any) -> bytes:
    """Return a consent request; GRANT and CHANGE carry a full consent."""
    given = consent() if action in ("GRANT", "CHANGE") else None
    return encode(
        "consent_request",
        {
            "request_id": f"{action}-{subject}-{time.time_ns()}",
            "subject": subject,
            "user_id": user_id,
            "action": action,
            "requested_at": now_ms(),
            "requested_by": "USER",
            "consent": given,
            **fields,
        },
    )


def link_request(
    channel: str, action: str, user_id: str | None = None, subjects: Sequence[str] = (), **fields: Any
) -> bytes:
    """Return a request about a channel's link with an id of its own, unless `fields` say otherwise."""
    return encode(
        "link_request",
        {
            "request_id": f"{action}-{channel}-{time.monotonic_ns()}",
            "channel_ref": channel,
            "user_id": user_id,
            "action": action,
            "subjects": list(subjects),
            "requested_at": now_ms(),
            "requested_by": "CHANNEL",
            **fields,
        },
    )


def acknowledged(producer: Producer, topic: str, records: Iterable[tuple[str, bytes | None]]) -> None:
    """Send records and return when every one was acknowledged."""
    failed: list[Any] = []

    def told(error: Any, _: Message) -> None:
        if error is not None:
            failed.append(error)

    for key, value in records:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=told)
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(60)
    assert not left, f"{left} records are not acknowledged"
    assert not failed, failed[:3]


class Position(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


class Record(NamedTuple):
    """What to send: to a partition of choice, or by its key."""

    topic: str
    key: str | bytes | None
    value: bytes | None
    partition: int = -1


def sent(producer: Producer, records: Sequence[Record]) -> list[Position]:
    """Send records in their order; return where each stands, all acknowledged."""
    places: dict[int, Position] = {}
    failed: list[Any] = []

    def told(number: int) -> Callable[[Any, Message], None]:
        def tell(error: Any, message: Message) -> None:
            if error is not None:
                failed.append(error)
                return
            places[number] = Position(
                str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
            )

        return tell

    for number, record in enumerate(records):
        producer.produce(
            record.topic, record.value, record.key, partition=record.partition, on_delivery=told(number)
        )
        producer.poll(0)
    left = producer.flush(60)
    assert not left, f"{left} records are not acknowledged"
    assert not failed, failed[:3]
    return [places[number] for number in range(len(records))]


def grant_all(cluster: Cluster, subjects: Sequence[str]) -> None:
    """Grant everything for each subject to `user of it`, and wait until every request is answered."""
    answered = len(cluster.read("consent.results"))
    acknowledged(
        cluster.producer(),
        "consent.requests",
        ((subject, request(subject, "GRANT", f"user-of-{subject}")) for subject in subjects),
    )
    eventually(
        "grants are folded",
        lambda: len(cluster.read("consent.results")) >= answered + len(subjects),
        pause_s=0.3,
    )


def headers_of(message: Message) -> dict[str, str]:
    """Return a record's headers as text."""
    found: dict[str, str] = {}
    for name, value in cast("list[tuple[str, bytes | None]]", list(message.headers() or [])):
        found[name] = (value or b"").decode()
    return found


def notifications(cluster: Cluster) -> list[dict[str, Any]]:
    """Return every committed notification with its `headers`, its `key` and its time `appended_ms`."""
    found = []
    for message in cluster.read("messenger-delivery"):
        fields = decode("notification", message.value() or b"")
        key = (message.key() or b"").decode()
        place = {"headers": headers_of(message), "appended_ms": message.timestamp()[1], "key": key}
        found.append({**fields, **place})
    return found


def batches(cluster: Cluster) -> list[dict[str, Any]]:
    """Return every DecisionBatch, partition by partition."""
    return [
        decode("decision_batch", message.value() or b"") for message in cluster.read("notifier.decisions")
    ]


def marks(cluster: Cluster, partition: int) -> list[int | None]:
    """Return `reminded_until` of every position marker of a partition number, UTC ms, in the log's order."""
    states = cluster.read("notifier.state")
    markers = [one for one in states if one.key() == b"\0position" and one.partition() == partition]
    found = [decode("position_marker", one.value() or b"")["reminded_until"] for one in markers]
    return [None if mark is None else round(mark.timestamp() * 1000) for mark in found]


def has_reminded(cluster: Cluster, stranger: str, moment_ms: int) -> bool:
    """Have a marker written by an event of a subject without consent; tell whether its mark is later."""
    acknowledged(cluster.producer(), "bank.transactions", [(stranger, transaction(stranger, "of nobody"))])
    partition = partition_of(stranger.encode(), cluster.partitions)
    return any((mark or 0) > moment_ms for mark in marks(cluster, partition))


def fates(cluster: Cluster) -> dict[Position, list[str]]:
    """Return what each record met, "FATE REASON" per holder and decision, by position."""
    found: dict[Position, list[str]] = defaultdict(list)
    for batch in batches(cluster):
        for row in batch["decisions"]:
            place = Position(row["topic"], batch["partition"], row["offset"])
            found[place].append(_fate(row["outcome"], row["reason"]))
        for run in batch["no_consent_runs"]:
            for offset in range(run["first_offset"], run["last_offset"] + 1):
                found[Position(run["topic"], batch["partition"], offset)].append("SUPPRESS NO_CONSENT")
    return found


def conserved(cluster: Cluster, guarantee: str = "exactly_once") -> dict[str, Any]:
    """Return the report of the independent checker, run as a process of its own."""
    command = [sys.executable, "-m", "verifier", "conservation", "--kafka", cluster.bootstrap]
    done = subprocess.run(
        [*command, "--guarantee", guarantee, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr[-2000:]
    report: dict[str, Any] = as_json(done.stdout)
    return report


def _fate(fate: str, reason: str | None) -> str:
    return fate if reason is None else f"{fate} {reason}"


def decided_to(cluster: Cluster) -> dict[tuple[str, int], int]:
    """Return how far decisions have come: next offset by (topic, partition)."""
    reached: dict[tuple[str, int], int] = {}
    for batch in batches(cluster):
        for item in batch["inputs"]:
            reached[item["topic"], batch["partition"]] = item["next_offset"]
    return reached


def reasons(cluster: Cluster) -> dict[str, int]:
    """Return the records by "FATE REASON" (NOTIFY and DUPLICATE alone) that the batches state."""
    total: dict[str, int] = {}
    for batch in batches(cluster):
        for entry in batch["counts"]:
            name = _fate(entry["fate"], entry["reason"])
            total[name] = total.get(name, 0) + entry["count"]
    return total


def wait_decided(cluster: Cluster, records: int, deadline_s: float = 60) -> dict[str, int]:
    """Wait until that many records met their fate; return them by reason."""
    eventually(
        f"{records} records are decided",
        lambda: sum(reasons(cluster).values()) >= records,
        deadline_s,
        pause_s=0.5,
    )
    return reasons(cluster)


def decoded_all(cluster: Cluster, schema: str, topic: str) -> list[dict[str, Any]]:
    """Return the fields of every record of a topic of one schema."""
    return [decode(schema, message.value() or b"") for message in cluster.read(topic)]
