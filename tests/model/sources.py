"""The real input as events to be sent: Berka's rows and Olist's orders, read with csv, and what is made of
some of them by hash.

Real rows alone would leave most rules untouched, so a share of them - chosen by a hash of seed and row, so
the same in every run - becomes late, early, repeated, declined, pending and then posted, reversed, removed
or broken. Times are given relative to the moment of sending.
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BEFORE_MS = -30_000  # back to before a change of consent, in a run of a minute or more
LATER = 400  # sends between a step of a lifecycle and the one after it


@dataclass(frozen=True)
class Send:
    """One record to be sent: `shift_ms` from now, or at the time that the event `same_time_as` was given."""

    topic: str
    subject: str
    fields: dict[str, Any]
    shift_ms: int = 0
    damage: str | None = None
    same_time_as: str | None = None
    delay: int = 0


class Source(NamedTuple):
    """All of one input: the holders of every subject, and what is sent, in order."""

    holders: dict[str, list[str]]
    sends: list[Send]


@dataclass(frozen=True)
class Lots:
    """A number from 0 to 1 for every label, the same in every run of one seed."""

    seed: int

    def of(self, *labels: object) -> float:
        text = ":".join(map(str, (self.seed, *labels)))
        return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32

    def pick(self, options: list[Any], *labels: object) -> Any:
        return options[int(self.of(*labels) * len(options))]


def user_of(subject: str) -> str:
    """The user id of a subject's first holder."""
    return "user:" + hashlib.sha256(subject.encode()).hexdigest()[:16]


DAMAGES = [
    *["undecodable"] * 8,
    *["tombstone"] * 4,
    *["null_key"] * 3,
    *["misrouted"] * 4,
    *["mismatch"] * 4,
    *["invalid"] * 4,
    *["unknown_schema"] * 3,
]


def damaged(send: Send, lots: Lots) -> Send:
    """`send`, or for 3 in 100 the same with something wrong in it."""
    name = send.fields["event_id"]
    if lots.of("damage", send.topic, name) >= 0.03:
        return send
    return replace(send, damage=lots.pick(DAMAGES, "which", send.topic, name))


def in_order(batches: Iterator[list[Send]]) -> list[Send]:
    """All sends, those with a delay put that many sends later."""
    whole: list[tuple[int, int, Send]] = []
    for number, batch in enumerate(batches):
        for place, one in enumerate(batch):
            whole.append((number * 4 + one.delay * 4, place, one))
    return [one for _, _, one in sorted(whole, key=lambda entry: entry[:2])]


# Berka


def berka(folder: Path, lots: Lots, share: float = 1.0) -> Source:
    """Every whole row of trans.asc (of a share of the accounts), and the joint holders of disp.asc."""
    holders: dict[str, list[str]] = {}
    with (folder / "disp.asc").open(encoding="latin-1", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            subject = f"berka:{row['account_id']}"
            user = user_of(subject) if row["type"] == "OWNER" else user_of(f"client:{row['client_id']}")
            holders.setdefault(subject, []).append(user)
    with (folder / "trans.asc").open(encoding="latin-1", newline="") as file:
        whole = [row for row in csv.DictReader(file, delimiter=";") if row["account"] is not None]
    taken = [row for row in whole if lots.of("account", row["account_id"]) < share]
    return Source(holders, in_order(_berka_row(row, lots) for row in taken))


def _berka_row(row: dict[str, str], lots: Lots) -> list[Send]:
    name, subject = row["trans_id"], f"berka:{row['account_id']}"
    amount, after = (round(float(row[column]) * 100) for column in ("amount", "balance"))
    payment = {
        "event_id": name,
        "status": "POSTED",
        "amount_minor": amount if row["type"] == "PRIJEM" else -amount,
        "currency": "CZK",
        "category": row["k_symbol"].strip() or None,
        "merchant_name": f"{row['bank']} {row['account']}" if row["bank"] else None,
        "description": row["operation"] or None,
        "channel": "ATM" if row["operation"] == "VYBER KARTOU" else "TRANSFER" if row["bank"] else None,
        "balance_after_minor": after,
    }
    if lots.of("abroad", name) < 0.05:
        payment |= {
            "original_amount_minor": amount // 25,
            "original_currency": "EUR",
            "merchant_country": "AT",
        }
    sends = [damaged(one, lots) for one in _steps(Send("bank.transactions", subject, payment), lots)]
    balance = {"event_id": name, "booked_minor": after, "currency": "CZK", "source_seq": int(name)}
    if lots.of("available", name) < 0.5:
        balance["available_minor"] = after + lots.pick([0, 500_000], "limit", name)
    age = lots.of("balance", name)
    shift = -2 * HOUR_MS if age < 0.03 else BEFORE_MS if age < 0.1 else 0
    sends.append(damaged(Send("bank.balances", subject, balance, shift), lots))
    if lots.of("alert", name) < 0.03:
        sends.append(damaged(_alert(name, subject, lots), lots))
    return sends


def _alert(name: str, subject: str, lots: Lots) -> Send:
    types = ["NEW_DEVICE", "PASSWORD_CHANGED", "CARD_BLOCKED", "LIMIT_CHANGED", "SUSPICIOUS_TRANSACTION"]
    alert = {
        "event_id": f"alert-{name}",
        "type": lots.pick(types, "type", name),
        "severity": lots.pick(["UNKNOWN", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"], "severity", name),
        "action_url_key": lots.pick([None, "devices"], "url", name),
    }
    return Send("bank.security", subject, alert, -HOUR_MS if lots.of("alert-age", name) < 0.05 else 0)


def _steps(send: Send, lots: Lots) -> list[Send]:
    """What is sent for one payment: itself, or a life of several steps."""
    name, amount = send.fields["event_id"], send.fields["amount_minor"]

    def step(status: str, number: int, factor: float = 1.0, **changes: Any) -> Send:
        fields = {"status": status, "lifecycle_id": f"life-{name}", "amount_minor": round(amount * factor)}
        event = {"event_id": f"{name}-{number}" if number else name}
        return replace(send, fields={**send.fields, **event, **fields, **changes}, delay=LATER * number)

    match int(lots.of("steps", name) * 100):
        case 0 | 1 | 2:
            return [replace(send, shift_ms=-7 * HOUR_MS)]
        case 3:
            return [replace(send, shift_ms=10 * MINUTE_MS)]
        case 4 | 5 | 6:
            return [send, replace(send, delay=1)]
        case 7 | 8 | 9:
            return [step("PENDING", 0), step("POSTED", 1)]
        case 10 | 11:
            return [step("PENDING", 0), step("POSTED", 1, 1.05), step("PENDING", 2, 1.2)]
        case 12 | 13:
            return [step("PENDING", 0), step("POSTED", 1, 1.2), step("REVERSED", 2, 1.2)]
        case 14:
            return [send, step("REVERSED", 1), step("POSTED", 2), step("POSTED", 3), step("REVERSED", 4)]
        case 15:
            reason = lots.pick(["OTHER", "INSUFFICIENT_FUNDS", "CARD_BLOCKED", None], "reason", name)
            declined = [step("DECLINED", number, factor) for number, factor in enumerate((1, 1, 2))]
            return [replace(one, fields={**one.fields, "decline_reason": reason}) for one in declined]
        case 16:
            return [step("REMOVED", 0)]
        case number if number < 27:
            return [replace(send, shift_ms=BEFORE_MS)]
        case _:
            return [send]


# Olist


def olist(folder: Path, lots: Lots, share: float = 1.0) -> Source:
    """Every order's stages in the order in which they happened, over all orders (a share of them)."""
    with (folder / "customers_union.csv").open(encoding="utf-8", newline="") as file:
        customers = {row["customer_id"]: row for row in csv.DictReader(file)}
    holders: dict[str, list[str]] = {}
    stages: list[tuple[datetime, int, Send]] = []
    with (folder / "orders_union.csv").open(encoding="utf-8", newline="") as file:
        for order in csv.DictReader(file):
            if lots.of("order", order["order_id"]) >= share:
                continue
            customer = customers.get(order["customer_id"], {})
            subject = f"olist:{customer.get('customer_unique_id') or order['customer_id']}"
            holders[subject] = [user_of(subject)]
            for at, send in _olist_order(order, subject, customer, lots):
                stages.append((at, len(stages), send))
    ordered = [send for _, _, send in sorted(stages, key=lambda stage: stage[:2])]
    return Source(holders, in_order(_olist_stage(send, lots) for send in ordered))


_STAGES = {
    "PRE_TRANSIT": "order_approved_at",
    "IN_TRANSIT": "order_delivered_carrier_date",
    "DELIVERED": "order_delivered_customer_date",
}


def _olist_order(
    order: dict[str, str], subject: str, customer: dict[str, str], lots: Lots
) -> Iterator[tuple[datetime, Send]]:
    name = order["order_id"]
    times = {status: _time(order[column]) for status, column in _STAGES.items()}
    if order["order_status"] in ("canceled", "unavailable"):
        status = {"canceled": "CANCELLED", "unavailable": "EXCEPTION"}[order["order_status"]]
        times[status] = _time(order["order_purchase_timestamp"])
    due = _time(order["order_estimated_delivery_date"])
    shared = {
        "shipment_id": name,
        "order_ref": name,
        "carrier": lots.pick([None, "Correios", "Loggi"], "carrier", name),
        "eta_at": int(due.timestamp() * 1000) if due else None,
        "location": customer.get("customer_city"),
    }
    for status, at in times.items():
        if at is not None:
            event = {
                "event_id": f"{name}-{status}",
                "status": status,
                "action_required": status == "EXCEPTION",
            }
            yield at, Send("shipping.events", subject, {**shared, **event})


def _olist_stage(send: Send, lots: Lots) -> list[Send]:
    name = send.fields["event_id"]

    def other(suffix: str, delay: int = LATER, **changes: Any) -> Send:
        return replace(send, fields={**send.fields, "event_id": f"{name}-{suffix}", **changes}, delay=delay)

    sends = [send]
    match int(lots.of("stage", name) * 100):
        case 0 | 1:
            sends = [replace(send, shift_ms=-50 * HOUR_MS)]
        case 2:
            sends = [replace(send, shift_ms=10 * MINUTE_MS)]
        case 3 | 4 | 5:
            sends = [send, replace(send, delay=1)]
        case 6 | 7:
            sends = [send, replace(other("again"), same_time_as=name)]
        case 8 | 9:
            sends = [send, other("later"), replace(other("eta", eta_at=1_600_000_000_000), same_time_as=name)]
        case 10 | 11:
            sends = [send, replace(other("earlier", status="AVAILABLE_FOR_PICKUP"), shift_ms=BEFORE_MS)]
        case 12:
            fields = {"status": "AVAILABLE_FOR_PICKUP", "correction_of": name}
            sends = [send, replace(other("correct", **fields), shift_ms=BEFORE_MS)]
        case 13:
            sends = [send, other("unknown", status="UNKNOWN"), other("lost", status="LOST")]
        case 14:
            sends = [send, other("back", status="RETURNING"), other("home", 2 * LATER, status="RETURNED")]
    return [damaged(one, lots) for one in sends]


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
