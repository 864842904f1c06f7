"""Folds fetched link requests into the links of their channels, and says whose consents go with them. Pure.

One transaction writes all of a result, and records of a transaction that is open hold up decisions: so much
is folded at a time, and no more. May import wire and core. Source: docs/rules.md section 10. Read next:
`streams/kafka/link_owner.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from streams.core.codes import ConsentAction, LinkAction, LinkRefusal, Reason, RequestedBy
from streams.core.consent import ConsentRequest
from streams.core.ids import revocation_id
from streams.core.links import MAX_SUBJECTS, LinkOutcome, LinkRequest, LinkState, fold_link
from streams.kernel.batch_result import DeadLetter, dead_letter
from streams.kernel.recent_requests import RecentRequests, comes_again
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import LinkResult, decode_link_request
from streams.wire.frame import SCHEMA_ID_HEADER
from streams.wire.partition import partition_of

MAX_REQUESTS = 1_000
MAX_REVOCATIONS = 64 * MAX_SUBJECTS
"""After as many a result takes no further request; the last may go beyond by a whole link."""


class LinkView(Protocol):
    """What folding needs to know: the committed links, and which requests were answered."""

    recent: RecentRequests

    def link(self, key: bytes) -> LinkState | None:
        """Return a channel's link, None without one."""


@dataclass(slots=True)
class FoldedLinks:
    """What a run of requests does; `changes` holds None where a link ended.

    `next_offset` is where folding goes on, maybe before the end of the run. `seen` has the offsets of
    requests with an id, by digest.
    """

    next_offset: int
    changes: dict[bytes, LinkState | None] = field(default_factory=dict)
    answers: list[tuple[bytes, LinkResult]] = field(default_factory=list)
    revocations: list[ConsentRequest] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    seen: dict[bytes, int] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Tell whether one transaction should hold no more."""
        return (
            len(self.answers) + len(self.dead_letters) >= MAX_REQUESTS
            or len(self.revocations) >= MAX_REVOCATIONS
        )


def fold_links(batches: Sequence[RecordBatch], view: LinkView, partitions: int) -> FoldedLinks:
    """Fold requests until the result is full. Never raises for what requests contain.

    `batches` are of one partition of `partitions`, in offset order, not empty.
    """
    result = FoldedLinks(batches[0].position)
    for batch in batches:
        for index in range(len(batch)):
            if result.is_full:
                return result
            _fold_one(batch, index, view, partitions, result)
            result.next_offset = batch.offset(index) + 1
        result.next_offset = batch.next_offset
    return result


def _fold_one(batch: RecordBatch, index: int, view: LinkView, partitions: int, result: FoldedLinks) -> None:
    key, value, offset = batch.key(index), batch.value(index), batch.offset(index)
    if not key:
        result.dead_letters.append(dead_letter(batch, index, Reason.NO_KEY))
        return
    channel = key.decode("utf-8", "replace")
    request = None if value is None else decode_link_request(value, batch.header(index, SCHEMA_ID_HEADER))
    known = result.changes[key] if key in result.changes else view.link(key)
    fault = _fault(key, value, request, batch.partition == partition_of(key, partitions))
    outcome = fold_link(
        known,
        channel,
        None if fault is not None else request,
        batch.timestamp_ms(index),
        offset,
        is_replayed=request is not None
        and comes_again(key, request.request_id, offset, view.recent, result.seen),
    )
    if fault is not None:
        refusal, reason = fault
        outcome = outcome._replace(reason=refusal)
        result.dead_letters.append(dead_letter(batch, index, reason))
    elif outcome.state != known:
        result.changes[key] = outcome.state
    if known is not None and outcome.revoked:
        result.revocations += _revocations(batch, index, known.user_id, outcome.revoked)
    result.answers.append((key, _answer(channel, request, outcome, offset)))


def _fault(
    key: bytes, value: bytes | None, request: LinkRequest | None, is_at_home: bool
) -> tuple[LinkRefusal, Reason] | None:
    """Return why a record is no request of its channel, for its answer and for its dead letter."""
    if not is_at_home:
        return LinkRefusal.MISROUTED, Reason.MISROUTED
    if request is None or request.action == LinkAction.UNKNOWN:
        return LinkRefusal.UNREADABLE, Reason.TOMBSTONE if value is None else Reason.UNDECODABLE
    if request.channel_ref.encode() != key:
        return LinkRefusal.CHANNEL_MISMATCH, Reason.SUBJECT_MISMATCH
    return None


def _revocations(
    batch: RecordBatch, index: int, user_id: str, subjects: Sequence[str]
) -> list[ConsentRequest]:
    position = f"{batch.topic}/{batch.partition}/{batch.offset(index)}"
    return [
        ConsentRequest(
            revocation_id(position, subject),
            subject,
            user_id,
            ConsentAction.REVOKE,
            batch.timestamp_ms(index),
            RequestedBy.CHANNEL,
        )
        for subject in subjects
    ]


def _answer(channel: str, request: LinkRequest | None, outcome: LinkOutcome, offset: int) -> LinkResult:
    return LinkResult(
        request.request_id if request is not None else "",
        channel,
        request.action if request is not None else LinkAction.UNKNOWN,
        outcome.outcome,
        outcome.reason,
        len(outcome.revoked),
        offset,
    )
