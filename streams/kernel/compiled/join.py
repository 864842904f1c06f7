"""The join: walks the records of one raw batch, decides them, and writes what follows as bytes.

It applies the core's own rules (compiled twins of `core/rules.py` and `core/steps.py`), in the order of
docs/rules.md. What it decides: records without consent, and records of subjects with one holder and one
version. Everything else leaves as a survivor for the Python path, with all later records of that subject, so
that each subject's records are decided in order: other shapes of consent, whatever would be rejected, foreign
schema ids in headers, repeats in at_least_once, and memory that must be swept. Nothing is read beyond a
record's end. Imports the modules beside it. Read next: `decider.py`.
"""

from typing import Any, NamedTuple

import numpy as np

from streams.core import rules, steps
from streams.core.codes import Fate, Kind, Reason, TransactionStatus
from streams.core.policy import MINIMUM_AMOUNT, NO_THRESHOLD, TOLD_FOR_MS
from streams.core.rules import NOTIFY, TOLD, UNCHANGED
from streams.core.steps import GO_ON, GO_ON_ETA, IS_TOLD, NO_DAY
from streams.core.subject_state import AS_NEW_ETA
from streams.kernel.compiled import policies as of_policy
from streams.kernel.compiled import tables as of_table
from streams.kernel.compiled.bytes_out import (
    get_number,
    is_same,
    put_bytes,
    put_decimal,
    put_long,
    put_number,
    put_sized,
)
from streams.kernel.compiled.event_plans import VersionPlans
from streams.kernel.compiled.fields import FieldPlan, read_fields
from streams.kernel.compiled.hashes import blake2b_8, murmur2, sha1_uuid5
from streams.kernel.compiled.index import (
    ABSENT,
    ASKED,
    CHANNEL_SIZE,
    CONSENT_SIZE,
    EFFECTIVE_AT,
    FIXED,
    HAS_REVOKED,
    POLICY,
    SIMPLE,
    USER_SIZE,
    VALID_UNTIL,
    VERSION,
    IndexArrays,
    find,
)
from streams.kernel.compiled.jit import compiled, compiled_rules, inlined
from streams.kernel.compiled.limits import EventLimits, is_within_limits
from streams.kernel.compiled.memory import ARENA_USED as MEMORY_USED
from streams.kernel.compiled.memory import (
    CHUNK,
    DROPPED,
    IS_TAINTED,
    NEW_SEEN,
    NEW_TOLD,
    NEW_TOLD_AT,
    SEEN_AT,
    SEEN_SIZE,
    TOLD_AT,
    TOLD_COUNT,
    TOLD_SIZE,
    MemoryArrays,
    append_seen,
    arena_room,
    find_entry,
    get_u64,
    has_run_out,
    new_row,
    put_told,
    stage_told,
    touch,
)
from streams.kernel.compiled.memory import ROWS as MEMORY_ROWS
from streams.kernel.compiled.policies import PolicyArrays
from streams.kernel.compiled.raw_batch import RecordColumns
from streams.kernel.compiled.tables import REASONS, Names, Tables
from streams.kernel.compiled.types import Bytes, Ints, Longs, whole

_TWINS = compiled_rules(
    [
        rules.is_future, rules.is_revoked, rules.is_expired, rules.is_not_effective, rules.is_expired_earlier,
        rules.lacks_purpose, rules.is_stale, rules.is_removed, rules.is_other_direction,
        rules.is_other_currency, rules.is_below_minimum, rules.holder_rule, steps.differs_much,
        steps.transaction_step, steps.declined_step, steps.balance_step, steps.is_new_eta,
        steps.shipment_step,
    ]
)  # fmt: skip
is_future, is_stale, holder_rule = _TWINS["is_future"], _TWINS["is_stale"], _TWINS["holder_rule"]
transaction_step, declined_step = _TWINS["transaction_step"], _TWINS["declined_step"]
balance_step, shipment_step = _TWINS["balance_step"], _TWINS["shipment_step"]

DONE, NO_ROOM, NO_MEMORY = 0, 1, 2
"""Why `join` stopped: all records done, outputs to be made room for, memory to be made room for."""

EVENT_TYPE, NOW, PARTITION, PARTITIONS, DELIVERIES, IS_REPLAY, MAX_VALUE, ORDER = range(8)
FUTURE_TOLERANCE, REMEMBER_MS, SEEN_LIMIT, TOLD_LIMIT, MAX_AGE = range(8, 13)
"""Places in `Call.number`; from MAX_AGE on the ages by kind."""

OUT_USED, OUT_COUNT, ROWS_USED, ROW_COUNT, RUNS_USED, RUN_COUNT, SURVIVORS, RUN_OPEN = range(8)
RUN_FIRST, RUN_LAST, RUN_RECORDS, RUN_TOTAL = range(8, 12)
OUTPUT_COUNTERS = 12
"""Places in `Outputs.counter`."""

OUT_ROOM, ROW_ROOM, RUN_ROOM = 1 << 17, 1 << 14, 1 << 9
"""What one record may write at most: limits of texts are 1,024 characters of at most 4 bytes each."""

HEADERS, ID_SIZE = 8, 36
TRACEPARENT_SIZE = 55
_BANK, _BALANCE, _SECURITY, _SHIPMENT = 0, 1, 2, 3
_STATUS, _AMOUNT, _CURRENCY, _LIFECYCLE = 3, 4, 5, 6
_ORIGINAL_AMOUNT, _ORIGINAL_CURRENCY = 8, 9
_BOOKED, _BALANCE_CURRENCY = 3, 4
_SHIPMENT_ID, _CARRIER, _ETA_AT, _CORRECTION_OF = 2, 6, 7, 10
_ORIGINAL_CURRENCY_SHOWN = 4
_DAY_MS = 86_400_000
_RECEIPT_PURPOSE = 1 << 2
_REJECT, _DUPLICATE, _NOTIFY, _SUPPRESS = (
    int(Fate.REJECT),
    int(Fate.DUPLICATE),
    int(Fate.NOTIFY),
    int(Fate.SUPPRESS),
)
_REVOKED, _EXPIRED = int(Reason.REVOKED), int(Reason.EXPIRED)
_NOT_EFFECTIVE, _PURPOSE = int(Reason.NOT_EFFECTIVE), int(Reason.PURPOSE)
_NO_REASON, _NO_KIND = REASONS - 1, len(Kind)
_DECLINED_KIND, _BALANCE_KIND = int(Kind.DECLINED), int(Kind.BALANCE)
_SHIPPING_KIND, _SECURITY_KIND = int(Kind.SHIPPING), int(Kind.SECURITY)
_DECLINED, _REMOVED = int(TransactionStatus.DECLINED), int(TransactionStatus.REMOVED)
_SCHEMA_HEADER = np.frombuffer(b"__value_schema_id", np.uint8)
_TRACE_HEADER = np.frombuffer(b"traceparent", np.uint8)


class Call(NamedTuple):
    """What holds for all records of one topic in one decision.

    Attributes:
        number: see the places above.
        topic: its name as an Avro string.
        headers: the headers that every notification of this decision has, encoded; HEADERS counts
            them and the two that differ.
        source: the text `topic/partition/`.
        frames: schema ids of the versions that `plans` read.
    """

    number: Longs
    topic: Bytes
    headers: Bytes
    source: Bytes
    frames: Longs


FATE, REASON, RULE, KIND, HOLDER, ID_PLACE, VERDICT = range(7)
"""Places in `Scratch.verdict`, and its size: the decision of one record. HOLDER is where the fixed part of
the holder's consent stands (-1: none was asked), ID_PLACE where the notification's id stands in
`Scratch.text` (-1: nothing is told, -2: the value was not even opened)."""

NOT_OPENED = -2


class Scratch(NamedTuple):
    """One event's fields (see `fields.py`), room for texts, and the decision."""

    number: Longs
    place: Ints
    size: Ints
    chars: Ints
    is_null: Bytes
    text: Bytes
    body: Bytes
    sha1: Any
    blake2b: Any
    verdict: Longs


class Outputs(NamedTuple):
    """What `join` writes; parallel columns describe the outputs, the rows and the survivors.

    `fates` (of records) and `holder_fates` are counts indexed by fate, reason and kind.
    """

    out: Bytes
    out_at: Longs
    out_order: Longs
    out_partition: Ints
    out_time: Longs
    rows: Bytes
    row_at: Longs
    row_order: Longs
    runs: Bytes
    survivors: Longs
    counter: Longs
    fates: Longs
    holder_fates: Longs


@inlined
def put_name(out: Bytes, at: int, known: Names, number: int) -> int:
    """Write one of the short texts."""
    place = known.at[number]
    return put_bytes(out, at, known.data, place, known.at[number + 1] - place)


@compiled
def close_run(call: Call, outputs: Outputs) -> None:
    """Write the run of records without consent that is open, if one is."""
    counter = outputs.counter
    if not counter[RUN_OPEN]:
        return
    out = outputs.runs
    at = put_bytes(out, counter[RUNS_USED], call.topic, 0, call.topic.size)
    at = put_long(out, at, counter[RUN_FIRST])
    at = put_long(out, at, counter[RUN_LAST])
    counter[RUNS_USED] = put_long(out, at, counter[RUN_RECORDS])
    counter[RUN_COUNT] += 1
    counter[RUN_OPEN] = 0


@inlined
def _add_to_run(offset: int, outputs: Outputs) -> None:
    counter = outputs.counter
    if not counter[RUN_OPEN]:
        counter[RUN_OPEN] = 1
        counter[RUN_FIRST] = offset
        counter[RUN_RECORDS] = 0
    counter[RUN_LAST] = offset
    counter[RUN_RECORDS] += 1
    counter[RUN_TOTAL] += 1


@inlined
def _survive(record: int, outputs: Outputs) -> None:
    outputs.survivors[outputs.counter[SURVIVORS]] = record
    outputs.counter[SURVIVORS] += 1


@inlined
def _put_row(
    call: Call, tables: Tables, index: IndexArrays, source: Bytes, scratch: Scratch, outputs: Outputs,
    order: int, offset: int,
) -> None:  # fmt: skip
    """Write the decision that stands in `scratch.verdict`, and count it."""
    out, counter, verdict = outputs.rows, outputs.counter, scratch.verdict
    holder, kind, reason, id_place = verdict[HOLDER], verdict[KIND], verdict[REASON], verdict[ID_PLACE]
    number = counter[ROW_COUNT]
    outputs.row_at[number] = counter[ROWS_USED]
    outputs.row_order[number] = order
    at = put_bytes(out, counter[ROWS_USED], call.topic, 0, call.topic.size)
    at = put_long(out, at, offset)
    if id_place == NOT_OPENED:
        out[at] = 0
        at += 1
    else:
        out[at] = 2
        at = put_sized(out, at + 1, source, scratch.place[of_table.EVENT_ID], scratch.size[of_table.EVENT_ID])
    if holder < 0:
        out[at] = 0
        at += 1
    else:
        user_size = get_number(index.arena, holder + USER_SIZE, 2)
        out[at] = 2
        at = put_sized(out, at + 1, index.arena, holder + FIXED, user_size)
    out[at] = 2 * verdict[FATE]
    at = _put_code(out, at + 1, reason, _NO_REASON)
    at = put_name(out, at, tables.rule, verdict[RULE])
    at = _put_code(out, at, kind, _NO_KIND)
    if holder < 0:
        out[at], out[at + 1] = 0, 0
        at += 2
    else:
        place = holder + FIXED + get_number(index.arena, holder + USER_SIZE, 2)
        out[at] = 2
        at = put_sized(out, at + 1, index.arena, place, get_number(index.arena, holder + CONSENT_SIZE, 2))
        out[at] = 2
        at = put_long(out, at + 1, get_number(index.arena, holder + VERSION, 2))
    if id_place < 0:
        out[at] = 0
        at += 1
    else:
        out[at] = 2
        at = put_sized(out, at + 1, scratch.text, id_place, ID_SIZE)
    counter[ROWS_USED] = at
    counter[ROW_COUNT] = number + 1
    outputs.row_at[number + 1] = at
    fate = verdict[FATE]
    outputs.holder_fates[fate, reason, kind] += 1
    outputs.fates[fate, reason, kind if fate == _NOTIFY else _NO_KIND] += 1


@inlined
def _put_code(out: Bytes, at: int, code: int, none: int) -> int:
    """Write a union of null and an enum; `none` stands for null."""
    if code == none:
        out[at] = 0
        return at + 1
    out[at], out[at + 1] = 2, 2 * code
    return at + 2


@inlined
def _judge(
    scratch: Scratch, fate: int, reason: int, rule: int, kind: int, holder: int, id_place: int
) -> None:
    """Set the decision of a record."""
    verdict = scratch.verdict
    verdict[FATE], verdict[REASON], verdict[RULE] = fate, reason, rule
    verdict[KIND], verdict[HOLDER], verdict[ID_PLACE] = kind, holder, id_place


@inlined
def _is_lower_hex(source: Bytes, place: int, size: int) -> tuple[bool, bool]:
    """Tell whether all are digits of lower-case hexadecimal, and whether all are zeros."""
    is_zero = True
    for step in range(place, place + size):
        byte = source[step]
        if not (48 <= byte <= 57 or 97 <= byte <= 102):
            return False, False
        if byte != 48:
            is_zero = False
    return True, is_zero


@inlined
def is_traceparent(source: Bytes, place: int, size: int) -> bool:
    """Tell whether a header's value is one that is passed on. Source: `wire/headers.py`."""
    if size != TRACEPARENT_SIZE:
        return False
    if source[place + 2] != 45 or source[place + 35] != 45 or source[place + 52] != 45:
        return False
    if source[place] == 102 and source[place + 1] == 102:
        return False
    version, _ = _is_lower_hex(source, place, 2)
    trace, is_no_trace = _is_lower_hex(source, place + 3, 32)
    parent, is_no_parent = _is_lower_hex(source, place + 36, 16)
    flags, _ = _is_lower_hex(source, place + 53, 2)
    return version and trace and parent and flags and not is_no_trace and not is_no_parent


@inlined
def _header_long(source: Bytes, at: int) -> tuple[int, int]:
    """Read a number that `records.py` has walked over before."""
    value, shift = np.uint64(0), np.uint64(0)
    while True:
        byte = source[at]
        at += 1
        value |= np.uint64(byte & 0x7F) << shift
        if byte < 0x80:
            return whole(value >> np.uint64(1)) ^ -whole(value & np.uint64(1)), at
        shift += np.uint64(7)


@inlined
def _has_name(source: Bytes, place: int, size: int, name: Bytes) -> bool:
    if size != name.size:
        return False
    return is_same(source, place, name, 0, size)


@inlined
def _read_headers(source: Bytes, at: int, count: int) -> tuple[bool, int, int]:
    """Return whether a header names the schema, and place and size of the last traceparent (-1: none)."""
    trace, trace_size = -1, -1
    for _ in range(count):
        size, at = _header_long(source, at)
        name = at
        value_size, at = _header_long(source, at + size)
        if _has_name(source, name, size, _SCHEMA_HEADER):
            return True, -1, -1
        if _has_name(source, name, size, _TRACE_HEADER):
            trace, trace_size = at, value_size
        at += max(value_size, 0)
    return False, trace, trace_size


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
def _told_key(
    source: Bytes, event_type: int, scratch: Scratch, arena: Bytes, user: int, user_size: int
) -> int:
    """Return the hash of an event's lifecycle for a holder. Source: `core/lifecycle.py`."""
    text = scratch.text
    if event_type == _BALANCE:
        text[0] = 66
        at = 1
    else:
        field = _LIFECYCLE if event_type == _BANK else _SHIPMENT_ID
        is_declined = event_type == _BANK and scratch.number[_STATUS] == _DECLINED
        text[0] = 83 if event_type == _SHIPMENT else 68 if is_declined else 84
        text[1], text[2] = scratch.size[field] >> 8, scratch.size[field] & 0xFF
        at = put_bytes(text, 3, source, scratch.place[field], scratch.size[field])
    return whole(blake2b_8(text, 0, put_bytes(text, at, arena, user, user_size), scratch.blake2b))


@inlined
def _revision_key(scratch: Scratch, key: int, code: int, told: int) -> int:
    """Return the hash of the revision of a step. Source: `core/lifecycle.py`."""
    text = scratch.text
    text[0] = 82
    at = put_number(text, 1, key, 8)
    at = put_decimal(text, at, code)
    text[at] = 58
    return whole(blake2b_8(text, 0, put_decimal(text, at + 1, told), scratch.blake2b))


@inlined
def _told_parts(event_type: int, scratch: Scratch, answer: int) -> tuple[int, int, int]:
    """Return code, value and day of the ETA of the step that an event tells. Source: `core/lifecycle.py`."""
    if event_type == _BALANCE:
        return 0, scratch.number[of_table.TIME_FIELD[_BALANCE]], NO_DAY
    status = scratch.number[_STATUS]
    if event_type == _BANK:
        return status, scratch.number[_AMOUNT], NO_DAY
    code = status | AS_NEW_ETA if answer == GO_ON_ETA else status
    eta_day = NO_DAY if scratch.is_null[_ETA_AT] else scratch.number[_ETA_AT] // _DAY_MS
    return code, scratch.number[of_table.TIME_FIELD[_SHIPMENT]], eta_day


@inlined
def _step(event_type: int, scratch: Scratch, arena: Bytes, told: int, now: int) -> int:
    """Ask what is new against the step told, whose entry stands at `told` (-1: nothing told)."""
    has_told = told >= 0
    code, value, told_eta, told_day = 0, 0, NO_DAY, NO_DAY
    if has_told:
        code, value = whole(arena[told + 16]), get_u64(arena, told + 17)
        told_eta = whole(np.int32(get_number(arena, told + 25, 4)))
        told_day = whole(np.int32(get_number(arena, told + 29, 4)))
    if event_type == _BALANCE:
        return whole(balance_step(has_told, value, scratch.number[of_table.TIME_FIELD[_BALANCE]]))
    status = scratch.number[_STATUS]
    if event_type == _BANK:
        if status == _DECLINED:
            return whole(declined_step(has_told, value, scratch.number[_AMOUNT]))
        return whole(transaction_step(has_told, code, value, status, scratch.number[_AMOUNT]))
    eta_day = NO_DAY if scratch.is_null[_ETA_AT] else scratch.number[_ETA_AT] // _DAY_MS
    answer = shipment_step(
        has_told, code & ~AS_NEW_ETA, value, told_eta, told_day, status,
        scratch.number[of_table.TIME_FIELD[_SHIPMENT]], eta_day, not scratch.is_null[_CORRECTION_OF],
        now // _DAY_MS,
    )  # fmt: skip
    return whole(answer)


LEAVES = -1


@inlined
def _answer(
    call: Call, memory: MemoryArrays, row: int, source: Bytes, scratch: Scratch, arena: Bytes, user: int,
    user_size: int, offset: int,
) -> int:  # fmt: skip
    """Answer what is new for the holder, and stage the step if it is told; LEAVES for the Python path.

    Source: `_answer` in `core/decide.py`.
    """
    event_type, now = call.number[EVENT_TYPE], call.number[NOW]
    if event_type == _SECURITY or (event_type == _BANK and scratch.is_null[_LIFECYCLE]):
        return GO_ON
    key = _told_key(source, event_type, scratch, arena, user, user_size)
    is_staged = memory.row[row, NEW_TOLD_AT] >= 0
    entries = memory.row[row, NEW_TOLD_AT] if is_staged else memory.row[row, TOLD_AT]
    count = memory.row[row, NEW_TOLD] if is_staged else memory.row[row, TOLD_COUNT]
    told = find_entry(memory.arena, entries, count, TOLD_SIZE, key, now)
    if told >= 0 and call.number[IS_REPLAY] and get_u64(memory.arena, told + 33) >= offset:
        return LEAVES
    found = _step(event_type, scratch, memory.arena, told, now)
    if found > GO_ON_ETA:
        return found
    may_append = told < 0 or event_type != _BALANCE
    if may_append and count > 0 and (count % CHUNK == 0 or count + 1 >= call.number[TOLD_LIMIT]):
        return LEAVES
    code, value, eta_day = _told_parts(event_type, scratch, found)
    if told >= 0 and event_type != _BALANCE:
        new = eta_day if code & AS_NEW_ETA else value
        revision = _revision_key(scratch, key, code, new)
        earlier = find_entry(memory.arena, entries, count, TOLD_SIZE, revision, now)
        if earlier >= 0:
            if call.number[IS_REPLAY] and get_u64(memory.arena, earlier + 33) == offset:
                return LEAVES
            return IS_TOLD
        told_code = whole(memory.arena[told + 16])
        told_value = get_u64(memory.arena, told + 17)
        told_eta = whole(np.int32(get_number(memory.arena, told + 25, 4)))
        told_day = whole(np.int32(get_number(memory.arena, told + 29, 4)))
        expires_at, told_offset = get_u64(memory.arena, told + 8), get_u64(memory.arena, told + 33)
        earlier_key = _revision_key(
            scratch, key, told_code, told_eta if told_code & AS_NEW_ETA else told_value
        )
        stage_told(memory, row)
        put_told(
            memory, row, now, earlier_key, expires_at, told_code, told_value, told_eta, told_day, told_offset
        )
    stage_told(memory, row)
    event_time = scratch.number[of_table.TIME_FIELD[event_type]]
    put_told(memory, row, now, key, event_time + TOLD_FOR_MS, code, value, eta_day, now // _DAY_MS, offset)
    return found


@inlined
def _put_date(out: Bytes, at: int, day: int) -> int:
    """Write a day since 1970 as YYYY-MM-DD. Source: Howard Hinnant, civil_from_days."""
    shifted = day + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    for index in range(4):
        out[at + 3 - index] = 48 + year // 10**index % 10
    out[at + 4], out[at + 7] = 45, 45
    out[at + 5], out[at + 6] = 48 + month // 10, 48 + month % 10
    out[at + 8], out[at + 9] = 48 + day_of_month // 10, 48 + day_of_month % 10
    return at + 10


@inlined
def _identify(
    call: Call, tables: Tables, source: Bytes, scratch: Scratch, arena: Bytes, user: int, user_size: int,
    key_place: int, key_size: int, kind: int, answer: int,
) -> int:  # fmt: skip
    """Write the notification's id into `scratch.text` and return where. Source: `core/notice.py`."""
    text, event_type = scratch.text, call.number[EVENT_TYPE]
    at = put_bytes(text, 0, arena, user, user_size)
    text[at] = 31
    at = put_bytes(text, at + 1, source, key_place, key_size)
    text[at] = 31
    at = put_name(text, at + 1, tables.kind_name, kind)
    text[at] = 31
    field = of_table.EVENT_ID
    if event_type == _BANK and not scratch.is_null[_LIFECYCLE]:
        field = _LIFECYCLE
    elif event_type == _SHIPMENT:
        field = _SHIPMENT_ID
    at = put_bytes(text, at + 1, source, scratch.place[field], scratch.size[field])
    if event_type != _SECURITY:
        text[at] = 31
        at += 1
    if event_type == _BANK:
        at = put_name(text, at, tables.transaction_status, scratch.number[_STATUS])
        text[at] = 31
        at = put_decimal(text, at + 1, scratch.number[_AMOUNT])
    elif event_type == _BALANCE:
        at = put_decimal(text, at, scratch.number[_BOOKED])
    elif event_type == _SHIPMENT:
        at = put_name(text, at, tables.shipment_status, scratch.number[_STATUS])
        text[at] = 31
        if answer == GO_ON_ETA:
            eta = 0 if scratch.is_null[_ETA_AT] else scratch.number[_ETA_AT]
            at = _put_date(text, at + 1, eta // _DAY_MS)
        else:
            at = put_decimal(text, at + 1, scratch.number[of_table.TIME_FIELD[_SHIPMENT]])
    sha1_uuid5(text, at, text, at, scratch.sha1)
    return at


@inlined
def _put_subject_label(out: Bytes, at: int, source: Bytes, place: int, size: int) -> int:
    """Write the masked name of an ASCII subject. Source: `subject_label` in `core/project.py`."""
    colon = 0
    while colon < size and source[place + colon] != 58:
        colon += 1
    shown = min(colon, 16)
    token = max(size - colon - 1, 0)
    has_token = token >= 8
    at = put_long(out, at, shown + (8 if has_token else 0))
    at = put_bytes(out, at, source, place, shown)
    if has_token:
        out[at], out[at + 1], out[at + 2], out[at + 3] = 32, 0xE2, 0x80, 0xA6
        at = put_bytes(out, at + 4, source, place + size - 4, 4)
    return at


@inlined
def _last_chars(source: Bytes, place: int, size: int, chars: int) -> int:
    """Return how many bytes the last `chars` characters of a valid UTF-8 text take."""
    taken = 0
    while taken < size and chars > 0:
        taken += 1
        if source[place + size - taken] & 0xC0 != 0x80:
            chars -= 1
    return taken


@inlined
def _put_shipment_label(out: Bytes, at: int, source: Bytes, scratch: Scratch) -> int:
    """Write carrier and masked parcel id. Source: `shipment_label` in `core/project.py`."""
    carrier = 0 if scratch.is_null[_CARRIER] else scratch.size[_CARRIER]
    place, size = scratch.place[_SHIPMENT_ID], scratch.size[_SHIPMENT_ID]
    tail = _last_chars(source, place, size, 4) if scratch.chars[_SHIPMENT_ID] >= 8 else 0
    at = put_long(out, at, (carrier + 1 if carrier else 0) + 3 + tail)
    if carrier:
        at = put_bytes(out, at, source, scratch.place[_CARRIER], carrier)
        out[at] = 32
        at += 1
    out[at], out[at + 1], out[at + 2] = 0xE2, 0x80, 0xA6
    return put_bytes(out, at + 3, source, place + size - tail, tail)


@inlined
def _put_shown(
    out: Bytes, at: int, tables: Tables, event_type: int, shown: int, source: Bytes, scratch: Scratch
) -> int:
    """Write the notification's fields from `status` on, null for what the event lacks or may not show."""
    for number in range(tables.how.shape[1]):
        how = tables.how[event_type, number]
        field = tables.source[event_type, number]
        is_shown = how != of_table.NO_SOURCE and shown >> number & 1 == 1
        if is_shown and how != of_table.LABEL and scratch.is_null[field]:
            is_shown = False
        if number == _ORIGINAL_CURRENCY_SHOWN and event_type == _BANK and scratch.is_null[_ORIGINAL_AMOUNT]:
            is_shown = False
        if not is_shown:
            out[at] = 0
            at += 1
            continue
        out[at] = 2
        at += 1
        if how == of_table.NUMBER:
            at = put_long(out, at, scratch.number[field])
        elif how == of_table.TEXT:
            at = put_sized(out, at, source, scratch.place[field], scratch.size[field])
        elif how == of_table.FLAG:
            out[at] = scratch.number[field]
            at += 1
        else:
            at = _put_shipment_label(out, at, source, scratch)
    return at


@inlined
def _purpose_of(kind: int, purposes: int) -> int:
    """Return the purpose a notification is for. Source: `_purpose` in `core/project.py`."""
    if kind == _DECLINED_KIND:
        return 2 if purposes & _RECEIPT_PURPOSE else 4
    if kind == _BALANCE_KIND:
        return 1
    if kind == _SHIPPING_KIND:
        return 3
    if kind == _SECURITY_KIND:
        return 4
    return 2


@inlined
def _put_notification(
    call: Call, tables: Tables, index: IndexArrays, policies: PolicyArrays, source: Bytes, scratch: Scratch,
    frame: Bytes, holder: int, key_place: int, key_size: int, kind: int, event_time: int, id_place: int,
) -> int:  # fmt: skip
    """Write a notification with its frame into `scratch.body`; return its size."""
    arena, out, now = index.arena, scratch.body, call.number[NOW]
    user_size = get_number(arena, holder + USER_SIZE, 2)
    consent_size = get_number(arena, holder + CONSENT_SIZE, 2)
    user = holder + FIXED
    policy = get_number(arena, holder + POLICY, 4)
    number = policies.number
    at = put_bytes(out, 0, frame, 0, frame.size)
    at = put_sized(out, at, scratch.text, id_place, ID_SIZE)
    at = put_sized(out, at, arena, user, user_size)
    channel = user + user_size + consent_size
    at = put_sized(out, at, arena, channel, get_number(arena, holder + CHANNEL_SIZE, 2))
    out[at] = 2 * kind
    out[at + 1] = 2 * _purpose_of(kind, number[policy, of_policy.PURPOSES])
    at = put_name(out, at + 2, tables.template, kind)
    out[at] = 2 * number[policy, of_policy.DETAIL]
    at = put_bytes(
        out, at + 1, policies.arena, number[policy, of_policy.PLACE_AND_ZONE],
        number[policy, of_policy.PLACE_AND_ZONE_SIZE],
    )  # fmt: skip
    at = put_long(out, at, tables.priority[kind])
    out[at] = 2
    at = put_long(out, at + 1, event_time)
    at = put_long(out, at, now)
    at = put_long(out, at, event_time)
    at = put_long(out, at, event_time + call.number[MAX_AGE + kind])
    at = put_sized(out, at, source, scratch.place[0], scratch.size[0])
    at = _put_subject_label(out, at, source, key_place, key_size)
    at = put_sized(out, at, arena, user + user_size, consent_size)
    at = put_long(out, at, get_number(arena, holder + VERSION, 2))
    shown = number[policy, of_policy.SHOWN + kind]
    return _put_shown(out, at, tables, call.number[EVENT_TYPE], shown, source, scratch)


_ID_HEADER = np.frombuffer(b"\x0ace_id\x48", np.uint8)
_SOURCE_HEADER = np.frombuffer(b"\x1enotifier.source", np.uint8)
_TRACE_HEADER_SIZED = np.frombuffer(b"\x16traceparent\x6e", np.uint8)


@compiled
def decimal_size(value: int) -> int:
    """Return how many digits a number that is not negative has."""
    size = 1
    while value >= 10:
        value //= 10
        size += 1
    return size


@inlined
def _put_output(
    call: Call, index: IndexArrays, source: Bytes, scratch: Scratch, outputs: Outputs, holder: int, size: int,
    id_place: int, offset: int, trace: int, time: int, order: int,
) -> None:  # fmt: skip
    """Write the record of a notification from its key on; what stands before it follows from its place."""
    out, counter, arena = outputs.out, outputs.counter, index.arena
    number = counter[OUT_COUNT]
    user_size = get_number(arena, holder + USER_SIZE, 2)
    at = put_sized(out, counter[OUT_USED], arena, holder + FIXED, user_size)
    at = put_sized(out, at, scratch.body, 0, size)
    out[at] = 2 * (HEADERS + (1 if trace >= 0 else 0))
    at = put_bytes(out, at + 1, call.headers, 0, call.headers.size)
    at = put_bytes(out, at, _ID_HEADER, 0, _ID_HEADER.size)
    at = put_bytes(out, at, scratch.text, id_place, ID_SIZE)
    at = put_bytes(out, at, _SOURCE_HEADER, 0, _SOURCE_HEADER.size)
    at = put_long(out, at, call.source.size + decimal_size(offset))
    at = put_bytes(out, at, call.source, 0, call.source.size)
    at = put_decimal(out, at, offset)
    if trace >= 0:
        at = put_bytes(out, at, _TRACE_HEADER_SIZED, 0, _TRACE_HEADER_SIZED.size)
        at = put_bytes(out, at, source, trace, TRACEPARENT_SIZE)
    counter[OUT_USED] = at
    counter[OUT_COUNT] = number + 1
    outputs.out_at[number + 1] = at
    outputs.out_order[number] = order
    outputs.out_time[number] = time
    outputs.out_partition[number] = murmur2(arena, holder + FIXED, user_size) % call.number[DELIVERIES]


@inlined
def _gate(call: Call, tables: Tables, index: IndexArrays, policies: PolicyArrays, holder: int) -> int:
    """Return the reason for which a holder is closed, _NO_REASON if it is open. Source: `core/gate.py`."""
    arena, now = index.arena, call.number[NOW]
    if arena[holder + HAS_REVOKED]:
        return _REVOKED
    if now >= get_number(arena, holder + VALID_UNTIL, 6):
        return _EXPIRED
    if now < get_number(arena, holder + EFFECTIVE_AT, 6):
        return _NOT_EFFECTIVE
    purposes = policies.number[get_number(arena, holder + POLICY, 4), of_policy.PURPOSES]
    if purposes & tables.event_purposes[call.number[EVENT_TYPE]] == 0:
        return _PURPOSE
    return _NO_REASON


@inlined
def _kind_of(tables: Tables, event_type: int, scratch: Scratch) -> int:
    if event_type == _BANK:
        return whole(tables.kind_of_transaction[scratch.number[_STATUS]])
    return (
        _BALANCE_KIND
        if event_type == _BALANCE
        else _SECURITY_KIND
        if event_type == _SECURITY
        else _SHIPPING_KIND
    )


@inlined
def _rule_of(
    call: Call, tables: Tables, index: IndexArrays, policies: PolicyArrays, source: Bytes, scratch: Scratch,
    holder: int, kind: int, event_time: int,
) -> int:  # fmt: skip
    """Ask the rules without memory for the one holder. Source: `_ask_holders` in `core/decide.py`."""
    arena, event_type, now = index.arena, call.number[EVENT_TYPE], call.number[NOW]
    terms = policies.number[get_number(arena, holder + POLICY, 4)]
    valid_until = get_number(arena, holder + VALID_UNTIL, 6)
    has_terms = get_number(arena, holder + EFFECTIVE_AT, 6) <= min(event_time, now)
    threshold = tables.threshold[kind]
    is_minimum = threshold == MINIMUM_AMOUNT
    has_limit = terms[of_policy.HAS_MINIMUM if is_minimum else of_policy.HAS_LOW] == 1
    limit = terms[of_policy.MINIMUM if is_minimum else of_policy.LOW]
    currency = terms[of_policy.MINIMUM_CURRENCY if is_minimum else of_policy.LOW_CURRENCY]
    amount, event_currency = 0, of_policy.NO_SUCH_CURRENCY
    if event_type == _BANK or event_type == _BALANCE:
        amount = scratch.number[_AMOUNT if event_type == _BANK else _BOOKED]
        place = scratch.place[_CURRENCY if event_type == _BANK else _BALANCE_CURRENCY]
        event_currency = whole(source[place]) << 16 | whole(source[place + 1]) << 8 | whole(source[place + 2])
    place = holder_rule(
        arena[holder + HAS_REVOKED] == 1,
        valid_until,
        has_terms,
        valid_until if has_terms else 0,
        terms[of_policy.PURPOSES] if has_terms else 0,
        terms[of_policy.DIRECTION] if has_terms else 0,
        has_terms and has_limit and threshold != NO_THRESHOLD,
        has_terms and currency != of_policy.ANY_CURRENCY and currency != event_currency,
        limit if has_terms else 0,
        tables.needed[kind],
        threshold,
        call.number[MAX_AGE + kind],
        event_type == _BANK,
        event_type == _BANK and scratch.number[_STATUS] == _REMOVED,
        amount,
        event_time,
        now,
    )
    return whole(place)


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
    kind = _kind_of(tables, event_type, scratch)
    if is_future(event_time, now, call.number[FUTURE_TOLERANCE]):
        return False
    row = whole(index.row[slot])
    seen_key = _seen_key(source, event_type, scratch)
    if row >= 0:
        touch(memory, row)
        at = memory.row[row, SEEN_AT] + memory.row[row, DROPPED] * SEEN_SIZE
        count = memory.row[row, NEW_SEEN] - memory.row[row, DROPPED]
        if find_entry(memory.arena, at, count, SEEN_SIZE, seen_key, now) >= 0:
            if call.number[IS_REPLAY]:
                return False
            _judge(scratch, _DUPLICATE, _NO_REASON, of_table.SEEN_RULE, kind, -1, -1)
            return True
    has_gone_stale = is_stale(event_time, now, call.number[MAX_AGE + kind])
    if not has_gone_stale:
        if row < 0:
            row = new_row(memory, slot)
            index.row[slot] = row
            touch(memory, row)
        if not _room_for_seen(call, memory, row):
            return False
    place = _rule_of(call, tables, index, policies, source, scratch, holder, kind, event_time)
    arena = index.arena
    user, user_size = holder + FIXED, get_number(arena, holder + USER_SIZE, 2)
    answer = 0
    if place == NOTIFY:
        answer = _answer(call, memory, row, source, scratch, arena, user, user_size, offset)
        if answer == LEAVES:
            return False
        if answer > GO_ON_ETA:
            place = TOLD if answer == IS_TOLD else UNCHANGED
    if not has_gone_stale:
        append_seen(
            memory, row, seen_key, event_time + call.number[REMEMBER_MS], offset,
            get_number(arena, holder + ASKED, 4), answer,
        )  # fmt: skip
    fate, reason = whole(tables.rule_fate[place]), whole(tables.rule_reason[place])
    id_place = -1
    if place == NOTIFY:
        id_place = _identify(
            call, tables, source, scratch, arena, user, user_size, key_place, key_size, kind, answer
        )
        size = _put_notification(
            call, tables, index, policies, source, scratch, frame, holder, key_place, key_size, kind,
            event_time, id_place,
        )  # fmt: skip
        _put_output(call, index, source, scratch, outputs, holder, size, id_place, offset, trace, time, order)
    _judge(scratch, fate, reason, place, kind, holder, id_place)
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
    reason = _gate(call, tables, index, policies, holder)
    if reason != _NO_REASON:
        _judge(scratch, _SUPPRESS, reason, of_table.GATE, _NO_KIND, holder, NOT_OPENED)
        return True
    value, value_size = whole(columns.value_places[record]), whole(columns.value_sizes[record])
    trace = -1
    if columns.header_counts[record] > 0:
        has_schema, trace, trace_size = _read_headers(
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
    row = whole(index.row[slot])
    if row < 0:
        row = new_row(memory, slot)
        index.row[slot] = row
    touch(memory, row)
    memory.row[row, IS_TAINTED] = 1


@inlined
def _is_tainted(index: IndexArrays, memory: MemoryArrays, slot: int) -> bool:
    row = whole(index.row[slot])
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
    return bool(counters[MEMORY_USED] + arena_room(memory, whole(index.row[slot])) <= memory.arena.size)


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
            _survive(record, outputs)
            continue
        slot = find(index, source, key, key_size)
        if slot < 0 or index.kind[slot] == ABSENT:
            if murmur2(source, key, key_size) % partitions == partition:
                _add_to_run(columns.offsets[record], outputs)
            else:
                close_run(call, outputs)
                _survive(record, outputs)
            continue
        if not _has_memory_room(index, memory, slot):
            return record, NO_MEMORY
        close_run(call, outputs)
        if _is_tainted(index, memory, slot):
            _survive(record, outputs)
        elif not _decide_consented(
            call, tables, limits, plans, index, policies, memory, source, columns, scratch, outputs, frame,
            record, slot, number[ORDER] + record,
        ):  # fmt: skip
            _taint(index, memory, slot)
            _survive(record, outputs)
        else:
            offset = columns.offsets[record]
            _put_row(call, tables, index, source, scratch, outputs, number[ORDER] + record, offset)
    return records, DONE
