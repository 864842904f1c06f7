"""The interpreted path.

Decides every record of fetched batches, one after another, with the core's functions.

Order of the rules: docs/rules.md section 1. A value is decoded only when a holder is open. Pure: time,
consents and states come in, one BatchResult goes out. May import wire and core. Read next:
`streams/kafka/partition_task.py`, which calls it.
"""

from collections.abc import Sequence
from typing import Protocol

from streams.core.codes import Fate, Kind, Reason
from streams.core.decide import decide
from streams.core.decision import Decision, HolderDecision
from streams.core.gate import closed
from streams.core.policy import Policy
from streams.core.prepared import PreparedConsent
from streams.core.subject_state import SubjectState
from streams.kernel.batch_result import BatchResult, DeadLetter, Output
from streams.kernel.misroute import MisrouteCheck
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import DecisionRow, InputRange, OffsetRun, decode_event, encode_notification
from streams.wire.frame import SCHEMA_ID_HEADER
from streams.wire.headers import NotificationHeaders, dead_letter_headers
from streams.wire.topics import EVENT_TOPICS

MAX_VALUE_BYTES = 1_048_576
_REJECT, _NOTIFY = Fate.REJECT, Fate.NOTIFY  # a member is slow to look up, once per record
_EVENT_TYPE = {topic: index for index, topic in enumerate(EVENT_TOPICS)}


class SubjectView(Protocol):
    """What deciding needs to know of subjects: consents prepared, and states before the batch."""

    def prepared(self, key: bytes) -> PreparedConsent | None:
        """Return the prepared consents of a subject, None without any."""

    def state(self, key: bytes) -> SubjectState:
        """Return what is remembered of a subject."""


class Interpreter:
    """Decides batches of one partition number.

    Args:
        app_id: names the source in CloudEvents headers.
        replay: at_least_once; records equal to their own memory are decided again.
    """

    def __init__(
        self,
        app_id: str,
        partition: int,
        partitions: int,
        policy: Policy,
        *,
        replay: bool,
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        self._app_id = app_id
        self._partition = partition
        self._policy = policy
        self._replay = replay
        self._max_value_bytes = max_value_bytes
        self._misroute = MisrouteCheck(partition, partitions)

    def decide(
        self, batches: Sequence[RecordBatch], view: SubjectView, consent_next_offset: int, now_ms: int
    ) -> BatchResult:
        """Decide every record of `batches` (grouped by topic, each in offset order) at one moment.

        Returns one BatchResult; records read equal the sum of its counts. Never raises for what records
        contain. Source: docs/rules.md.
        """
        result = BatchResult(self._partition, now_ms, consent_next_offset)
        headers = NotificationHeaders(
            self._app_id, self._partition, consent_next_offset, self._policy.version, now_ms
        )
        for batch in batches:
            self._decide_batch(batch, view, result, headers)
        return result

    def _decide_batch(
        self, batch: RecordBatch, view: SubjectView, result: BatchResult, headers: NotificationHeaders
    ) -> None:
        topic, offsets, values = batch.topic, batch.offsets, batch.values
        counts = result.counts.setdefault(topic, {})
        lookup, limit, is_misrouted = view.prepared, self._max_value_bytes, self._misroute.is_misrouted
        runs = _Runs(topic)
        for index, key in enumerate(batch.keys):
            value = values[index]
            if (
                key
                and (value is None or len(value) <= limit)
                and lookup(key) is None
                and not is_misrouted(key)
            ):
                runs.add(offsets[index])
            else:
                runs.close()
                self.decide_record(batch, index, view, result, headers)
        runs.close()
        if runs.total:
            slot = (Fate.SUPPRESS, Reason.NO_CONSENT, None)
            counts[slot] = counts.get(slot, 0) + runs.total
            result.no_consent_runs.extend(runs.done)
        note_input(batch, result)

    def decide_record(
        self,
        batch: RecordBatch,
        index: int,
        view: SubjectView,
        result: BatchResult,
        headers: NotificationHeaders,
    ) -> None:
        """Decide one record that is in no run of records without consent, and write into `result`.

        Never raises for what records contain.
        """
        key, value = batch.key(index), batch.value(index)
        if not key:
            self._rejected(batch, index, Reason.NO_KEY, "no_key", result)
            return
        if value is not None and len(value) > self._max_value_bytes:
            self._rejected(batch, index, Reason.TOO_LARGE, "too_large", result)
            return
        consents = view.prepared(key)
        if consents is None:
            self._rejected(batch, index, Reason.MISROUTED, "misrouted", result)
            return
        decision = closed(consents, _EVENT_TYPE[batch.topic], result.decided_at) or self._open(
            batch, index, key, consents, view, result
        )
        if decision is None:
            return
        kind = self._record(batch, index, decision, consents, result, headers)
        counts, slot = result.counts.setdefault(batch.topic, {}), (decision.fate, decision.reason, kind)
        counts[slot] = counts.get(slot, 0) + 1

    def _open(
        self,
        batch: RecordBatch,
        index: int,
        key: bytes,
        consents: PreparedConsent,
        view: SubjectView,
        result: BatchResult,
    ) -> Decision | None:
        """Decode the value of a subject with an open holder and decide it; None when it was rejected."""
        value, event_type = batch.value(index), _EVENT_TYPE[batch.topic]
        if value is None:
            self._rejected(batch, index, Reason.TOMBSTONE, "tombstone", result, consents)
            return None
        schema_header = batch.header(index, SCHEMA_ID_HEADER) if batch.has_headers(index) else None
        event = decode_event(event_type, value, schema_header)
        if isinstance(event, Reason):
            self._rejected(batch, index, event, event.name.lower(), result, consents)
            return None
        if event.subject.encode() != key:
            self._rejected(batch, index, Reason.SUBJECT_MISMATCH, "subject_mismatch", result, consents)
            return None
        before = result.states.get(key) or view.state(key)
        now, offset = result.decided_at, batch.offset(index)
        decision, after = decide(
            event, event_type, offset, consents, before, self._policy, now, replay=self._replay
        )
        if after is not before:
            result.states[key] = after
        if decision.fate == _REJECT:
            self._dead_letter(batch, index, decision.reason or Reason.INVALID, result, value)
        return decision

    def _record(
        self,
        batch: RecordBatch,
        index: int,
        decision: Decision,
        consents: PreparedConsent,
        result: BatchResult,
        headers: NotificationHeaders,
    ) -> Kind | None:
        """Write down what each holder met; return the kind of the record's notifications when it notifies."""
        topic, offset = batch.topic, batch.offset(index)
        first_kind: Kind | None = None
        for holder in decision.holders:
            notification = holder.notification
            result.rows.append(_row(topic, offset, decision.event_id, holder, consents))
            if notification is None:
                continue
            first_kind = first_kind or notification.kind
            for field in holder.masked:
                result.masked[field] = result.masked.get(field, 0) + 1
            trace = batch.header(index, "traceparent") if batch.has_headers(index) else None
            result.outputs.append(
                Output(
                    notification.recipient.encode(),
                    encode_notification(notification),
                    headers.of(notification.notification_id, topic, offset, trace),
                    batch.timestamp_ms(index),
                )
            )
        return first_kind if decision.fate == _NOTIFY else None

    def _rejected(
        self,
        batch: RecordBatch,
        index: int,
        reason: Reason,
        rule: str,
        result: BatchResult,
        consents: PreparedConsent | None = None,
    ) -> None:
        nobody = HolderDecision(None, Fate.REJECT, reason, rule)
        result.rows.append(_row(batch.topic, batch.offset(index), None, nobody, consents))
        self._dead_letter(batch, index, reason, result, None if consents is None else batch.value(index))
        counts, slot = result.counts.setdefault(batch.topic, {}), (Fate.REJECT, reason, None)
        counts[slot] = counts.get(slot, 0) + 1

    def _dead_letter(
        self, batch: RecordBatch, index: int, reason: Reason, result: BatchResult, value: bytes | None
    ) -> None:
        headers = dead_letter_headers(batch.topic, batch.partition, batch.offset(index), reason)
        result.dead_letters.append(DeadLetter(batch.key(index), headers, reason, value))


class _Runs:
    """Collects consecutive records without consent as runs of offsets."""

    __slots__ = ("_first", "_last", "_records", "_topic", "done", "total")

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._records = self._first = self._last = 0
        self.total = 0
        self.done: list[OffsetRun] = []

    def add(self, offset: int) -> None:
        if not self._records:
            self._first = offset
        self._records += 1
        self._last = offset

    def close(self) -> None:
        if self._records:
            self.done.append(OffsetRun(self._topic, self._first, self._last, self._records))
            self.total += self._records
            self._records = 0


def _row(
    topic: str, offset: int, event_id: str | None, holder: HolderDecision, consents: PreparedConsent | None
) -> DecisionRow:
    notification = holder.notification
    return DecisionRow(
        topic,
        offset,
        event_id,
        None if consents is None else consents.pseudonym_of(holder.holder),
        holder.fate,
        holder.reason,
        holder.rule,
        holder.kind,
        holder.consent_id,
        holder.consent_version,
        None if notification is None else notification.notification_id,
        None if consents is None else consents.pseudonym,
    )


def note_input(batch: RecordBatch, result: BatchResult) -> None:
    """Extend the topic's input range by this batch; a batch without records only moves its end."""
    inputs = result.inputs
    known = inputs[-1] if inputs and inputs[-1].topic == batch.topic else None
    if known is None:
        first = batch.offset(0) if len(batch) else batch.position
        last = batch.offset(len(batch) - 1) if len(batch) else batch.position - 1
        inputs.append(InputRange(batch.topic, first, last, batch.next_offset, len(batch)))
        return
    first, last = known.first_offset, known.last_offset
    if len(batch):
        first, last = (first if known.records else batch.offset(0)), batch.offset(len(batch) - 1)
    inputs[-1] = InputRange(batch.topic, first, last, batch.next_offset, known.records + len(batch))
