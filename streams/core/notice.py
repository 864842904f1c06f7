"""Makes the notification that follows from a NOTIFY: its identity, its mandatory fields, and the event's
fields that may be shown.

Imports `ids` and `project`. Read next: `prepared.py`. Source: docs/rules.md section 7.
"""

from datetime import date
from typing import Any, cast

from streams.core.codes import DetailLevel, Kind, Push, ShipmentStatus, TransactionStatus
from streams.core.decision import Notification
from streams.core.events import AccountBalance, BankTransaction, Event, ShipmentUpdate
from streams.core.ids import notification_id
from streams.core.lifecycle import BALANCE, DAY_MS, SHIPMENT, TRANSACTION
from streams.core.policy import KINDS
from streams.core.prepared import PreparedHolder
from streams.core.project import Projection, shipment_label
from streams.core.steps import GO_ON_ETA

_REGULAR = Push.REGULAR
_DETAIL_LEVELS = tuple(DetailLevel)
_KIND_NAMES = tuple(kind.name for kind in Kind)
_TRANSACTION_STATUS_NAMES = tuple(status.name for status in TransactionStatus)
_SHIPMENT_STATUS_NAMES = tuple(status.name for status in ShipmentStatus)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ORIGINAL_AMOUNT = BankTransaction._fields.index("original_amount_minor")


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
) -> Notification:
    """Return what `holder` is told of `event`;

    times are UTC ms, `answer` is of `steps.py` (a new ETA has an identity of its own). Never raises.
    """
    rule = KINDS[kind]
    return Notification(
        _identity(event, event_type, kind, answer, holder.user_id),
        holder.user_id,
        holder.channel_ref,
        rule.kind,
        projection.purpose,
        rule.template_key,
        _DETAIL_LEVELS[detail_level],
        holder.locale,
        holder.timezone,
        rule.priority,
        _REGULAR,
        event_time,
        now,
        event_time,
        event_time + max_age_ms,
        event.event_id,
        subject_label,
        holder.consent_id,
        holder.version,
        *_shown(event, event_type, projection),
    )


def _shown(event: Event, event_type: int, projection: Projection) -> tuple[Any, ...]:
    if event_type == TRANSACTION and event[_ORIGINAL_AMOUNT] is None:
        event = cast("BankTransaction", event)
        if event.original_currency is not None:
            event = event._replace(original_currency=None)
    label = None
    if projection.has_label:
        shipment = cast("ShipmentUpdate", event)
        label = shipment_label(shipment.carrier, shipment.shipment_id)
    return projection.fill((*event, None, label))


def _identity(event: Event, event_type: int, kind: int, answer: int, recipient: str) -> str:
    name = _KIND_NAMES[kind]
    if event_type == TRANSACTION:
        transaction = cast("BankTransaction", event)
        status, amount = _TRANSACTION_STATUS_NAMES[transaction.status], str(transaction.amount_minor)
        key = transaction.event_id if transaction.lifecycle_id is None else transaction.lifecycle_id
        return notification_id(recipient, transaction.subject, name, key, status, amount)
    if event_type == BALANCE:
        balance = cast("AccountBalance", event)
        return notification_id(recipient, balance.subject, name, balance.event_id, str(balance.booked_minor))
    if event_type == SHIPMENT:
        shipment = cast("ShipmentUpdate", event)
        revision = _eta_date(shipment.eta_at or 0) if answer == GO_ON_ETA else str(shipment.status_at)
        status = _SHIPMENT_STATUS_NAMES[shipment.status]
        return notification_id(recipient, shipment.subject, name, shipment.shipment_id, status, revision)
    return notification_id(recipient, event.subject, name, event.event_id)


def _eta_date(eta_at: int) -> str:
    return date.fromordinal(_EPOCH_DAY + eta_at // DAY_MS).isoformat()
