"""Consent receipts: what a person allowed, in the shape of ISO/IEC TS 27560, as JSON to be signed.

Made from the consents as they are stored and from the schema: which data a purpose opens, and for how long,
are the tags of notification.avsc. Pure; ids and times come in. Imports wire and core. Read next:
`erasure.py`. Source: ISO/IEC TS 27560:2023 (record, notice, processing, parties, events).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from streams.core.codes import DetailLevel, Direction, Purpose
from streams.core.consent import Consent, ConsentState, Holder
from streams.errors import CheckFailedError
from streams.wire.schemas import our_schemas

SCHEMA_VERSION = "ISO/IEC TS 27560:2023"
LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
RECEIPT_TYPE, ERASURE_TYPE = "consent-receipt+jws", "erasure-receipt+jws"
PURPOSES = {
    Purpose.BALANCE: "Tell the person the balance of the account.",
    Purpose.RECEIPT: "Tell the person of payments, refunds and declined payments.",
    Purpose.SHIPPING: "Tell the person where parcels are.",
    Purpose.SECURITY: "Tell the person of what concerns the safety of the account.",
}


def consent_receipt(
    state: ConsentState, user_id: str, controller: str, receipt_id: str, now_ms: int
) -> dict[str, Any]:
    """Return the receipt of one person's consent to be told of a subject, as JSON values.

    Raises:
        CheckFailedError: the person has no consent for the subject.
    """
    holder = next((one for one in state.holders if one.user_id == user_id), None)
    if holder is None:
        raise CheckFailedError(f"{user_id} has no consent for {state.subject}.")
    last = holder.versions[-1]
    return {
        "receipt_metadata": {
            "schema_version": SCHEMA_VERSION,
            "receipt_id": receipt_id,
            "issued_at": instant(now_ms),
        },
        "consent_record": {
            "record_id": last.consent_id,
            "pii_principal_id": user_id,
            "subject": state.subject,
            "version": last.version,
            "schema_guid": our_schemas().current("consent").guid.hex(),
        },
        "notice": {
            "notice_id": last.notice_id,
            "notice_sha256": last.notice_hash,
            "language": last.locale,
        },
        "pii_processing": [_processing(last, purpose) for purpose in PURPOSES if _has(last, purpose)],
        "party_identification": [
            {"party_name": controller, "party_role": "PII controller"},
            {"party_name": "the person's messenger, and nobody else", "party_role": "recipient"},
        ],
        "events": list(_events(holder)),
    }


def _has(consent: Consent, purpose: Purpose) -> bool:
    return bool(consent.purposes >> purpose & 1)


def _processing(consent: Consent, purpose: Purpose) -> dict[str, Any]:
    shown = [field for field in _shown_fields(consent, purpose) if "pii" in field]
    return {
        "purpose": purpose.name,
        "purpose_description": PURPOSES[purpose],
        "lawful_basis": "consent",
        "consent_type": "explicit",
        "pii_information": [
            {"field": one["name"], "category": one["pii"], "meaning": one["doc"]} for one in shown
        ],
        "detail_level": DetailLevel(consent.detail_level).name,
        "direction": Direction(consent.direction).name,
        "limits": {name: value for name, value in consent.preferences._asdict().items() if value is not None},
        "collection_method": "from the bank, shop or carrier, as events",
        "retention_period": sorted({one["retention"] for one in shown}) or ["PT24H"],
        "recipients": ["the person, at the address given with the consent"],
        "never": "advertising: no purpose of that kind can be expressed",
        "withdrawal_method": "at any time and at once: unlink in the messenger, or `notifier consent revoke`",
        "privacy_rights": ["access", "portability", "withdrawal", "erasure"],
    }


def _shown_fields(consent: Consent, purpose: Purpose) -> Iterator[dict[str, Any]]:
    for field in our_schemas().current("notification").avro["fields"]:
        if purpose.name in field["purposes"] and consent.detail_level >= DetailLevel[field["min_detail"]]:
            yield field


def _events(holder: Holder) -> Iterator[dict[str, Any]]:
    for number, version in enumerate(holder.versions):
        yield {
            "event_type": "consent given" if number == 0 else "consent changed",
            "event_time": instant(version.effective_at),
            "valid_until": instant(version.valid_until),
            "version": version.version,
            "entity_id": holder.user_id,
        }
    revoked_at = holder.versions[-1].revoked_at
    if revoked_at is not None:
        yield {
            "event_type": "consent withdrawn",
            "event_time": instant(revoked_at),
            "version": holder.versions[-1].version,
            "entity_id": holder.user_id,
        }


def instant(at_ms: int) -> str | None:
    """Return UTC milliseconds as RFC 3339, None after the year 9999, which stands for no end."""
    if at_ms > LAST_MS:
        return None
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
