"""Asks what is new for a holder of an event, and makes the memory entry of a step told.

Joins the scalars of `steps.py` to events and packed entries. Imports `events`, `steps` and `subject_state`.
Read next: `decide.py`.
Source: docs/rules.md section 6.
"""

import hashlib
from typing import cast

from streams.core.codes import TransactionStatus
from streams.core.events import AccountBalance, BankTransaction, Event, ShipmentUpdate
from streams.core.policy import TOLD_FOR_MS
from streams.core.steps import GO_ON_ETA, NO_DAY, balance_step, declined_step, shipment_step, transaction_step
from streams.core.subject_state import AS_NEW_ETA, ToldEntry

DAY_MS = 86_400_000
TRANSACTION, BALANCE, ALERT, SHIPMENT = 0, 1, 2, 3
"""Event types, the order of `events.EVENT_TYPES`."""

_DECLINED = int(TransactionStatus.DECLINED)
_NOTHING: ToldEntry = (b"", 0, 0, 0, NO_DAY, NO_DAY, -1)


def scope(event: Event, event_type: int) -> bytes | None:
    """Return what names the lifecycle of an event within its subject, None if it has none. Never raises."""
    if event_type == TRANSACTION:
        transaction = cast("BankTransaction", event)
        if transaction.lifecycle_id is None:
            return None
        letter = b"D" if transaction.status == _DECLINED else b"T"
        return _named(letter, transaction.lifecycle_id)
    if event_type == SHIPMENT:
        return _named(b"S", cast("ShipmentUpdate", event).shipment_id)
    return b"B" if event_type == BALANCE else None


def _named(letter: bytes, name: str) -> bytes:
    data = name.encode("utf-8", "surrogatepass")
    return letter + len(data).to_bytes(2, "big") + data


def told_key(scope_: bytes, user_id: str) -> bytes:
    """Return the 8-byte hash under which the step last told to one holder is remembered. Never raises."""
    return hashlib.blake2b(scope_ + user_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def answer(event: Event, event_type: int, told: ToldEntry | None, now: int) -> int:
    """Return the answer (`steps.py`) of section 6 to an event that has a lifecycle. Never raises."""
    _, _, code, value, eta_day, decided_day, _ = told or _NOTHING
    if event_type == TRANSACTION:
        transaction = cast("BankTransaction", event)
        if transaction.status == _DECLINED:
            return declined_step(told is not None, value, transaction.amount_minor)
        return transaction_step(told is not None, code, value, transaction.status, transaction.amount_minor)
    if event_type == BALANCE:
        return balance_step(told is not None, value, cast("AccountBalance", event).as_of)
    shipment = cast("ShipmentUpdate", event)
    return shipment_step(
        told is not None,
        code & ~AS_NEW_ETA,
        value,
        eta_day,
        decided_day,
        shipment.status,
        shipment.status_at,
        NO_DAY if shipment.eta_at is None else shipment.eta_at // DAY_MS,
        shipment.correction_of is not None,
        now // DAY_MS,
    )


def told_entry(event: Event, event_type: int, key: bytes, answer_: int, offset: int, now: int) -> ToldEntry:
    """Return what to remember when a step is told. Never raises."""
    today = now // DAY_MS
    if event_type == TRANSACTION:
        transaction = cast("BankTransaction", event)
        expires_at = transaction.occurred_at + TOLD_FOR_MS
        return key, expires_at, transaction.status, transaction.amount_minor, NO_DAY, today, offset
    if event_type == BALANCE:
        as_of = cast("AccountBalance", event).as_of
        return key, as_of + TOLD_FOR_MS, 0, as_of, NO_DAY, today, offset
    shipment = cast("ShipmentUpdate", event)
    code = shipment.status | AS_NEW_ETA if answer_ == GO_ON_ETA else shipment.status
    eta_day = NO_DAY if shipment.eta_at is None else shipment.eta_at // DAY_MS
    return key, shipment.status_at + TOLD_FOR_MS, code, shipment.status_at, eta_day, today, offset
