"""Writes decisions and runs of records without consent, as a decision batch has them, and counts them.

Imports `layout`, `bytes_out` and `pseudonyms`. Read next: `join.py`. Source: decision_batch.avsc.
"""

from streams.core.codes import Fate
from streams.kernel.compiled import tables as of_table
from streams.kernel.compiled.bytes_out import get_number, put_bytes, put_long, put_sized
from streams.kernel.compiled.index import VERSION, IndexArrays
from streams.kernel.compiled.jit import compiled, inlined
from streams.kernel.compiled.layout import (
    FATE,
    HOLDER,
    ID_PLACE,
    ID_SIZE,
    KIND,
    NO_KIND,
    NO_REASON,
    NOT_OPENED,
    REASON,
    ROW_COUNT,
    ROWS_USED,
    RULE,
    RUN_COUNT,
    RUN_FIRST,
    RUN_LAST,
    RUN_OPEN,
    RUN_RECORDS,
    RUN_TOTAL,
    RUNS_USED,
    SURVIVORS,
    Call,
    Outputs,
    Scratch,
)
from streams.kernel.compiled.pseudonyms import PSEUDONYM_CHARS, pseudonyms_at
from streams.kernel.compiled.tables import Names, Tables
from streams.kernel.compiled.types import Bytes

_NOTIFY = int(Fate.NOTIFY)


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
def add_to_run(offset: int, outputs: Outputs) -> None:
    """Count a record without consent into the open run, or open one."""
    counter = outputs.counter
    if not counter[RUN_OPEN]:
        counter[RUN_OPEN] = 1
        counter[RUN_FIRST] = offset
        counter[RUN_RECORDS] = 0
    counter[RUN_LAST] = offset
    counter[RUN_RECORDS] += 1
    counter[RUN_TOTAL] += 1


@inlined
def survive(record: int, outputs: Outputs) -> None:
    """Leave a record to the Python path."""
    outputs.survivors[outputs.counter[SURVIVORS]] = record
    outputs.counter[SURVIVORS] += 1


@inlined
def put_row(
    call: Call, tables: Tables, index: IndexArrays, source: Bytes, scratch: Scratch, outputs: Outputs,
    slot: int, order: int, offset: int,
) -> None:  # fmt: skip
    """Write the decision that stands in `scratch.verdict`, on a record of the simple slot whose holder stands
    in `scratch.person`, and count it.
    """
    out, counter, verdict = outputs.rows, outputs.counter, scratch.verdict
    holder, kind, reason, id_place = verdict[HOLDER], verdict[KIND], verdict[REASON], verdict[ID_PLACE]
    names = pseudonyms_at(index, slot, scratch.person, scratch.person_size[0], scratch.sha256)
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
        out[at] = 2
        at = put_sized(out, at + 1, index.names, names + PSEUDONYM_CHARS, PSEUDONYM_CHARS)
    out[at] = 2 * verdict[FATE]
    at = _put_code(out, at + 1, reason, NO_REASON)
    at = put_name(out, at, tables.rule, verdict[RULE])
    at = _put_code(out, at, kind, NO_KIND)
    if holder < 0:
        out[at], out[at + 1] = 0, 0
        at += 2
    else:
        out[at] = 2
        user_size, consent_size = scratch.person_size[0], scratch.person_size[1]
        at = put_sized(out, at + 1, scratch.person, user_size, consent_size)
        out[at] = 2
        at = put_long(out, at + 1, get_number(index.arena, holder + VERSION, 2))
    if id_place < 0:
        out[at] = 0
        at += 1
    else:
        out[at] = 2
        at = put_sized(out, at + 1, scratch.text, id_place, ID_SIZE)
    out[at] = 2
    at = put_sized(out, at + 1, index.names, names, PSEUDONYM_CHARS)
    counter[ROWS_USED] = at
    counter[ROW_COUNT] = number + 1
    outputs.row_at[number + 1] = at
    fate = verdict[FATE]
    outputs.holder_fates[fate, reason, kind] += 1
    outputs.fates[fate, reason, kind if fate == _NOTIFY else NO_KIND] += 1


@inlined
def _put_code(out: Bytes, at: int, code: int, none: int) -> int:
    """Write a union of null and an enum; `none` stands for null."""
    if code == none:
        out[at] = 0
        return at + 1
    out[at], out[at + 1] = 2, 2 * code
    return at + 2


@inlined
def judge(scratch: Scratch, fate: int, reason: int, rule: int, kind: int, holder: int, id_place: int) -> None:
    """Set the decision of a record."""
    verdict = scratch.verdict
    verdict[FATE], verdict[REASON], verdict[RULE] = fate, reason, rule
    verdict[KIND], verdict[HOLDER], verdict[ID_PLACE] = kind, holder, id_place
