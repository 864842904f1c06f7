"""Reads the stories of `tests/cases/*.yaml`: what happened, what was allowed, and what follows.

Times are told as people do ("10 minutes ago", "in 2 days", "now"), counted from one moment, 2026-03-05 12:00
UTC. What a story does not say is ordinary: a posted card payment of 12.34 EUR a minute ago, and Anna, who
allowed everything 30 days ago.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from streams.core.codes import (
    Channel,
    ConsentAction,
    DeclineReason,
    DetailLevel,
    Direction,
    Purposes,
    RequestedBy,
    Severity,
    ShipmentStatus,
    TransactionStatus,
)
from streams.core.consent import Consent, ConsentRequest, ConsentState, Holder, Preferences
from streams.core.events import EVENT_TYPES, Event

CASES = Path(__file__).parents[1] / "cases"
NOW = 1_772_712_000_000
SUBJECT = "bank:account-1234"

_UNITS = {"ms": 1, "second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_EVENT_NAMES = ("transaction", "balance", "alert", "shipment")
_TIME_FIELDS = ("occurred_at", "as_of", "occurred_at", "status_at")
_ORDINARY: tuple[dict[str, Any], ...] = (
    {"status": "POSTED", "amount_minor": -1234, "currency": "EUR"},
    {"booked_minor": 50_000, "currency": "EUR"},
    {"type": "new_device", "severity": "HIGH"},
    {"shipment_id": "parcel-0001234", "status": "IN_TRANSIT"},
)
_CODES: dict[tuple[int, str], Any] = {
    (0, "status"): TransactionStatus,
    (0, "decline_reason"): DeclineReason,
    (0, "channel"): Channel,
    (2, "severity"): Severity,
    (3, "status"): ShipmentStatus,
}


def stories(name: str) -> dict[str, dict[str, Any]]:
    """Return the stories of one file by title."""
    loaded: dict[str, dict[str, Any]] = yaml.safe_load((CASES / name).read_text(encoding="utf-8"))
    return loaded


def moment(text: str | int) -> int:
    """Return a time as UTC milliseconds; a number is taken as it is."""
    if isinstance(text, int):
        return text
    if text == "now":
        return NOW
    found = re.fullmatch(r"(in )?(\d+) (ms|second|minute|hour|day)s?( ago)?", text)
    assert found, text
    assert bool(found[1]) != bool(found[4]), text
    return NOW + int(found[2]) * _UNITS[found[3]] * (1 if found[1] else -1)


def event_of(story: dict[str, Any]) -> tuple[Event, int]:
    """Return the event that a story tells of, and its type; exactly one of the four is named."""
    (name,) = set(story) & set(_EVENT_NAMES)
    kind = _EVENT_NAMES.index(name)
    told = dict(story[name] or {})
    told.setdefault("event_id", "event-1")
    told.setdefault("subject", SUBJECT)
    at = _TIME_FIELDS[kind]
    told[at] = moment(told.pop("at", "1 minute ago"))
    if "eta_at" in told:
        told["eta_at"] = moment(told["eta_at"])
    fields = {**_ORDINARY[kind], **told}
    for field, value in fields.items():
        if isinstance(value, str) and (kind, field) in _CODES:
            fields[field] = _CODES[kind, field][value]
    event: Event = EVENT_TYPES[kind](**fields)
    return event, kind


def version_of(told: dict[str, Any] | None, number: int = 1) -> Consent:
    """Return one version of a consent."""
    told = told or {}
    names = told.get("purposes", ["BALANCE", "RECEIPT", "SHIPPING", "SECURITY"])
    purposes = 0
    for name in names:
        purposes |= Purposes[name]
    detail, direction = told.get("detail", "FULL"), told.get("direction", "BOTH")
    revoked = told.get("revoked")
    return Consent(
        consent_id=told.get("id", "consent-1"),
        version=told.get("version", number),
        purposes=purposes,
        detail_level=DetailLevel[detail] if isinstance(detail, str) else detail,
        direction=Direction[direction] if isinstance(direction, str) else direction,
        channel_ref=told.get("channel_ref", "psid:1"),
        effective_at=moment(told.get("from", "30 days ago")),
        valid_until=moment(told.get("until", "in 300 days")),
        revoked_at=None if revoked is None else moment(revoked),
        notice_id="notice",
        notice_hash="00",
        locale="en",
        timezone="Europe/Berlin",
        preferences=Preferences(told.get("minimum"), told.get("currency"), told.get("low_balance")),
    )


def consents_of(story: dict[str, Any]) -> ConsentState:
    """Return the consents of a story: `consent` is Anna's only one, `holders` names versions per person."""
    people = story.get("holders") or {"anna": [story.get("consent")]}
    holders = tuple(
        Holder(name, tuple(version_of(told, number) for number, told in enumerate(versions, 1)))
        for name, versions in sorted(people.items())
    )
    return ConsentState(
        story.get("subject", SUBJECT), holders, suspended=story.get("suspended", False), salt=bytes(16)
    )


def request_of(told: dict[str, Any]) -> ConsentRequest | None:
    """Return a consent request; None for one that cannot be read."""
    if told.get("unreadable"):
        return None
    consent = told.get("consent", {} if told["action"] in ("GRANT", "CHANGE") else None)
    version = None if consent is None else version_of({"from": 0, "version": 0, **consent})
    return ConsentRequest(
        "request-1",
        told.get("subject", SUBJECT),
        told.get("user", "anna"),
        ConsentAction[told["action"]],
        NOW,
        RequestedBy.USER,
        version,
        told.get("expected_version"),
        told.get("unknown_purpose", False),
    )
