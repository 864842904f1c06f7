"""Makes the notification that follows from a NOTIFY.

Its identity, its mandatory fields, and the event's fields that may be shown. Imports `ids`, `masking`,
`prepared` and `project`. Source: docs/rules.md section 7.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from streams.core.codes import DetailLevel, Push, ShipmentStatus, TransactionStatus
from streams.core.decision import Notification
from streams.core.events import AccountBalance, BankTransaction, Event, SecurityAlert, ShipmentUpdate
from streams.core.ids import notification_id
from streams.core.lifecycle import DAY_MS
from streams.core.masking import masked
from streams.core.policy import KINDS
from streams.core.prepared import PreparedHolder
from streams.core.project import (
    AMOUNT_MERCHANT,
    FREE_TEXTS,
    NOTIFICATION_FIELDS,
    Projection,
    shipment_label,
)
from streams.core.steps import GO_ON_ETA

_REGULAR = Push.REGULAR
_DETAIL_LEVELS = tuple(DetailLevel)
_TRANSACTION_STATUS_NAMES = tuple(status.name for status in TransactionStatus)
_SHIPMENT_STATUS_NAMES = tuple(status.name for status in ShipmentStatus)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_NOTHING = (None, None)
_LABEL = "shipment_label"
_TEXT_PLACES = tuple((NOTIFICATION_FIELDS.index(name), name) for name in FREE_TEXTS if name != _LABEL)


def make_notification(
    event: Event,
    event_type: int,
    event_time: int,
    kind: int,
    answer: int,
    holder: PreparedHolder,
    projection: Projection,
    detail_level: int,
    subject_label: str,
    max_age_ms: int,
    now: int,
) -> tuple[Notification, tuple[str, ...]]:
    """Return what `holder` is told of `event`, and the fields in which numbers were masked. Never raises.

    Times are UTC ms; `answer` is of `steps.py`: a new ETA has an identity of its own.
    """
    kind_, _, priority, _, name, template_key = KINDS[kind]
    fill, purpose, has_label, has_original = projection
    user_id = holder.user_id
    head = (
        _IDENTITIES[event_type](event, name, answer, user_id),
        user_id,
        holder.channel_ref,
        kind_,
        purpose,
        template_key,
        _DETAIL_LEVELS[detail_level],
        holder.locale,
        holder.timezone,
        priority,
        _REGULAR,
        event_time,
        now,
        event_time,
        event_time + max_age_ms,
        event.event_id,
        subject_label,
        holder.consent_id,
        holder.version,
    )
    shows_last = detail_level >= AMOUNT_MERCHANT
    names: list[str] = []
    if has_label:
        carrier = event.carrier  # type: ignore[union-attr]  # only parcels have a label
        shown_carrier = carrier and masked(carrier, shows_last=shows_last)
        if shown_carrier != carrier:
            names.append(_LABEL)
        label = shipment_label(shown_carrier, event.shipment_id)  # type: ignore[union-attr]
        shown = fill((*event, None, label))
    elif has_original:
        shown = fill(_completed(event))
    else:
        shown = fill(event + _NOTHING)
    for place, field in _TEXT_PLACES:
        text = shown[place]
        if text is not None and (safe := masked(text, shows_last=shows_last)) != text:
            shown = (*shown[:place], safe, *shown[place + 1 :])
            names.append(field)
    return Notification._make(head + shown), tuple(names)


def _completed(event: Any) -> tuple[Any, ...]:
    """Leave out a transaction's currency that no amount goes with."""
    if event.original_amount_minor is None and event.original_currency is not None:
        event = event._replace(original_currency=None)
    return (*event, *_NOTHING)


def _transaction_id(event: BankTransaction, kind_name: str, _answer: int, recipient: str) -> str:
    key = event.event_id if event.lifecycle_id is None else event.lifecycle_id
    status = _TRANSACTION_STATUS_NAMES[event.status]
    return notification_id(recipient, event.subject, kind_name, key, status, str(event.amount_minor))


def _balance_id(event: AccountBalance, kind_name: str, _answer: int, recipient: str) -> str:
    return notification_id(recipient, event.subject, kind_name, event.event_id, str(event.booked_minor))


def _alert_id(event: SecurityAlert, kind_name: str, _answer: int, recipient: str) -> str:
    return notification_id(recipient, event.subject, kind_name, event.event_id)


def _shipment_id(event: ShipmentUpdate, kind_name: str, answer: int, recipient: str) -> str:
    revision = _utc_date(event.eta_at or 0) if answer == GO_ON_ETA else str(event.status_at)
    status = _SHIPMENT_STATUS_NAMES[event.status]
    return notification_id(recipient, event.subject, kind_name, event.shipment_id, status, revision)


def _utc_date(at_ms: int) -> str:
    return date.fromordinal(_EPOCH_DAY + at_ms // DAY_MS).isoformat()


_IDENTITIES: tuple[Callable[[Any, str, int, str], str], ...] = (
    _transaction_id,
    _balance_id,
    _alert_id,
    _shipment_id,
)
"""By event type: (event, name of the kind, answer, recipient) -> notification_id."""
