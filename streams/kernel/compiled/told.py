"""Asks what is new for a holder of an event with a lifecycle, and stages the step that is told.

The compiled side of `core/lifecycle.py` and of `answer_of` in `core/decide.py`; the steps themselves are the
core's. Imports `layout` and `memory`. Read next: `join.py`. Source: docs/rules.md section 6.
"""

from streams.core import steps
from streams.core.codes import TransactionStatus
from streams.core.policy import TOLD_FOR_MS
from streams.core.steps import GO_ON, GO_ON_ETA, IS_TOLD, NO_DAY
from streams.core.subject_state import AS_NEW_ETA
from streams.kernel.compiled import tables as of_table
from streams.kernel.compiled.bytes_out import put_bytes, put_decimal, put_number
from streams.kernel.compiled.hashes import blake2b_8
from streams.kernel.compiled.jit import compiled_rules, inlined
from streams.kernel.compiled.layout import (
    AMOUNT,
    BALANCE,
    BANK,
    CORRECTION_OF,
    DAY_MS,
    ETA_AT,
    EVENT_TYPE,
    IS_REPLAY,
    LIFECYCLE,
    NOW,
    SECURITY,
    SHIPMENT,
    SHIPMENT_ID,
    STATUS,
    TOLD_LIMIT,
    Call,
    Scratch,
)
from streams.kernel.compiled.memory import (
    CHUNK,
    NEW_TOLD,
    NEW_TOLD_AT,
    TOLD_AT,
    TOLD_COUNT,
    TOLD_SIZE,
    MemoryArrays,
    find_entry,
    get_told,
    get_u64,
    put_told,
    stage_told,
)
from streams.kernel.compiled.types import Bytes, whole

_TWINS = compiled_rules(
    [
        steps.differs_much, steps.transaction_step, steps.declined_step, steps.balance_step,
        steps.is_new_eta, steps.shipment_step,
    ]
)  # fmt: skip
transaction_step, declined_step = _TWINS["transaction_step"], _TWINS["declined_step"]
balance_step, shipment_step = _TWINS["balance_step"], _TWINS["shipment_step"]

LEAVES = -1
"""Answer for what leaves for the Python path."""

_DECLINED = int(TransactionStatus.DECLINED)


@inlined
def _told_key(source: Bytes, event_type: int, scratch: Scratch) -> int:
    """Return the hash of an event's lifecycle for a holder. Source: `core/lifecycle.py`."""
    text = scratch.text
    if event_type == BALANCE:
        text[0] = 66
        at = 1
    else:
        field = LIFECYCLE if event_type == BANK else SHIPMENT_ID
        is_declined = event_type == BANK and scratch.number[STATUS] == _DECLINED
        text[0] = 83 if event_type == SHIPMENT else 68 if is_declined else 84
        text[1], text[2] = scratch.size[field] >> 8, scratch.size[field] & 0xFF
        at = put_bytes(text, 3, source, scratch.place[field], scratch.size[field])
    at = put_bytes(text, at, scratch.person, 0, scratch.person_size[0])
    return whole(blake2b_8(text, 0, at, scratch.blake2b))


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
    if event_type == BALANCE:
        return 0, scratch.number[of_table.TIME_FIELD[BALANCE]], NO_DAY
    status = scratch.number[STATUS]
    if event_type == BANK:
        return status, scratch.number[AMOUNT], NO_DAY
    code = status | AS_NEW_ETA if answer == GO_ON_ETA else status
    eta_day = NO_DAY if scratch.is_null[ETA_AT] else scratch.number[ETA_AT] // DAY_MS
    return code, scratch.number[of_table.TIME_FIELD[SHIPMENT]], eta_day


@inlined
def _step(event_type: int, scratch: Scratch, arena: Bytes, told: int, now: int) -> int:
    """Ask what is new against the step told, whose entry stands at `told` (-1: nothing told)."""
    has_told = told >= 0
    code, value, told_eta, told_day = 0, 0, NO_DAY, NO_DAY
    if has_told:
        code, value, told_eta, told_day = get_told(arena, told)
    if event_type == BALANCE:
        return whole(balance_step(has_told, value, scratch.number[of_table.TIME_FIELD[BALANCE]]))
    status = scratch.number[STATUS]
    if event_type == BANK:
        if status == _DECLINED:
            return whole(declined_step(has_told, value, scratch.number[AMOUNT]))
        return whole(transaction_step(has_told, code, value, status, scratch.number[AMOUNT]))
    eta_day = NO_DAY if scratch.is_null[ETA_AT] else scratch.number[ETA_AT] // DAY_MS
    answer = shipment_step(
        has_told, code & ~AS_NEW_ETA, value, told_eta, told_day, status,
        scratch.number[of_table.TIME_FIELD[SHIPMENT]], eta_day, not scratch.is_null[CORRECTION_OF],
        now // DAY_MS,
    )  # fmt: skip
    return whole(answer)


@inlined
def answer_of(
    call: Call, memory: MemoryArrays, row: int, source: Bytes, scratch: Scratch, offset: int
) -> int:
    """Answer what is new for the holder, and stage the step if it is told; LEAVES for the Python path.

    Source: `answer_of` in `core/decide.py`.
    """
    event_type, now = call.number[EVENT_TYPE], call.number[NOW]
    if event_type == SECURITY or (event_type == BANK and scratch.is_null[LIFECYCLE]):
        return GO_ON
    key = _told_key(source, event_type, scratch)
    is_staged = memory.row[row, NEW_TOLD_AT] >= 0
    entries = memory.row[row, NEW_TOLD_AT] if is_staged else memory.row[row, TOLD_AT]
    count = memory.row[row, NEW_TOLD] if is_staged else memory.row[row, TOLD_COUNT]
    told = find_entry(memory.arena, entries, count, TOLD_SIZE, key, now)
    if told >= 0 and call.number[IS_REPLAY] and get_u64(memory.arena, told + 33) >= offset:
        return LEAVES
    found = _step(event_type, scratch, memory.arena, told, now)
    if found > GO_ON_ETA:
        return found
    may_append = told < 0 or event_type != BALANCE
    if may_append and count > 0 and (count % CHUNK == 0 or count + 1 >= call.number[TOLD_LIMIT]):
        return LEAVES
    code, value, eta_day = _told_parts(event_type, scratch, found)
    if told >= 0 and event_type != BALANCE:
        new = eta_day if code & AS_NEW_ETA else value
        revision = _revision_key(scratch, key, code, new)
        earlier = find_entry(memory.arena, entries, count, TOLD_SIZE, revision, now)
        if earlier >= 0:
            if call.number[IS_REPLAY] and get_u64(memory.arena, earlier + 33) == offset:
                return LEAVES
            return IS_TOLD
        told_code, told_value, told_eta, told_day = get_told(memory.arena, told)
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
    put_told(memory, row, now, key, event_time + TOLD_FOR_MS, code, value, eta_day, now // DAY_MS, offset)
    return found
