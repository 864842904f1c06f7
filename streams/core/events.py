"""Events as producers state them: one tuple type per schema, fields in schema order, times in UTC
milliseconds, money in minor units.

Named tuples, not dataclasses: a decoder makes one from a sequence in half a microsecond, and a compiled
decoder can fill columns of the same order. Imports `codes` only. Read next: `consent.py`.
"""

from typing import NamedTuple

from streams.core.codes import Channel, DeclineReason, Severity, ShipmentStatus, TransactionStatus


class BankTransaction(NamedTuple):
    """One step in the life of a payment. Source: bank_transaction.avsc."""

    event_id: str
    subject: str
    occurred_at: int
    status: TransactionStatus | int
    amount_minor: int
    currency: str
    lifecycle_id: str | None = None
    supersedes_event_id: str | None = None
    original_amount_minor: int | None = None
    original_currency: str | None = None
    merchant_name: str | None = None
    merchant_country: str | None = None
    mcc: str | None = None
    category: str | None = None
    channel: Channel | int | None = None
    decline_reason: DeclineReason | int | None = None
    description: str | None = None
    order_ref: str | None = None
    balance_after_minor: int | None = None


class AccountBalance(NamedTuple):
    """The balance of an account at a moment. Source: account_balance.avsc."""

    event_id: str
    subject: str
    as_of: int
    booked_minor: int
    currency: str
    available_minor: int | None = None
    source_seq: int | None = None


class SecurityAlert(NamedTuple):
    """Something that concerns the safety of an account. Source: security_alert.avsc."""

    event_id: str
    subject: str
    occurred_at: int
    type: str
    severity: Severity | int
    action_url_key: str | None = None


class ShipmentUpdate(NamedTuple):
    """A change in the life of a parcel. Source: shipment_update.avsc."""

    event_id: str
    subject: str
    shipment_id: str
    status: ShipmentStatus | int
    status_at: int
    order_ref: str | None = None
    carrier: str | None = None
    eta_at: int | None = None
    location: str | None = None
    action_required: bool = False
    correction_of: str | None = None
    description: str | None = None


Event = BankTransaction | AccountBalance | SecurityAlert | ShipmentUpdate
EVENT_TYPES: tuple[type[Event], ...] = (BankTransaction, AccountBalance, SecurityAlert, ShipmentUpdate)


def event_time(event: Event) -> int:
    """Return when the event happened, UTC milliseconds. Never raises. Source: docs/rules.md section 1."""
    match event:
        case AccountBalance():
            return event.as_of
        case ShipmentUpdate():
            return event.status_at
        case _:
            return event.occurred_at
