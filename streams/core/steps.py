"""What is new for a holder who was told an earlier step of the same lifecycle: rules `told` and `unchanged`.

Functions over scalars, as in `rules.py`; each returns one answer of the list below. Imports nothing of ours
but `codes`. Source: docs/rules.md section 6.
"""

from streams.core.codes import ShipmentStatus, TransactionStatus

NOT_ASKED, GO_ON, GO_ON_ETA, IS_TOLD, IS_UNCHANGED, NO_ROOM = 0, 1, 2, 3, 4, 5
"""Answers; GO_ON_ETA goes on as a new ETA of a parcel, NO_ROOM is for memory that is full."""

NO_DAY = -1

PENDING, POSTED, REVERSED = (
    int(TransactionStatus.PENDING),
    int(TransactionStatus.POSTED),
    int(TransactionStatus.REVERSED),
)
DELIVERED, RETURNING = int(ShipmentStatus.DELIVERED), int(ShipmentStatus.RETURNING)
RETURNED = int(ShipmentStatus.RETURNED)

SHIPMENT_RANK = (0, 1, 2, 3, 4, 7, 5, 6, 8, 9, 10, 11, 12)
"""Indexed by ShipmentStatus: how far a parcel has come."""


def differs_much(amount: int, told_amount: int) -> bool:
    """Tell whether an amount differs from the told one by more than 5 % of it."""
    return abs(amount - told_amount) * 100 > 5 * abs(told_amount)


def transaction_step(has_told: bool, told_status: int, told_amount: int, status: int, amount: int) -> int:
    """Answer for PENDING, POSTED and REVERSED, whose codes are their ranks. Never raises."""
    if not has_told:
        return IS_UNCHANGED if status == REVERSED else GO_ON
    if status == told_status and amount == told_amount:
        return IS_TOLD
    if status < told_status:
        return IS_UNCHANGED
    if status == REVERSED and told_status != REVERSED:
        return GO_ON
    return GO_ON if differs_much(amount, told_amount) else IS_UNCHANGED


def declined_step(has_told: bool, told_amount: int, amount: int) -> int:
    """Answer for DECLINED against an earlier DECLINED of the same lifecycle. Never raises."""
    return IS_TOLD if has_told and amount == told_amount else GO_ON


def balance_step(has_told: bool, told_as_of: int, as_of: int) -> int:
    """Answer for a balance against the last one told. Never raises."""
    return IS_UNCHANGED if has_told and as_of < told_as_of else GO_ON


def is_new_eta(told_eta_day: int, eta_day: int, told_decided_day: int, today: int) -> bool:
    """Tell whether both ETAs are known, on different UTC days, and nothing of the parcel was told today."""
    if NO_DAY in (told_eta_day, eta_day):
        return False
    return told_eta_day != eta_day and told_decided_day != today


def shipment_step(
    has_told: bool,
    told_status: int,
    told_at: int,
    told_eta_day: int,
    told_decided_day: int,
    status: int,
    status_at: int,
    eta_day: int,
    is_correction: bool,
    today: int,
) -> int:
    """Answer for a parcel; an unknown status is never news. Never raises.

    Days are UTC days since 1970, NO_DAY where unknown.
    """
    if status <= 0 or status >= len(SHIPMENT_RANK):
        return IS_UNCHANGED
    if not has_told:
        return GO_ON
    has_new_eta = is_new_eta(told_eta_day, eta_day, told_decided_day, today)
    if status == told_status and status_at == told_at and not has_new_eta:
        return IS_TOLD
    if not is_correction:
        if status_at < told_at or (
            status_at == told_at and SHIPMENT_RANK[status] < SHIPMENT_RANK[told_status]
        ):
            return IS_UNCHANGED
        if told_status == DELIVERED and status not in (DELIVERED, RETURNING, RETURNED):
            return IS_UNCHANGED
    if status != told_status:
        return GO_ON
    return GO_ON_ETA if has_new_eta else IS_UNCHANGED
