"""Consent requests, their answers, and the state that they fold into.

Imports `frame`; the types are the core's. Read next: `decision_codec.py`.
"""

from typing import NamedTuple

from streams.core.codes import ConsentAction, ConsentOutcome, Purpose, Reason, RefusalReason
from streams.core.consent import Consent, ConsentRequest, ConsentState, Holder, Preferences
from streams.wire.frame import framed_readers, framed_writer, read_framed, read_own
from streams.wire.schemas import our_schemas

_UNKNOWN_PURPOSE = 1 << Purpose.UNKNOWN
_REQUEST_FIELDS = 8


class ConsentResult(NamedTuple):
    """The answer to a consent request. Source: consent_result.avsc."""

    request_id: str
    subject: str
    user_id: str | None
    action: ConsentAction | int
    outcome: ConsentOutcome | int
    reason: RefusalReason | int | None
    version: int | None
    effective_at: int | None
    request_offset: int


_CONSENT = {"Consent": Consent, "Preferences": Preferences}
_REQUEST_READERS = framed_readers(
    our_schemas(), "consent_request", {**_CONSENT, "ConsentRequest": ConsentRequest}
)
_STATE_READERS = framed_readers(
    our_schemas(), "consent_state", {**_CONSENT, "ConsentState": ConsentState, "Holder": Holder}
)
_RESULT_READERS = framed_readers(our_schemas(), "consent_result", {"ConsentResult": ConsentResult})
_write_request = framed_writer(our_schemas(), "consent_request")
_write_state = framed_writer(our_schemas(), "consent_state")
_write_result = framed_writer(our_schemas(), "consent_result")


def decode_consent_request(value: bytes, schema_header: bytes | None = None) -> ConsentRequest | None:
    """Read a request; None when it cannot be read, for whatever reason. Never raises.

    A purpose that we do not know leaves no bit in `consent.purposes`; `has_unknown_purpose` tells of it.
    """
    fields = read_framed(_REQUEST_READERS, value, schema_header)
    if isinstance(fields, Reason):
        return None
    request = ConsentRequest(*fields)
    consent = request.consent
    if consent is None or not consent.purposes & _UNKNOWN_PURPOSE:
        return request
    return request._replace(consent=_without_unknown(consent), has_unknown_purpose=True)


def encode_consent_request(request: ConsentRequest) -> bytes:
    """Write a request with its frame. Raises ValueError or IndexError for what its schema cannot hold."""
    if request.has_unknown_purpose and request.consent is not None:
        consent = request.consent
        request = request._replace(consent=consent._replace(purposes=consent.purposes | _UNKNOWN_PURPOSE))
    return _write_request(request[:_REQUEST_FIELDS])


def decode_consent_state(value: bytes) -> ConsentState | None:
    """Read a subject's consents; None when they cannot be read (the subject is then told nothing).

    A purpose that we do not know leaves no bit: it grants nothing. Never raises.
    """
    state = read_framed(_STATE_READERS, value)
    if isinstance(state, Reason):
        return None
    result: ConsentState = state
    if any(consent.purposes & _UNKNOWN_PURPOSE for holder in result.holders for consent in holder.versions):
        holders = tuple(
            holder._replace(versions=tuple(_without_unknown(consent) for consent in holder.versions))
            for holder in result.holders
        )
        return result._replace(holders=holders)
    return result


def encode_consent_state(state: ConsentState) -> bytes:
    """Write a subject's consents with the frame.

    Raises ValueError or IndexError for what the schema cannot hold.
    """
    return _write_state(state)


def decode_consent_result(value: bytes) -> ConsentResult:
    """Read an answer. Raises UndecodableError."""
    result: ConsentResult = read_own(_RESULT_READERS, value)
    return result


def encode_consent_result(result: ConsentResult) -> bytes:
    """Write an answer with its frame. Raises ValueError or IndexError for what its schema cannot hold."""
    return _write_result(result)


def _without_unknown(consent: Consent) -> Consent:
    return consent._replace(purposes=consent.purposes & ~_UNKNOWN_PURPOSE)
