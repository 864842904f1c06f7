"""Which fields of an event a notification may show, and the masked labels.

By kind, purposes and detail level. The tags stand in schemas/notification.avsc too;
`tests/core/test_project.py` compares them. Imports `codes`, `events`, `masking` and `policy`. Read next:
`prepared.py`.
Source: docs/rules.md section 7.
"""

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from streams.core.codes import DetailLevel, Kind, Purpose
from streams.core.decision import Notification
from streams.core.events import EVENT_TYPES
from streams.core.masking import masked
from streams.core.policy import BALANCE, RECEIPT, SECURITY, SHIPPING

ACTIVITY_ONLY, AMOUNT = int(DetailLevel.ACTIVITY_ONLY), int(DetailLevel.AMOUNT)
AMOUNT_MERCHANT, FULL = int(DetailLevel.AMOUNT_MERCHANT), int(DetailLevel.FULL)
EVERY_PURPOSE = BALANCE | RECEIPT | SHIPPING | SECURITY

FIELD_TAGS: dict[str, tuple[int, int]] = {
    "status": (RECEIPT | SECURITY, ACTIVITY_ONLY),
    "amount_minor": (RECEIPT | SECURITY, AMOUNT),
    "currency": (RECEIPT | SECURITY | BALANCE, AMOUNT),
    "original_amount_minor": (RECEIPT | SECURITY, AMOUNT),
    "original_currency": (RECEIPT | SECURITY, AMOUNT),
    "merchant_name": (RECEIPT | SECURITY, AMOUNT_MERCHANT),
    "merchant_country": (RECEIPT | SECURITY, AMOUNT_MERCHANT),
    "category": (RECEIPT, AMOUNT_MERCHANT),
    "decline_reason": (RECEIPT | SECURITY, FULL),
    "balance_after_minor": (BALANCE, AMOUNT),
    "booked_minor": (BALANCE, AMOUNT),
    "available_minor": (BALANCE, AMOUNT),
    "shipment_status": (SHIPPING, ACTIVITY_ONLY),
    "shipment_label": (SHIPPING, AMOUNT_MERCHANT),
    "eta_at": (SHIPPING, AMOUNT),
    "location": (SHIPPING, FULL),
    "action_required": (SHIPPING, ACTIVITY_ONLY),
    "alert_type": (SECURITY, ACTIVITY_ONLY),
    "severity": (SECURITY, ACTIVITY_ONLY),
    "action_url_key": (SECURITY, ACTIVITY_ONLY),
}
"""What every field needs that an event may fill: one of these purposes, and the least detail level."""

_PAYMENT = (
    "status", "amount_minor", "currency", "original_amount_minor", "original_currency", "merchant_name",
    "merchant_country", "category", "balance_after_minor",
)  # fmt: skip
KIND_FIELDS: dict[Kind, tuple[str, ...]] = {
    Kind.RECEIPT: _PAYMENT,
    Kind.REFUND: _PAYMENT,
    Kind.DECLINED: (*_PAYMENT, "decline_reason"),
    Kind.BALANCE: ("booked_minor", "available_minor", "currency"),
    Kind.SHIPPING: ("shipment_status", "shipment_label", "eta_at", "location", "action_required"),
    Kind.SECURITY: ("alert_type", "severity", "action_url_key"),
}
"""What each kind may fill; the order is that of the document."""

_EVENT_TYPE = {
    Kind.RECEIPT: 0,
    Kind.REFUND: 0,
    Kind.DECLINED: 0,
    Kind.BALANCE: 1,
    Kind.SECURITY: 2,
    Kind.SHIPPING: 3,
}
_NAME_IN_EVENT = {2: {"alert_type": "type"}, 3: {"shipment_status": "status"}}
NOTIFICATION_FIELDS = Notification._fields[Notification._fields.index("status") :]
"""The fields of a notification that an event may fill, in order."""
FREE_TEXTS = ("merchant_name", "category", "shipment_label", "location", "alert_type", "action_url_key")
"""Those whose words a producer chose: numbers in them are masked."""

Fill = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class Projection(NamedTuple):
    """How to fill a notification of one kind.

    `fill` takes the event's fields, None, and the parcel's label or None, and returns every field from
    `status` on.
    """

    fill: Fill
    purpose: Purpose
    has_label: bool
    has_original: bool


@lru_cache(maxsize=64)
def projections(purposes: int, detail_level: int) -> tuple[Projection | None, ...]:
    """Return the projections of these terms, indexed by Kind, None where a kind has none. Never raises."""
    return tuple(_projection(kind, purposes, detail_level) if kind in KIND_FIELDS else None for kind in Kind)


def _projection(kind: Kind, purposes: int, detail_level: int) -> Projection:
    names = EVENT_TYPES[_EVENT_TYPE[kind]]._fields
    nothing, label = len(names), len(names) + 1
    places, has_original = [], False
    for field in NOTIFICATION_FIELDS:
        purpose_bits, least = FIELD_TAGS.get(field, (0, FULL))
        is_shown = field in KIND_FIELDS[kind] and purposes & purpose_bits and detail_level >= least
        has_original = has_original or (field == "original_currency" and bool(is_shown))
        source = source_field(_EVENT_TYPE[kind], field)
        places.append(nothing if not is_shown else label if source is None else source)
    return Projection(itemgetter(*places), _purpose(kind, purposes), label in places, has_original)


def source_field(event_type: int, field: str) -> int | None:
    """Return which field of an event fills a notification's field, None if none of them does by itself."""
    name = _NAME_IN_EVENT.get(event_type, {}).get(field, field)
    names = EVENT_TYPES[event_type]._fields
    return names.index(name) if name in names else None


def _purpose(kind: Kind, purposes: int) -> Purpose:
    match kind:
        case Kind.DECLINED:
            return Purpose.RECEIPT if purposes & RECEIPT else Purpose.SECURITY
        case Kind.BALANCE:
            return Purpose.BALANCE
        case Kind.SHIPPING:
            return Purpose.SHIPPING
        case Kind.SECURITY:
            return Purpose.SECURITY
        case _:
            return Purpose.RECEIPT


def subject_label(subject: str) -> str:
    """Return the masked name of an account or shop. Never raises."""
    source, _, token = subject.partition(":")
    source = masked(source, shows_last=False)[:16]
    return f"{source} …{token[-4:]}" if len(token) >= 8 else source


def shipment_label(carrier: str | None, shipment_id: str) -> str:
    """Return the carrier, if known, and the shortened id of a parcel. Never raises."""
    short = f"…{shipment_id[-4:]}" if len(shipment_id) >= 8 else "…"
    return f"{carrier} {short}" if carrier else short
