"""Decisions as values: what became of a record, for whom and why, and the notification that follows from it.

Imports `codes` only. Read next: `decide.py`.
"""

from typing import NamedTuple

from streams.core.codes import (
    DeclineReason,
    DetailLevel,
    Fate,
    Kind,
    Purpose,
    Push,
    Reason,
    Severity,
    ShipmentStatus,
    TransactionStatus,
)


class Notification(NamedTuple):
    """What one person is told, fields in the order of notification.avsc.

    `items` waits for digests and is always None.
    """

    notification_id: str
    recipient: str
    channel_ref: str
    kind: Kind
    purpose: Purpose
    template_key: str
    detail_level: DetailLevel
    locale: str
    timezone: str
    priority: int
    push: Push
    occurred_at: int
    decided_at: int
    not_before: int
    not_after: int
    source_event_id: str
    subject_label: str
    consent_id: str
    consent_version: int
    status: TransactionStatus | int | None = None
    amount_minor: int | None = None
    currency: str | None = None
    original_amount_minor: int | None = None
    original_currency: str | None = None
    merchant_name: str | None = None
    merchant_country: str | None = None
    category: str | None = None
    decline_reason: DeclineReason | int | None = None
    balance_after_minor: int | None = None
    booked_minor: int | None = None
    available_minor: int | None = None
    shipment_status: ShipmentStatus | int | None = None
    shipment_label: str | None = None
    eta_at: int | None = None
    location: str | None = None
    action_required: bool | None = None
    alert_type: str | None = None
    severity: Severity | int | None = None
    action_url_key: str | None = None
    thread_id: str | None = None
    items: None = None


class HolderDecision(NamedTuple):
    """What one holder met; `holder` is None where the record's fate did not depend on a holder.

    `masked` names the notification's fields in which numbers were masked.
    """

    holder: str | None
    fate: Fate
    reason: Reason | None
    rule: str
    kind: Kind | None = None
    consent_id: str | None = None
    consent_version: int | None = None
    notification: Notification | None = None
    masked: tuple[str, ...] = ()


class Decision(NamedTuple):
    """One record's fate and what each holder met, in the order of user_id.

    `event_id` is None where the value was not opened.
    """

    fate: Fate
    reason: Reason | None
    event_id: str | None
    holders: tuple[HolderDecision, ...]
