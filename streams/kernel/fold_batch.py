"""Folds fetched consent requests into the states of their subjects. Pure, like deciding.

Every key's partition is checked: a request of a key that lives elsewhere can do nothing here and becomes a
dead letter. May import wire and core. Source: docs/rules.md section 8. Read next:
`streams/kafka/partition_task.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streams.core.codes import ConsentAction, ConsentOutcome, Reason, RefusalReason
from streams.core.consent import ConsentRequest, ConsentState
from streams.core.fold import MAX_WORD_CHARS, FoldOutcome, fold
from streams.core.policy import Policy
from streams.core.pseudonyms import evidence_pseudonym
from streams.core.terms import KNOWN_PURPOSES
from streams.kernel.batch_result import DeadLetter, dead_letter
from streams.kernel.recent_requests import RecentRequests, comes_again
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import ConsentResult, Evidence, EvidenceKind, decode_consent_request
from streams.wire.frame import SCHEMA_ID_HEADER
from streams.wire.partition import partition_of


class ConsentView(Protocol):
    """What folding needs to know: the committed consents of a subject, and which requests were answered."""

    recent: RecentRequests

    def consent_state(self, key: bytes) -> ConsentState | None:
        """Return a subject's consents, None without any."""


class Secrets(NamedTuple):
    """What pseudonyms are made with.

    `draw_salt` gives SALT_BYTES random bytes; `evidence_key` is the operator's, None: the subject's salt.
    """

    draw_salt: Callable[[], bytes]
    evidence_key: bytes | None = None


@dataclass(slots=True)
class FoldResult:
    """What a run of requests does; `changes` holds None where a subject was erased.

    `forgotten` are the subjects that were deleted, also those that were granted anew after it: what is
    remembered of them goes. `seen` has the offsets of requests with an id, by digest.
    """

    next_offset: int
    changes: dict[bytes, ConsentState | None] = field(default_factory=dict)
    forgotten: set[bytes] = field(default_factory=set)
    answers: list[tuple[bytes, ConsentResult]] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    seen: dict[bytes, int] = field(default_factory=dict)


def fold_batches(
    batches: Sequence[RecordBatch],
    view: ConsentView,
    partitions: int,
    policy: Policy,
    secrets: Secrets,
) -> FoldResult:
    """Fold every request of `batches` (one partition, in offset order, not empty).

    Never raises for what requests contain.
    """
    result = FoldResult(batches[-1].next_offset)
    for batch in batches:
        for index, key in enumerate(batch.keys):
            _fold_one(batch, index, key, view, partitions, policy, secrets, result)
    return result


def _fold_one(
    batch: RecordBatch,
    index: int,
    key: bytes | None,
    view: ConsentView,
    partitions: int,
    policy: Policy,
    secrets: Secrets,
    result: FoldResult,
) -> None:
    offset = batch.offset(index)
    if not key:
        result.dead_letters.append(dead_letter(batch, index, Reason.NO_KEY))
        return
    value = batch.value(index)
    request = None if value is None else decode_consent_request(value, batch.header(index, SCHEMA_ID_HEADER))
    subject = key.decode("utf-8", "replace")
    if partition_of(key, partitions) != batch.partition:
        result.dead_letters.append(dead_letter(batch, index, Reason.MISROUTED))
        refusal = RefusalReason.MISROUTED
        result.answers.append(
            (
                key,
                ConsentResult(
                    "",
                    subject,
                    None,
                    ConsentAction.UNKNOWN,
                    ConsentOutcome.REFUSED,
                    refusal,
                    None,
                    None,
                    offset,
                ),
            )
        )
        return
    is_mismatch = request is not None and request.subject.encode() != key
    known = result.changes[key] if key in result.changes else view.consent_state(key)
    fresh_salt = secrets.draw_salt()
    salt = fresh_salt if known is None or known.salt is None else known.salt  # what erasure deletes, it knew
    outcome = fold(
        known,
        subject,
        None if is_mismatch else request,
        batch.timestamp_ms(index),
        offset,
        policy,
        fresh_salt,
        is_replayed=request is not None
        and comes_again(key, request.request_id, offset, view.recent, result.seen),
    )
    reason = RefusalReason.SUBJECT_MISMATCH if is_mismatch else outcome.reason
    result.evidence.append(
        _evidence(
            batch,
            index,
            subject,
            None if is_mismatch else request,
            outcome._replace(reason=reason),
            secrets.evidence_key or salt,
        )
    )
    if outcome.state != known:
        result.changes[key] = outcome.state
    has_no_holder = outcome.state is None or not outcome.state.holders
    if known is not None and has_no_holder and (known.holders or outcome.state is None):
        result.forgotten.add(key)
    result.answers.append(
        (
            key,
            ConsentResult(
                request.request_id if request is not None else "",
                subject,
                request.user_id if request is not None and not is_mismatch else None,
                request.action if request is not None else ConsentAction.UNKNOWN,
                outcome.outcome,
                reason,
                outcome.version,
                outcome.effective_at,
                offset,
            ),
        )
    )


def _evidence(
    batch: RecordBatch,
    index: int,
    subject: str,
    request: ConsentRequest | None,
    outcome: FoldOutcome,
    key: bytes,
) -> Evidence:
    """Return what is kept of a request: what was asked and what became of it, under pseudonyms."""
    at, position = batch.timestamp_ms(index), f"{batch.topic}/{batch.partition}/{batch.offset(index)}"
    who = evidence_pseudonym(key, "S", subject)
    if request is None:
        return Evidence(
            EvidenceKind.REQUEST, at, who, None, position, outcome=outcome.outcome, reason=outcome.reason
        )
    asked = request.consent
    return Evidence(
        EvidenceKind.REQUEST,
        at,
        who,
        request.user_id and evidence_pseudonym(key, "U", request.user_id),
        position,
        request.action,
        request.requested_by,
        outcome.outcome,
        outcome.reason,
        outcome.version,
        0 if asked is None else asked.purposes & KNOWN_PURPOSES,
        None if asked is None else asked.detail_level,
        None if asked is None else asked.direction,
        outcome.effective_at,
        None if asked is None else asked.valid_until,
        None if asked is None else asked.notice_id[:MAX_WORD_CHARS],
        None if asked is None else asked.notice_hash[:MAX_WORD_CHARS],
    )
