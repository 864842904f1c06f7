"""Notifications for the tests of words: one with every mandatory field, and what a detail level leaves."""

import json
from pathlib import Path
from typing import Any

from streams.core.codes import (
    DeclineReason,
    DetailLevel,
    Kind,
    Purpose,
    Push,
    Severity,
    ShipmentStatus,
    TransactionStatus,
)
from streams.core.decision import Notification

_SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/notification.avsc").read_text(encoding="utf-8"))
MIN_DETAIL = {field["name"]: DetailLevel[field["min_detail"]] for field in _SCHEMA["fields"]}
_ENUMS = {
    "status": TransactionStatus,
    "decline_reason": DeclineReason,
    "shipment_status": ShipmentStatus,
    "severity": Severity,
}

BASE = Notification(
    notification_id="5a3f0f4c-6c2a-5d4e-9d6a-000000000001",
    recipient="user:recipient",
    channel_ref="psid:channel",
    kind=Kind.SERVICE,
    purpose=Purpose.RECEIPT,
    template_key="service",
    detail_level=DetailLevel.FULL,
    locale="en",
    timezone="Europe/Berlin",
    priority=3,
    push=Push.REGULAR,
    occurred_at=1_709_654_640_000,
    decided_at=1_709_654_640_050,
    not_before=1_709_654_640_000,
    not_after=1_709_676_240_000,
    source_event_id="source-event",
    subject_label="bank …1234",
    consent_id="the-consent",
    consent_version=7,
)


def told(kind: str, **fields: Any) -> Notification:
    """Return the base notification as `kind` with other fields; enums by the name of their symbol."""
    named: dict[str, Any] = {
        name: _ENUMS[name][value] if name in _ENUMS else value for name, value in fields.items()
    }
    return BASE._replace(kind=Kind[kind], template_key=kind.lower(), **named)


def at_detail(notification: Notification, level: DetailLevel) -> Notification:
    """Return it without the fields that the level does not show, as the tags of the schema say."""
    hidden: dict[str, Any] = {name: None for name, least in MIN_DETAIL.items() if least > level}
    return notification._replace(detail_level=level, **hidden)
