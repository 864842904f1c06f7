"""Asks what is new for a holder of an event, and makes the memory entry of a step told.

Joins the scalars of `steps.py` to events and packed entries, in tables by event type. Imports `events`,
`steps` and `subject_state`. Read next: `decide.py`. Source: docs/rules.md section 6.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from streams.core.codes import TransactionStatus
from streams.core.events import AccountBalance, BankTransaction, SecurityAlert, ShipmentUpdate
from streams.core.policy import TOLD_FOR_MS
from streams.core.steps import (
    GO_ON_ETA,
    NO_DAY,
    balance_step,
    declined_step,
    shipment_step,
    transaction_step,
)
from streams.core.subject_state import AS_NEW_ETA, ToldEntry

DAY_MS = 86_400_000

_DECLINED = int(TransactionStatus.DECLINED)
_NOTHING: ToldEntry = (b"", 0, 0, 0, NO_DAY, NO_DAY, -1)


def _named(letter: bytes, name: str) -> bytes:
    data = name.encode("utf-8", "surrogatepass")
    return letter + len(data).to_bytes(2, "big") + data


def _transaction_scope(event: BankTransaction) -> bytes | None:
    if event.lifecycle_id is None:
        return None
    return _named(b"D" if event.status == _DECLINED else b"T", event.lifecycle_id)


def _balance_scope(_event: AccountBalance) -> bytes | None:
    return b"B"


def _alert_scope(_event: SecurityAlert) -> bytes | None:
    return None


def _shipment_scope(event: ShipmentUpdate) -> bytes | None:
    return _named(b"S", event.shipment_id)


def _transaction_answer(event: BankTransaction, told: ToldEntry | None, _now: int) -> int:
    _, _, status, amount, _, _, _ = told or _NOTHING
    if event.status == _DECLINED:
        return declined_step(told is not None, amount, event.amount_minor)
    return transaction_step(told is not None, status, amount, event.status, event.amount_minor)


def _balance_answer(event: AccountBalance, told: ToldEntry | None, _now: int) -> int:
    return balance_step(told is not None, (told or _NOTHING)[3], event.as_of)


def _shipment_answer(event: ShipmentUpdate, told: ToldEntry | None, now: int) -> int:
    _, _, code, told_at, told_eta_day, decided_day, _ = told or _NOTHING
    return shipment_step(
        told is not None,
        code & ~AS_NEW_ETA,
        told_at,
        told_eta_day,
        decided_day,
        event.status,
        event.status_at,
        _day(event.eta_at),
        event.correction_of is not None,
        now // DAY_MS,
    )


def _day(at_ms: int | None) -> int:
    return NO_DAY if at_ms is None else at_ms // DAY_MS


def _transaction_entry(event: BankTransaction, key: bytes, _answer: int, offset: int, now: int) -> ToldEntry:
    expires_at = event.occurred_at + TOLD_FOR_MS
    return key, expires_at, event.status, event.amount_minor, NO_DAY, now // DAY_MS, offset


def _balance_entry(event: AccountBalance, key: bytes, _answer: int, offset: int, now: int) -> ToldEntry:
    return key, event.as_of + TOLD_FOR_MS, 0, event.as_of, NO_DAY, now // DAY_MS, offset


def _shipment_entry(event: ShipmentUpdate, key: bytes, answer: int, offset: int, now: int) -> ToldEntry:
    code = event.status | AS_NEW_ETA if answer == GO_ON_ETA else event.status
    expires_at = event.status_at + TOLD_FOR_MS
    return key, expires_at, code, event.status_at, _day(event.eta_at), now // DAY_MS, offset


SCOPES: tuple[Callable[[Any], bytes | None], ...] = (
    _transaction_scope,
    _balance_scope,
    _alert_scope,
    _shipment_scope,
)
"""By event type: event -> what names its lifecycle within its subject, None if it has none."""

ANSWERS: dict[int, Callable[[Any, ToldEntry | None, int], int]] = {
    0: _transaction_answer,
    1: _balance_answer,
    3: _shipment_answer,
}
"""By event type: (event with a lifecycle, the step last told, now) -> answer of `steps.py`."""

ENTRIES: dict[int, Callable[[Any, bytes, int, int, int], ToldEntry]] = {
    0: _transaction_entry,
    1: _balance_entry,
    3: _shipment_entry,
}
"""By event type: (event, key, answer, source offset, now) -> what to remember of a step told."""


REPEATABLE = frozenset((0, 3))
"""Event types whose steps name their revision; a balance's notification is named by its event_id instead."""


def revision_key(entry: ToldEntry) -> bytes:
    """Return the hash under which the revision of a step stays known after another step took its place."""
    key, _, code, value, eta_day, _, _ = entry
    told = eta_day if code & AS_NEW_ETA else value
    return hashlib.blake2b(b"R%b%d:%d" % (key, code, told), digest_size=8).digest()


def told_key(scope: bytes, user_id: str) -> bytes:
    """Return the 8-byte hash under which the step last told to one holder is remembered. Never raises."""
    return hashlib.blake2b(scope + user_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
