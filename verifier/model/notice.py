"""Section 7 of docs/rules.md: the notification, its identity and the fields that may be shown, by the tags
of notification.avsc.
"""

import uuid
from typing import Any

from verifier.avro import load_schema
from verifier.model.consents import DETAIL, Terms, Version
from verifier.model.masking import masked
from verifier.model.memory import utc_date
from verifier.model.opening import Event

NAMESPACE = uuid.UUID("1b5eb6ff-3e37-4091-bfeb-9304ea67c482")
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
MAX_AGE_MS = {
    "RECEIPT": 6 * HOUR_MS,
    "REFUND": 6 * HOUR_MS,
    "DECLINED": 6 * HOUR_MS,
    "BALANCE": HOUR_MS,
    "SECURITY": 15 * MINUTE_MS,
    "SHIPPING": 48 * HOUR_MS,
}
PURPOSES_OF = {
    "RECEIPT": ("RECEIPT",),
    "REFUND": ("RECEIPT",),
    "DECLINED": ("RECEIPT", "SECURITY"),
    "BALANCE": ("BALANCE",),
    "SECURITY": ("SECURITY",),
    "SHIPPING": ("SHIPPING",),
}
PRIORITY = {"RECEIPT": 3, "REFUND": 3, "DECLINED": 1, "BALANCE": 2, "SECURITY": 0, "SHIPPING": 4}
_PAYMENT = (
    "status",
    "amount_minor",
    "currency",
    "original_amount_minor",
    "original_currency",
    "merchant_name",
    "merchant_country",
    "category",
    "balance_after_minor",
)
FIELDS_OF = {
    "RECEIPT": _PAYMENT,
    "REFUND": _PAYMENT,
    "DECLINED": (*_PAYMENT, "decline_reason"),
    "BALANCE": ("booked_minor", "available_minor", "currency"),
    "SHIPPING": ("shipment_status", "shipment_label", "eta_at", "location", "action_required"),
    "SECURITY": ("alert_type", "severity", "action_url_key"),
}
_FREE_TEXTS = ("merchant_name", "category", "location", "alert_type", "action_url_key", "carrier")
SCHEMA = {field["name"]: field for field in load_schema("notification")["fields"]}


def kind_of(event: Event) -> str:
    """What an event would tell."""
    match event.schema:
        case "bank_transaction":
            return {"REVERSED": "REFUND", "DECLINED": "DECLINED"}.get(event.fields["status"], "RECEIPT")
        case "account_balance":
            return "BALANCE"
        case "security_alert":
            return "SECURITY"
        case _:
            return "SHIPPING"


def notification_id(recipient: str, subject: str, kind: str, event: Event, *, is_new_eta: bool) -> str:
    """The identity of telling `recipient` of this event."""
    fields = event.fields
    business = fields.get("lifecycle_id") or fields.get("shipment_id") or fields["event_id"]
    match event.schema:
        case "bank_transaction":
            revision = [fields["status"], str(fields["amount_minor"])]
        case "account_balance":
            revision = [str(fields["booked_minor"])]
        case "shipment_update" if is_new_eta:
            revision = [fields["status"], utc_date(fields["eta_at"])]
        case "shipment_update":
            revision = [fields["status"], str(fields["status_at"])]
        case _:
            revision = []
    return str(uuid.uuid5(NAMESPACE, "\x1f".join([recipient, subject, kind, business, *revision])))


def notification(
    recipient: str, event: Event, last: Version, terms: Terms, now: int, *, is_new_eta: bool
) -> dict[str, Any]:
    """The whole notification, every field of the schema by name."""
    kind, subject = kind_of(event), event.fields["subject"]
    granted = [purpose for purpose in PURPOSES_OF[kind] if purpose in terms.purposes]
    told = dict.fromkeys(SCHEMA)
    told |= {
        "notification_id": notification_id(recipient, subject, kind, event, is_new_eta=is_new_eta),
        "recipient": recipient,
        "kind": kind,
        "purpose": granted[0],
        "template_key": kind.lower(),
        "detail_level": DETAIL[terms.detail],
        "priority": PRIORITY[kind],
        "push": "REGULAR",
        "occurred_at": event.time,
        "decided_at": now,
        "not_before": event.time,
        "not_after": event.time + MAX_AGE_MS[kind],
        "source_event_id": event.fields["event_id"],
        "subject_label": subject_label(subject),
        "consent_version": last["version"],
    }
    told |= {name: last[name] for name in ("consent_id", "channel_ref", "locale", "timezone")}
    return told | _shown(event, kind, terms)


def _shown(event: Event, kind: str, terms: Terms) -> dict[str, Any]:
    had = {**event.fields}
    if event.schema == "security_alert":
        had["alert_type"] = had["type"]
    is_high = terms.detail >= DETAIL.index("AMOUNT_MERCHANT")
    had |= {name: masked(had[name], detail_is_high=is_high) for name in _FREE_TEXTS if had.get(name)}
    if event.schema == "shipment_update":
        had |= {"shipment_status": had.pop("status"), "shipment_label": shipment_label(had)}
    shown = {name: had[name] for name in FIELDS_OF[kind] if _may_show(name, terms)}
    if not any(
        shown.get(name) is not None
        for name in ("amount_minor", "balance_after_minor", "booked_minor", "available_minor")
    ):
        shown.pop("currency", None)
    if shown.get("original_amount_minor") is None:
        shown.pop("original_currency", None)
    return shown


def _may_show(name: str, terms: Terms) -> bool:
    tags = SCHEMA[name]
    return bool(terms.purposes & set(tags["purposes"])) and terms.detail >= DETAIL.index(tags["min_detail"])


def subject_label(subject: str) -> str:
    """The source's name, and the last four characters of a token of eight or more."""
    source, _, token = subject.partition(":")
    return masked(source, detail_is_high=False)[:16] + (f" …{token[-4:]}" if len(token) >= 8 else "")


def shipment_label(fields: dict[str, Any]) -> str:
    """The carrier, and the last four characters of a parcel's id of eight or more."""
    tail = fields["shipment_id"][-4:] if len(fields["shipment_id"]) >= 8 else ""
    return (f"{fields['carrier']} " if fields["carrier"] else "") + "…" + tail
