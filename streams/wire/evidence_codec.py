"""What law requires to keep of consents, as `consent.evidence` has it.

Imports `frame`. Read next: `topics.py`. Source: consent_evidence.avsc.
"""

from enum import IntEnum
from typing import NamedTuple

from streams.core.codes import (
    ConsentAction,
    ConsentOutcome,
    DetailLevel,
    Direction,
    RefusalReason,
    RequestedBy,
)
from streams.wire.frame import framed_readers, framed_writer, read_own
from streams.wire.schemas import our_schemas


class EvidenceKind(IntEnum):
    """What happened. Source: `EvidenceKind` in consent_evidence.avsc."""

    UNKNOWN = 0
    REQUEST = 1
    ACCESS = 2


class Evidence(NamedTuple):
    """One consent request, or one look at refused data; `subject` and `user` are pseudonyms.

    `happened_at`, `effective_at` and `valid_until` are UTC milliseconds, `purposes` is a set of bits.
    """

    kind: EvidenceKind | int
    happened_at: int
    subject: str
    user: str | None
    position: str
    action: ConsentAction | int | None = None
    requested_by: RequestedBy | int | None = None
    outcome: ConsentOutcome | int | None = None
    reason: RefusalReason | int | None = None
    version: int | None = None
    purposes: int = 0
    detail_level: DetailLevel | int | None = None
    direction: Direction | int | None = None
    effective_at: int | None = None
    valid_until: int | None = None
    notice_id: str | None = None
    notice_hash: str | None = None
    actor: str | None = None


_READERS = framed_readers(our_schemas(), "consent_evidence", {"ConsentEvidence": Evidence})
_write = framed_writer(our_schemas(), "consent_evidence")


def encode_evidence(evidence: Evidence) -> bytes:
    """Write a piece of evidence with its frame. Raises ValueError or IndexError for what it cannot hold."""
    return _write(evidence)


def decode_evidence(value: bytes) -> Evidence:
    """Read a piece of evidence. Raises UndecodableError."""
    result: Evidence = read_own(_READERS, value)
    return result
