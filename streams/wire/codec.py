"""The door of the codec: bytes of records <-> values of the core.

What comes from outside (events, consent requests) is read into a value or a reason and never raises; what
only we write (notifications, states, decisions) raises UndecodableError when it is broken. Read next:
`event_codec.py`, `consent_codec.py`, `link_codec.py`, `evidence_codec.py`, `decision_codec.py`,
`state_codec.py`.
"""

from streams.wire.consent_codec import (
    ConsentResult,
    decode_consent_request,
    decode_consent_result,
    decode_consent_state,
    encode_consent_request,
    encode_consent_result,
    encode_consent_state,
)
from streams.wire.decision_codec import (
    DecisionBatch,
    DecisionRow,
    FateCount,
    InputRange,
    OffsetRun,
    decode_decision_batch,
    encode_decision_batch,
    encode_decision_row,
    verify_hash,
)
from streams.wire.event_codec import decode_event, decode_notification, encode_event, encode_notification
from streams.wire.evidence_codec import Evidence, EvidenceKind, decode_evidence, encode_evidence
from streams.wire.frame import SCHEMA_ID_HEADER
from streams.wire.link_codec import (
    LinkResult,
    decode_link_request,
    decode_link_result,
    decode_link_state,
    encode_link_request,
    encode_link_result,
    encode_link_state,
)
from streams.wire.state_codec import (
    PositionMarker,
    TopicPosition,
    decode_position_marker,
    decode_subject_state,
    encode_position_marker,
    encode_subject_state,
)
from streams.wire.varint import UndecodableError

__all__ = [
    "SCHEMA_ID_HEADER",
    "ConsentResult",
    "DecisionBatch",
    "DecisionRow",
    "Evidence",
    "EvidenceKind",
    "FateCount",
    "InputRange",
    "LinkResult",
    "OffsetRun",
    "PositionMarker",
    "TopicPosition",
    "UndecodableError",
    "decode_consent_request",
    "decode_consent_result",
    "decode_consent_state",
    "decode_decision_batch",
    "decode_event",
    "decode_evidence",
    "decode_link_request",
    "decode_link_result",
    "decode_link_state",
    "decode_notification",
    "decode_position_marker",
    "decode_subject_state",
    "encode_consent_request",
    "encode_consent_result",
    "encode_consent_state",
    "encode_decision_batch",
    "encode_decision_row",
    "encode_event",
    "encode_evidence",
    "encode_link_request",
    "encode_link_result",
    "encode_link_state",
    "encode_notification",
    "encode_position_marker",
    "encode_subject_state",
    "verify_hash",
]
