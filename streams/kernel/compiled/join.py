"""The join: walks the records of one raw batch, decides them, and writes what follows as bytes.

It applies the core's own rules (compiled twins of `core/rules.py` and `core/steps.py`), in the order of
docs/rules.md. What it decides: records without consent, and records of subjects with one holder and one
version. Everything else leaves as a survivor for the Python path, with all later records of that subject, so
that each subject's records are decided in order: other shapes of consent, whatever would be rejected, texts
in which numbers may have to be masked, foreign schema ids in headers, repeats in at_least_once, and memory
that must be swept. Nothing is read beyond a record's end. Imports the modules beside it. Read next:
`decider.py`.
"""

from streams.core import rules
from streams.core.codes import Fate
from streams.core.rules import NOTIFY, TOLD, UNCHANGED
from streams.core.steps import GO_ON_ETA, IS_TOLD
from streams.kernel.compiled import policies as of_policy
from streams.kernel.compiled import tables as of_table
from streams.kernel.compiled.bytes_out import get_number, is_same, put_bytes
from streams.kernel.compiled.event_plans import VersionPlans
from streams.kernel.compiled.fields import FieldPlan, read_fields
from streams.kernel.compiled.hashes import blake2b_8, murmur2
from streams.kernel.compiled.headers import is_traceparent, read_headers
from streams.kernel.compiled.holder import gate, kind_of, rule_of
from streams.kernel.compiled.index import (
    ABSENT,
    ASKED,
    POLICY,
    SIMPLE,
    IndexArrays,
    find,
    unpack_person,
)
from streams.kernel.compiled.jit import compiled, compiled_rules, inlined
from streams.kernel.compiled.layout import (
    EVENT_TYPE,
    FUTURE_TOLERANCE,
    IS_REPLAY,
    MAX_AGE,
    MAX_VALUE,
    NO_KIND,
    NO_REASON,
    NOT_OPENED,
    NOW,
    ORDER,
    OUT_USED,
    PARTITION,
    PARTITIONS,
    REMEMBER_MS,
    ROWS_USED,
    RUNS_USED,
    SEEN_LIMIT,
    Call,
    Outputs,
    Scratch,
)
from streams.kernel.compiled.limits import EventLimits, is_within_limits
from streams.kernel.compiled.memory import ARENA_USED as MEMORY_USED
from streams.kernel.compiled.memory import (
    CHUNK,
    DROPPED,
    IS_TAINTED,
    NEW_SEEN,
    SEEN_AT,
    SEEN_SIZE,
    MemoryArrays,
    append_seen,
    arena_room,
    find_entry,
    has_run_out,
    may_have_seen,
    new_row,
    touch,
)
from streams.kernel.compiled.memory import ROWS as MEMORY_ROWS
from streams.kernel.compiled.notice import identify, must_mask, put_notification, put_output
from streams.kernel.compiled.policies import PolicyArrays
from streams.kernel.compiled.raw_batch import RecordColumns
from streams.kernel.compiled.rows import add_to_run, close_run, judge, put_row, survive
from streams.kernel.compiled.tables import Tables
from streams.kernel.compiled.told import LEAVES, answer_of
from streams.kernel.compiled.types import Bytes, Longs, whole

_TWINS = compiled_rules([rules.is_future, rules.is_stale])
is_future, is_stale = _TWINS["is_future"], _TWINS["is_stale"]

DONE, NO_ROOM, NO_MEMORY = 0, 1, 2
"""Why `join` stopped: all records done, outputs to be made room for, memory to be made room for."""

OUT_ROOM, ROW_ROOM, RUN_ROOM = 1 << 17, 1 << 14, 1 << 9
"""What one record may write at most: limits of texts are 1,024 characters of at most 4 bytes each."""

_DUPLICATE, _SUPPRESS = int(Fate.DUPLICATE), int(Fate.SUPPRESS)


@inlined
def _plan_of(source: Bytes, place: int, size: int, frames: Longs) -> int:
    """Return which version of the schema a value's frame names, -1 for none of ours."""
    if size < 5 or source[place] != 0:
        return -1
    number = 0
    for step in range(1, 5):
        number = number << 8 | whole(source[place + step])
    for version in range(frames.size):
        if frames[version] == number:
            return version
    return -1


@inlined
def _seen_key(source: Bytes, event_type: int, scratch: Scratch) -> int:
    """Return the hash under which an event is remembered as seen. Source: `core/decide.py`."""
    scratch.text[0] = event_type
    size = put_bytes(scratch.text, 1, source, scratch.place[0], scratch.size[0])
    return whole(blake2b_8(scratch.text, 0, size, scratch.blake2b))


@inlined
def _room_for_seen(call: Call, memory: MemoryArrays, row: int) -> bool:
    """Make room for one more seen entry as `with_seen_room` does; False where memory must be swept."""
    dropped, count, limit = memory.row[row, DROPPED], memory.row[row, NEW_SEEN], call.number[SEEN_LIMIT]
    if count - dropped < limit and ((count - dropped) % CHUNK or count == dropped):
        return True
    while count - dropped >= CHUNK and has_run_out(
        memory.arena, memory.row[row, SEEN_AT] + dropped * SEEN_SIZE, CHUNK, SEEN_SIZE, call.number[NOW]
    ):
        dropped += CHUNK
    if count - dropped >= limit:
        return False
    memory.row[row, DROPPED] = dropped
    return True


@inlined
def _decide_opened(
    call: Call, tables: Tables, index: IndexArrays, policies: PolicyArrays, memory: MemoryArrays,
    source: Bytes, scratch: Scratch, outputs: Outputs, frame: Bytes, slot: int, holder: int, key_place: int,
    key_size: int, offset: int, trace: int, time: int, order: int,
) -> bool:  # fmt: skip
    """Decide an event within its limits whose one holder is open; False: it leaves for the Python path.

    Source: `decide` in `core/decide.py`.
    """
    event_type, now = call.number[EVENT_TYPE], call.number[NOW]
    event_time = scratch.number[of_table.TIME_FIELD[event_type]]
    kind = kind_of(tables, event_type, scratch)
    if is_future(event_time, now, call.number[FUTURE_TOLERANCE]):
        return False
    shown = policies.number[get_number(index.arena, holder + POLICY, 2), of_policy.SHOWN + kind]
    if must_mask(tables, event_type, shown, source, scratch):
        return False
    row = whole(index.row[slot]) - 1
    seen_key = _seen_key(source, event_type, scratch)
    if row >= 0:
        touch(memory, row)
        at = memory.row[row, SEEN_AT] + memory.row[row, DROPPED] * SEEN_SIZE
        count = memory.row[row, NEW_SEEN] - memory.row[row, DROPPED]
        if (
            may_have_seen(memory, row, seen_key)
            and find_entry(memory.arena, at, count, SEEN_SIZE, seen_key, now) >= 0
        ):
            if call.number[IS_REPLAY]:
                return False
            judge(scratch, _DUPLICATE, NO_REASON, of_table.SEEN_RULE, kind, -1, -1)
            return True
    has_gone_stale = is_stale(event_time, now, call.number[MAX_AGE + kind])
    if not has_gone_stale:
        if row < 0:
            row = new_row(memory, slot)
            index.row[slot] = row + 1
            touch(memory, row)
        if not _room_for_seen(call, memory, row):
            return False
    place = rule_of(call, tables, index, policies, source, scratch, holder, kind, event_time)
    answer = 0
    if place == NOTIFY:
        answer = answer_of(call, memory, row, source, scratch, offset)
        if answer == LEAVES:
            return False
        if answer > GO_ON_ETA:
            place = TOLD if answer == IS_TOLD else UNCHANGED
    if not has_gone_stale:
        append_seen(
            memory, row, seen_key, event_time + call.number[REMEMBER_MS], offset,
            get_number(index.arena, holder + ASKED, 4), answer,
        )  # fmt: skip
    fate, reason = whole(tables.rule_fate[place]), whole(tables.rule_reason[place])
    id_place = -1
    if place == NOTIFY:
        id_place = identify(call, tables, source, scratch, key_place, key_size, kind, answer)
        size = put_notification(
            call, tables, index, policies, source, scratch, frame, holder, key_place, key_size, kind,
            event_time, id_place,
        )  # fmt: skip
        put_output(call, source, scratch, outputs, size, id_place, offset, trace, time, order)
    judge(scratch, fate, reason, place, kind, holder, id_place)
    return True


@inlined
def _decide_consented(
    call: Call, tables: Tables, limits: EventLimits, plans: VersionPlans, index: IndexArrays,
    policies: PolicyArrays, memory: MemoryArrays, source: Bytes, columns: RecordColumns, scratch: Scratch,
    outputs: Outputs, frame: Bytes, record: int, slot: int, order: int,
) -> bool:  # fmt: skip
    """Decide a record of a subject with a consent; False: it leaves for the Python path."""
    offset = columns.offsets[record]
    key_place, key_size = whole(columns.key_places[record]), whole(columns.key_sizes[record])
    if index.kind[slot] != SIMPLE:
        return False
    holder = index.record_at[slot] + 2 + key_size
    unpack_person(index, holder, scratch.person, scratch.person_size)
    reason = gate(call, tables, index, policies, holder)
    if reason != NO_REASON:
        judge(scratch, _SUPPRESS, reason, of_table.GATE, NO_KIND, holder, NOT_OPENED)
        return True
    value, value_size = whole(columns.value_places[record]), whole(columns.value_sizes[record])
    trace = -1
    if columns.header_counts[record] > 0:
        has_schema, trace, trace_size = read_headers(
            source, whole(columns.headers_places[record]), columns.header_counts[record]
        )
        if has_schema:
            return False
        if trace >= 0 and not is_traceparent(source, trace, trace_size):
            trace = -1
    version = _plan_of(source, value, value_size, call.frames)
    if version < 0:
        return False
    end = value + value_size
    plan = FieldPlan(
        plans.steps[plans.step_at[version] : plans.step_at[version + 1]],
        plans.symbols,
        plans.defaults[plans.default_at[version] : plans.default_at[version + 1]],
    )
    at = read_fields(
        source, value + 5, end, plan, scratch.number, scratch.place, scratch.size, scratch.chars,
        scratch.is_null,
    )  # fmt: skip
    if at != end:
        return False
    subject, subject_size = whole(scratch.place[1]), whole(scratch.size[1])
    if subject_size != key_size:
        return False
    if not is_same(source, subject, source, key_place, key_size):
        return False
    if not is_within_limits(
        limits, source, scratch.number, scratch.place, scratch.size, scratch.chars, scratch.is_null
    ):
        return False
    return _decide_opened(
        call, tables, index, policies, memory, source, scratch, outputs, frame, slot, holder, key_place,
        key_size, offset, trace, columns.timestamps_ms[record], order,
    )  # fmt: skip


@inlined
def _taint(index: IndexArrays, memory: MemoryArrays, slot: int) -> None:
    """Let every later record of a subject leave too, in this transaction."""
    row = whole(index.row[slot]) - 1
    if row < 0:
        row = new_row(memory, slot)
        index.row[slot] = row + 1
    touch(memory, row)
    memory.row[row, IS_TAINTED] = 1


@inlined
def _is_tainted(index: IndexArrays, memory: MemoryArrays, slot: int) -> bool:
    row = whole(index.row[slot]) - 1
    if row < 0:
        return False
    touch(memory, row)
    return bool(memory.row[row, IS_TAINTED] == 1)


@inlined
def _has_memory_room(index: IndexArrays, memory: MemoryArrays, slot: int) -> bool:
    """Tell whether one event of a subject finds room in memory."""
    counters = memory.counters
    if counters[MEMORY_ROWS] + 1 > memory.row.shape[0] or counters[MEMORY_ROWS] + 1 > memory.touched.size:
        return False
    return bool(counters[MEMORY_USED] + arena_room(memory, whole(index.row[slot]) - 1) <= memory.arena.size)


@compiled
def join(
    call: Call, tables: Tables, limits: EventLimits, plans: VersionPlans, index: IndexArrays,
    policies: PolicyArrays, memory: MemoryArrays, source: Bytes, columns: RecordColumns, scratch: Scratch,
    outputs: Outputs, frame: Bytes, start: int,
) -> tuple[int, int]:  # fmt: skip
    """Decide the records of one batch from number `start` on.

    Returns the number of the first record that was not decided, and why; the caller makes room and goes on.
    Source: `Interpreter` in `kernel/interpret.py`, whose twin this is.
    """
    counter, number = outputs.counter, call.number
    partition, partitions, limit = number[PARTITION], number[PARTITIONS], number[MAX_VALUE]
    records = columns.offsets.size
    for record in range(start, records):
        if (
            counter[OUT_USED] + OUT_ROOM > outputs.out.size
            or counter[ROWS_USED] + ROW_ROOM > outputs.rows.size
            or counter[RUNS_USED] + RUN_ROOM > outputs.runs.size
        ):
            return record, NO_ROOM
        key, key_size = whole(columns.key_places[record]), whole(columns.key_sizes[record])
        if key_size <= 0 or columns.value_sizes[record] > limit:
            close_run(call, outputs)
            survive(record, outputs)
            continue
        slot = find(index, source, key, key_size)
        if slot < 0 or index.kind[slot] == ABSENT:
            if murmur2(source, key, key_size) % partitions == partition:
                add_to_run(columns.offsets[record], outputs)
            else:
                close_run(call, outputs)
                survive(record, outputs)
            continue
        if not _has_memory_room(index, memory, slot):
            return record, NO_MEMORY
        close_run(call, outputs)
        if _is_tainted(index, memory, slot):
            survive(record, outputs)
        elif not _decide_consented(
            call, tables, limits, plans, index, policies, memory, source, columns, scratch, outputs, frame,
            record, slot, number[ORDER] + record,
        ):  # fmt: skip
            _taint(index, memory, slot)
            survive(record, outputs)
        else:
            offset = columns.offsets[record]
            put_row(call, tables, index, source, scratch, outputs, slot, number[ORDER] + record, offset)
    return records, DONE
