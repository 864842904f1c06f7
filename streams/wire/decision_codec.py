"""Decision batches and their hash chain: what became of every record of one transaction.

Imports `frame`. Read next: `state_codec.py`.
"""

import re
from hashlib import sha256
from typing import NamedTuple

from streams.core.codes import Fate, Kind, Reason
from streams.wire.frame import FRAME_BYTES, framed_readers, framed_writer, read_own
from streams.wire.plan import item_schema
from streams.wire.schemas import our_schemas
from streams.wire.varint import write_long, write_string
from streams.wire.write_plan import compile_writer


class InputRange(NamedTuple):
    """What was read of one topic; `next_offset` skips control records and holes."""

    topic: str
    first_offset: int
    last_offset: int
    next_offset: int
    records: int


class FateCount(NamedTuple):
    """How many records met one fate; `kind` only with NOTIFY."""

    fate: Fate | int
    reason: Reason | int | None
    kind: Kind | int | None
    records: int


class OffsetRun(NamedTuple):
    """Consecutive records without consent, both ends inclusive."""

    topic: str
    first_offset: int
    last_offset: int
    records: int


class DecisionRow(NamedTuple):
    """What one holder met with one record, or the record's own fate where no holder was asked.

    `holder` and `subject` are pseudonyms, see `core/pseudonyms.py`.
    """

    topic: str
    offset: int
    event_id: str | None
    holder: str | None
    outcome: Fate | int
    reason: Reason | int | None
    rule: str
    kind: Kind | int | None
    consent_id: str | None
    consent_version: int | None
    notification_id: str | None
    subject: str | None = None


class DecisionBatch(NamedTuple):
    """What became of every record of one transaction; hashes are filled by `encode_decision_batch`.

    Source: decision_batch.avsc.
    """

    partition: int
    inputs: tuple[InputRange, ...]
    consent_next_offset: int
    decided_at: int
    policy_version: str
    counts: tuple[FateCount, ...]
    no_consent_runs: tuple[OffsetRun, ...]
    decisions: tuple[DecisionRow, ...]
    previous_hash: str = ""
    hash: str = ""


_TYPES = {
    "DecisionBatch": DecisionBatch,
    "InputRange": InputRange,
    "FateCount": FateCount,
    "OffsetRun": OffsetRun,
    "Decision": DecisionRow,
}
_READERS = framed_readers(our_schemas(), "decision_batch", _TYPES)
_ROW_RUNS = {"Decision": (("holder", "consent_version"),)}
_write = framed_writer(our_schemas(), "decision_batch", _ROW_RUNS)
_write_row = compile_writer(
    item_schema(our_schemas().current("decision_batch").avro, "decisions"), b"", _ROW_RUNS
)
_EMPTY = write_string("")
_NO_ITEMS = write_long(0)
_HASH = re.compile("([0-9a-f]{64})?")
_HASH_BYTES = len(write_string("0" * 64))


def encode_decision_row(row: DecisionRow) -> bytes:
    """Write one decision as it stands in a batch. Raises ValueError or IndexError for what cannot be held."""
    return _write_row(row)


def encode_decision_batch(
    batch: DecisionBatch,
    previous_hash: str | None,
    written: tuple[bytes, int, bytes, int] | None = None,
) -> tuple[bytes, str]:
    """Write a batch with its frame and return it with its hash, the next batch's `previous_hash`.

    `previous_hash` is the chain's head in hexadecimal, empty at its start, None where no chain is kept (then
    the hash is empty too). `written`: runs, how many, decisions, how many, where they are encoded already and
    the batch's own are empty. Raises ValueError or IndexError for what the schema cannot hold.
    """
    value = _write(batch._replace(previous_hash=previous_hash or "", hash=""))
    if written is not None:
        runs, run_count, rows, row_count = written
        end = write_string(previous_hash or "") + _EMPTY
        head = value[: -len(end) - 2 * len(_NO_ITEMS)]
        value = b"".join((head, _array(runs, run_count), _array(rows, row_count), end))
    if previous_hash is None:
        return value, ""
    own_hash = _hash(value, previous_hash)
    return value[: -len(_EMPTY)] + write_string(own_hash), own_hash


def decode_decision_batch(value: bytes) -> DecisionBatch:
    """Read a batch. Raises UndecodableError."""
    result: DecisionBatch = read_own(_READERS, value)
    return result


def verify_hash(value: bytes) -> bool:
    """Tell whether a batch's hash is its own; False also where it has none. Raises UndecodableError."""
    batch = decode_decision_batch(value)
    if not batch.hash or not _HASH.fullmatch(batch.previous_hash):
        return False
    return _hash(value[:-_HASH_BYTES] + _EMPTY, batch.previous_hash) == batch.hash


def _array(items: bytes, count: int) -> bytes:
    """Return encoded items as an array of one block."""
    return write_long(count) + items + _NO_ITEMS if count else _NO_ITEMS


def _hash(value: bytes, previous_hash: str) -> str:
    """Hash the framed value that has an empty hash. Source: the doc of `hash` in decision_batch.avsc."""
    return sha256(bytes.fromhex(previous_hash) + value[FRAME_BYTES:]).hexdigest()
