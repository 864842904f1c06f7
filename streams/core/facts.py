"""Reads from an event the scalars that rules ask for, and finds fields that break their limits.

A code outside its closed list breaks its limit too; the wire gives UNKNOWN in its place.

Imports `codes`, `events`, `limits`, `money` and `policy`. Read next: `decide.py`. Source: docs/rules.md
section 2.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from streams.core.codes import Channel, DeclineReason, Kind, Severity, ShipmentStatus, TransactionStatus
from streams.core.events import AccountBalance, BankTransaction, SecurityAlert, ShipmentUpdate
from streams.core.limits import (
    AMOUNT_BOUND,
    END_OF_TIME_MS,
    MAX_ALERT_TYPE_CHARS,
    MAX_ID_CHARS,
    MAX_TEXT_CHARS,
)
from streams.core.money import is_currency
from streams.core.policy import KIND_OF_TRANSACTION

Facts = tuple[int, int, bool, bool, int, str]
"""Time, Kind, is it a transaction, was it removed, amount (of a balance: booked), currency ("" for none)."""

TEXTS_KEPT = 1_024
"""Answers kept for short codes, which repeat from event to event."""

_BALANCE, _SECURITY, _SHIPPING = int(Kind.BALANCE), int(Kind.SECURITY), int(Kind.SHIPPING)
_KINDS = tuple(int(kind) for kind in KIND_OF_TRANSACTION)
_REMOVED = int(TransactionStatus.REMOVED)
_LAST_DECLINE_REASON, _LAST_CHANNEL = int(max(DeclineReason)), int(max(Channel))
_LAST_SEVERITY, _LAST_SHIPMENT_STATUS = int(max(Severity)), int(max(ShipmentStatus))


def _is_id(text: str | None) -> bool:
    return text is None or 0 < len(text) <= MAX_ID_CHARS


def _is_text(text: str | None) -> bool:
    return text is None or len(text) <= MAX_TEXT_CHARS


def _is_amount(amount: int | None) -> bool:
    return amount is None or -AMOUNT_BOUND < amount < AMOUNT_BOUND


@lru_cache(TEXTS_KEPT)
def _is_country(text: str) -> bool:
    return len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()


@lru_cache(TEXTS_KEPT)
def _is_category_code(text: str) -> bool:
    return len(text) == 4 and text.isascii() and text.isdigit()


def transaction_facts(event: BankTransaction) -> Facts | None:
    """Return the facts of a transaction; None if a field breaks its limits. Never raises."""
    (
        event_id, subject, occurred_at, status, amount_minor, currency, lifecycle_id, supersedes_event_id,
        original_amount_minor, original_currency, merchant_name, merchant_country, mcc, category, channel,
        decline_reason, description, order_ref, balance_after_minor,
    ) = event  # fmt: skip
    is_valid = (
        0 < len(event_id) <= MAX_ID_CHARS
        and 0 <= occurred_at < END_OF_TIME_MS
        and 0 < status <= _REMOVED
        and -AMOUNT_BOUND < amount_minor < AMOUNT_BOUND
        and is_currency(currency)
        and len(subject) <= MAX_TEXT_CHARS
        and (lifecycle_id is None or 0 < len(lifecycle_id) <= MAX_ID_CHARS)
        and (merchant_name is None or len(merchant_name) <= MAX_TEXT_CHARS)
        and (merchant_country is None or _is_country(merchant_country))
        and (mcc is None or _is_category_code(mcc))
        and (category is None or len(category) <= MAX_TEXT_CHARS)
        and (description is None or len(description) <= MAX_TEXT_CHARS)
        and (original_currency is None or is_currency(original_currency))
        and (supersedes_event_id is None or _is_id(supersedes_event_id))
        and (order_ref is None or _is_id(order_ref))
        and (original_amount_minor is None or _is_amount(original_amount_minor))
        and (balance_after_minor is None or _is_amount(balance_after_minor))
        and (channel is None or 0 <= channel <= _LAST_CHANNEL)
        and (decline_reason is None or 0 <= decline_reason <= _LAST_DECLINE_REASON)
    )
    return (
        (occurred_at, _KINDS[status], True, status == _REMOVED, amount_minor, currency) if is_valid else None
    )


def balance_facts(event: AccountBalance) -> Facts | None:
    """Return the facts of a balance; None if a field breaks its limits. Never raises."""
    event_id, subject, as_of, booked_minor, currency, available_minor, _ = event
    is_valid = (
        0 < len(event_id) <= MAX_ID_CHARS
        and 0 <= as_of < END_OF_TIME_MS
        and _is_amount(booked_minor)
        and is_currency(currency)
        and len(subject) <= MAX_TEXT_CHARS
        and _is_amount(available_minor)
    )
    return (as_of, _BALANCE, False, False, booked_minor, currency) if is_valid else None


def alert_facts(event: SecurityAlert) -> Facts | None:
    """Return the facts of a security alert; None if a field breaks its limits. Never raises."""
    event_id, subject, occurred_at, type_, severity, action_url_key = event
    is_valid = (
        0 < len(event_id) <= MAX_ID_CHARS
        and 0 <= occurred_at < END_OF_TIME_MS
        and 0 < len(type_) <= MAX_ALERT_TYPE_CHARS
        and 0 <= severity <= _LAST_SEVERITY
        and len(subject) <= MAX_TEXT_CHARS
        and _is_text(action_url_key)
    )
    return (occurred_at, _SECURITY, False, False, 0, "") if is_valid else None


def shipment_facts(event: ShipmentUpdate) -> Facts | None:
    """Return the facts of a parcel's update; None if a field breaks its limits. Never raises."""
    (
        event_id, subject, shipment_id, status, status_at, order_ref, carrier, eta_at, location, _,
        correction_of, description,
    ) = event  # fmt: skip
    is_valid = (
        0 < len(event_id) <= MAX_ID_CHARS
        and 0 < len(shipment_id) <= MAX_ID_CHARS
        and 0 <= status <= _LAST_SHIPMENT_STATUS
        and 0 <= status_at < END_OF_TIME_MS
        and (eta_at is None or 0 <= eta_at < END_OF_TIME_MS)
        and _is_id(order_ref)
        and _is_id(correction_of)
        and _is_text(subject)
        and _is_text(carrier)
        and _is_text(location)
        and _is_text(description)
    )
    return (status_at, _SHIPPING, False, False, 0, "") if is_valid else None


FACTS: tuple[Callable[[Any], Facts | None], ...] = (
    transaction_facts,
    balance_facts,
    alert_facts,
    shipment_facts,
)
"""Indexed by event type, the order of `events.EVENT_TYPES`."""
