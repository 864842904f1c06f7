"""The compiled path: decides whole batches with `join`, and what it leaves with the Python path.

Its twin is `Interpreter`: the same fates, reasons and bytes for the same input
(`tests/kernel/compiled/test_twins.py`). May import wire and core. Read next:
`streams/kafka/partition_owner.py`.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from streams.core.codes import Fate, Kind, Reason
from streams.core.prepared import PreparedConsent
from streams.core.subject_state import SubjectState
from streams.kernel.batch_result import BatchResult, Counts, Encoded, HeaderList
from streams.kernel.compiled.assemble import RECORD_HEAD, batch_records, merge_pieces, put_states
from streams.kernel.compiled.buffers import Buffers, longer, process_buffers
from streams.kernel.compiled.event_plans import EventPlan, event_plans
from streams.kernel.compiled.join import DONE, NO_ROOM, join
from streams.kernel.compiled.layout import (
    DELIVERIES,
    EVENT_TYPE,
    FUTURE_TOLERANCE,
    IS_REPLAY,
    MAX_VALUE,
    NOW,
    ORDER,
    OUT_COUNT,
    PARTITION,
    PARTITIONS,
    ROW_COUNT,
    ROWS_USED,
    RUN_COUNT,
    RUNS_USED,
    SURVIVORS,
    Call,
)
from streams.kernel.compiled.memory import TOUCHED
from streams.kernel.compiled.raw_batch import RawRecordBatch
from streams.kernel.compiled.rows import close_run
from streams.kernel.compiled.subjects import PackedSubjects
from streams.kernel.compiled.tables import KIND_COUNT, REASONS, TABLES, policy_numbers
from streams.kernel.compiled.types import Bytes, Ints, Longs
from streams.kernel.interpret import Interpreter, SubjectView, note_input
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import encode_decision_row
from streams.wire.headers import NotificationHeaders
from streams.wire.partition import partition_of
from streams.wire.schemas import our_schemas
from streams.wire.topics import EVENT_TOPICS
from streams.wire.varint import write_bytes, write_long, write_string

if TYPE_CHECKING:
    from streams.kernel.path import Setup


_STATE_FRAME = np.frombuffer(our_schemas().current("subject_state").frame, np.uint8)
NOTIFICATION_FRAME = np.frombuffer(our_schemas().current("notification").frame, np.uint8)


class Survivor(NamedTuple):
    """A record that leaves for the Python path: which batch, which record, and its place among all."""

    batch: RawRecordBatch
    record: int
    order: int


class CompiledDecider:
    """Decides batches of one partition number.

    Args:
        setup: see `path.Setup`.
        subjects: the partition number's.
    """

    def __init__(self, setup: "Setup", subjects: PackedSubjects) -> None:
        self._app_id = setup.app_id
        self._partition = setup.partition
        self._policy = setup.policy
        self._batch_bytes = setup.batch_bytes
        self._pack = setup.pack
        self._deliveries = setup.deliveries
        self._subjects = subjects
        self._interpreter = Interpreter(
            setup.app_id,
            setup.partition,
            setup.partitions,
            setup.policy,
            replay=setup.replay,
            max_value_bytes=setup.max_value_bytes,
        )
        self._number = np.concatenate((np.zeros(FUTURE_TOLERANCE, np.int64), policy_numbers(setup.policy)))
        self._number[PARTITION], self._number[PARTITIONS] = setup.partition, setup.partitions
        self._number[DELIVERIES], self._number[IS_REPLAY] = setup.deliveries, setup.replay
        self._number[MAX_VALUE] = setup.max_value_bytes

    def decide(
        self, batches: Sequence[RecordBatch], view: SubjectView, consent_next_offset: int, now_ms: int
    ) -> BatchResult:
        """Decide every record of `batches` (grouped by topic, each in offset order) at one moment.

        Returns one BatchResult whose outputs, rows and states are encoded. Never raises for what records
        contain. Source: docs/rules.md.
        """
        subjects = self._subjects
        result = BatchResult(self._partition, now_ms, consent_next_offset)
        headers = NotificationHeaders(
            self._app_id, self._partition, consent_next_offset, self._policy.version, now_ms
        )
        subjects.begin()
        buffers = process_buffers()
        buffers.begin(sum(map(len, batches)))
        survivors: list[Survivor] = []
        holder_counts: dict[str, Counts] = {}
        for topic, group in _by_topic(batches):
            call = self._call(topic, headers.constant, now_ms)
            outputs = buffers.outputs
            outputs.fates.fill(0)
            outputs.holder_fates.fill(0)
            for batch in group:
                self._join(batch, call, subjects, buffers, survivors)
                note_input(batch, result)
            result.counts[topic] = _counts(buffers.outputs.fates, buffers.no_consent())
            holder_counts[topic] = _counts(buffers.outputs.holder_fates, 0)
        orders = self._decide_survivors(survivors, _Staged(view, subjects), subjects, result, headers)
        _count_rows(result, holder_counts)
        used = buffers.outputs.counter
        latencies = result.notified_ms()  # of the Python path's outputs
        moments, counts = np.unique(buffers.outputs.out_time[: used[OUT_COUNT]], return_counts=True)
        for moment, count in zip(moments.tolist(), counts.tolist(), strict=True):
            latencies[moment] = latencies.get(moment, 0) + count
        result.encoded = Encoded(
            subjects.stamp,
            self._deliver(result, orders.outputs, buffers),
            self._states(subjects, buffers),
            *_rows(result, orders.rows, buffers),
            buffers.outputs.runs[: used[RUNS_USED]].tobytes(),
            int(used[RUN_COUNT]),
            holder_counts,
            latencies,
        )
        result.rows, result.outputs = [], []
        return result

    def _call(self, topic: str, constant: HeaderList, now_ms: int) -> tuple[Call, EventPlan]:
        event_type = EVENT_TOPICS.index(topic)
        plan = event_plans()[event_type]
        number = self._number.copy()
        number[EVENT_TYPE], number[NOW] = event_type, now_ms
        source = f"{topic}/{self._partition}/".encode()
        call = Call(
            number,
            np.frombuffer(write_string(topic), np.uint8),
            np.frombuffer(b"".join(_header(name, value) for name, value in constant), np.uint8),
            np.frombuffer(source, np.uint8),
            plan.frames,
        )
        return call, plan

    def _join(
        self,
        batch: RecordBatch,
        called: tuple[Call, EventPlan],
        subjects: PackedSubjects,
        buffers: Buffers,
        survivors: list[Survivor],
    ) -> None:
        call, plan = called
        raw = batch if isinstance(batch, RawRecordBatch) else RawRecordBatch.of(batch)
        if not len(raw):
            return
        call.number[ORDER] = buffers.order
        start = 0
        while True:
            start, why = join(
                call, TABLES, plan.limits, plan.plans, subjects.index, subjects.policies, subjects.memory,
                raw.buffer, raw.columns, buffers.scratch, buffers.outputs, NOTIFICATION_FRAME, start,
            )  # fmt: skip
            if why == DONE:
                break
            if why == NO_ROOM:
                buffers.grow()
            else:
                subjects.grow_memory()
        close_run(call, buffers.outputs)
        counter = buffers.outputs.counter
        survivors.extend(
            Survivor(raw, record, buffers.order + record)
            for record in buffers.outputs.survivors[: counter[SURVIVORS]].tolist()
        )
        counter[SURVIVORS] = 0
        buffers.order += len(raw)

    def _decide_survivors(
        self,
        survivors: Sequence[Survivor],
        view: "_Staged",
        subjects: PackedSubjects,
        result: BatchResult,
        headers: NotificationHeaders,
    ) -> "_Orders":
        orders = _Orders([], [])
        for batch, record, order in survivors:
            self._interpreter.decide_record(batch, record, view, result, headers)
            orders.rows.extend([order] * (len(result.rows) - len(orders.rows)))
            orders.outputs.extend([order] * (len(result.outputs) - len(orders.outputs)))
        for key in {batch.key(record) or b"" for batch, record, _ in survivors} - result.states.keys():
            staged = subjects.staged_state(key)
            if staged != subjects.state(key):
                result.states[key] = staged
        return orders

    def _deliver(
        self, result: BatchResult, orders: Sequence[int], buffers: Buffers
    ) -> list[tuple[int, Any, int]]:
        """Return the record batches of notifications: partition, packed records, count."""
        outputs, counter = buffers.outputs, buffers.outputs.counter
        count = int(counter[OUT_COUNT])
        source, at = outputs.out, outputs.out_at[: count + 1]
        order, partition = outputs.out_order[:count], outputs.out_partition[:count]
        if result.outputs:
            tails = [_tail(output.key, output.value, output.headers) for output in result.outputs]
            source = np.frombuffer(source[: at[count]].tobytes() + b"".join(tails), np.uint8).copy()
            ends = at[count] + np.cumsum([len(tail) for tail in tails], dtype=np.int64)
            at = np.concatenate((at, ends))
            order = np.concatenate((order, np.array(orders, np.int64)))
            theirs = [partition_of(output.key, self._deliveries) for output in result.outputs]
            partition = np.concatenate((partition, np.array(theirs, np.int32)))
            place = np.argsort(order, kind="stable").astype(np.int32)
        else:
            place = np.arange(count, dtype=np.int32)
        found = _batches(self._deliveries, self._batch_bytes, buffers, source, at, place, partition)
        return [(number, self._pack(records), count) for number, records, count in found]

    def _states(self, subjects: PackedSubjects, buffers: Buffers) -> list[tuple[bytes, int]]:
        """Return the record batches of changed memories: encoded records, count."""
        touched = int(subjects.memory.counters[TOUCHED])
        at, counts = np.zeros(3 * touched + 64, np.int64), np.zeros(1, np.int64)
        start = 0
        while True:
            start, out_size, at_size = put_states(
                subjects.memory, subjects.index, _STATE_FRAME, start, buffers.states, at, counts
            )
            if start >= touched:
                break
            buffers.states = longer(buffers.states, out_size)
            at = longer(at, at_size)
        count = int(counts[0])
        at, partition = at[: count + 1], np.zeros(count, np.int32)
        place = np.arange(count, dtype=np.int32)
        found = _batches(1, self._batch_bytes, buffers, buffers.states, at, place, partition)
        return [(records.tobytes(), number) for _, records, number in found]


class _Orders(NamedTuple):
    """The place among all records of every row and output that the Python path wrote."""

    rows: list[int]
    outputs: list[int]


class _Staged:
    """Subjects as they are within the present decision."""

    def __init__(self, view: SubjectView, subjects: PackedSubjects) -> None:
        self._view = view
        self._subjects = subjects

    def prepared(self, key: bytes) -> PreparedConsent | None:
        """Return the prepared consents of a subject, None without any."""
        return self._view.prepared(key)

    def state(self, key: bytes) -> SubjectState:
        """Return what is remembered of a subject, with what this decision staged."""
        return self._subjects.staged_state(key)


def _by_topic(batches: Sequence[RecordBatch]) -> Iterator[tuple[str, list[RecordBatch]]]:
    groups: dict[str, list[RecordBatch]] = {}
    for batch in batches:
        groups.setdefault(batch.topic, []).append(batch)
    yield from groups.items()


def _batches(
    partitions: int,
    batch_bytes: int,
    buffers: Buffers,
    source: Bytes,
    at: Longs,
    place: Ints,
    partition: Ints,
) -> Iterator[tuple[int, memoryview, int]]:
    """Yield record batches: partition, encoded records (until the next call), how many."""
    if not place.size:
        return
    size = int(at[-1] - at[0]) + RECORD_HEAD * place.size
    if size > buffers.batches.size:
        buffers.batches = np.empty(size, np.uint8)
    out, ends = buffers.batches, np.zeros((place.size, 4), np.int64)
    batches = batch_records(out, ends, partitions, batch_bytes, source, at, place, partition)
    for number, start, end, count in ends[:batches].tolist():
        yield number, out[start:end].data, count


def _counts(count: Longs, no_consent: int) -> Counts:
    counts: Counts = {}
    for fate, reason, kind in zip(*(places.tolist() for places in np.nonzero(count)), strict=True):
        slot = (
            Fate(fate),
            None if reason == REASONS - 1 else Reason(reason),
            None if kind == KIND_COUNT - 1 else Kind(kind),
        )
        counts[slot] = int(count[fate, reason, kind])
    if no_consent:
        counts[Fate.SUPPRESS, Reason.NO_CONSENT, None] = no_consent
    return counts


def _count_rows(result: BatchResult, holder_counts: dict[str, Counts]) -> None:
    """Count what the Python path decided for holders, beside what `join` counted."""
    for topic, theirs in result.holder_counts().items():
        counts = holder_counts.setdefault(topic, {})
        for slot, count in theirs.items():
            counts[slot] = counts.get(slot, 0) + count


def _rows(result: BatchResult, orders: Sequence[int], buffers: Buffers) -> tuple[bytes, int]:
    """Return all rows in order, encoded, and their number."""
    outputs, counter = buffers.outputs, buffers.outputs.counter
    used, count = int(counter[ROWS_USED]), int(counter[ROW_COUNT])
    if not result.rows:
        return outputs.rows[:used].tobytes(), count
    pieces = [encode_decision_row(row) for row in result.rows]
    data = np.frombuffer(b"".join(pieces), np.uint8)
    at = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
    out = np.empty(used + data.size, np.uint8)
    order = np.array(orders, np.int64)
    size = merge_pieces(
        out, outputs.rows, outputs.row_at, outputs.row_order, count, data, at, order, len(pieces)
    )
    return out[:size].tobytes(), count + len(pieces)


def _header(name: str, value: bytes) -> bytes:
    return write_string(name) + write_bytes(value)


def _tail(key: bytes, value: bytes, headers: HeaderList) -> bytes:
    """Return a record from its key on."""
    return b"".join((
        write_bytes(key), write_bytes(value), write_long(len(headers)),
        *(_header(name, content) for name, content in headers),
    ))  # fmt: skip
