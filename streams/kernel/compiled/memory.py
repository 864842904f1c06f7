"""What is remembered of subjects, packed: events seen and steps told, as `core/subject_state.py` packs them.

One row per subject. A transaction stages its changes: seen entries are appended behind the committed ones,
told entries are changed in a copy; `commit` makes the staged places the committed ones, and a new transaction
(another stamp) forgets what was staged. Room is taken from the end of the arena, and what was left behind is
counted; the owner of the arrays compacts between transactions. Imports `bytes_out`. Read next: `join.py`.
Source: docs/rules.md sections 5 and 6.
"""

from typing import NamedTuple

import numpy as np

from streams.core.subject_state import CHUNK_ENTRIES, SEEN, TOLD
from streams.kernel.compiled.bytes_out import get_number, put_bytes, put_number
from streams.kernel.compiled.hashes import little_64
from streams.kernel.compiled.jit import compiled, inlined, inner
from streams.kernel.compiled.types import Bytes, Ints, Longs, whole

SEEN_SIZE, TOLD_SIZE, CHUNK = SEEN.size, TOLD.size, CHUNK_ENTRIES

SLOT, SEEN_AT, SEEN_ROOM, SEEN_FIRST, SEEN_COUNT, TOLD_AT, TOLD_ROOM, TOLD_FIRST, TOLD_COUNT = range(9)
STAMP, DROPPED, NEW_SEEN, NEW_TOLD_AT, NEW_TOLD_ROOM, NEW_TOLD, IS_TAINTED, FILTER = range(9, 17)
FILTER_WORDS = 4
COLUMNS = FILTER + FILTER_WORDS
"""Columns of `row`: committed places (in the arena), capacities (in entries), number of the first entry, and
counts; then what the transaction of STAMP stages: entries dropped at the front of seen, entries of seen after
it (before DROPPED are taken off), the copy of told (-1: none) with its capacity and count, and whether the
subject has left for the Python path. FILTER_WORDS of 64 bits have a bit for the hash of every seen entry, and
maybe of some that left: most events are new, and nothing need be read to know it."""

ROWS, ARENA_USED, GARBAGE, TOUCHED, NOW_STAMP = range(5)
"""Places in `counters`: rows used, arena bytes used and left behind, rows touched by the present transaction,
and its stamp."""

FIRST_ROOM = 4


class MemoryArrays(NamedTuple):
    """The memory as compiled functions take it; `touched` lists the rows that the transaction staged."""

    arena: Bytes
    row: Longs
    touched: Ints
    counters: Longs


@inlined
def get_u64(source: Bytes, at: int) -> int:
    """Read a little-endian signed number of 64 bits."""
    return whole(little_64(source, at))


@inlined
def find_entry(source: Bytes, at: int, count: int, size: int, key: int, now: int) -> int:
    """Return where the entry of an 8-byte hash that has not run out stands, -1 if there is none."""
    for _ in range(count):
        if get_u64(source, at) == key and get_u64(source, at + 8) > now:
            return at
        at += size
    return -1


@inlined
def get_told(source: Bytes, at: int) -> tuple[int, int, int, int]:
    """Return code, value, day of the ETA and day decided of the told entry at `at`."""
    eta_day, day = get_number(source, at + 25, 4), get_number(source, at + 29, 4)
    return whole(source[at + 16]), get_u64(source, at + 17), whole(np.int32(eta_day)), whole(np.int32(day))


@inlined
def may_have_seen(memory: MemoryArrays, row: int, key: int) -> bool:
    """Tell whether a hash may be among the seen entries of a row, staged ones included."""
    word = FILTER + (key >> 6 & FILTER_WORDS - 1)
    return bool(memory.row[row, word] >> (key & 63) & 1)


@inlined
def _note_seen(memory: MemoryArrays, row: int, key: int) -> None:
    memory.row[row, FILTER + (key >> 6 & FILTER_WORDS - 1)] |= whole(1) << (key & 63)


@inner
def _fill_filter(memory: MemoryArrays, row: int) -> None:
    """Make the filter anew from the committed seen entries."""
    for word in range(FILTER_WORDS):
        memory.row[row, FILTER + word] = 0
    at = memory.row[row, SEEN_AT]
    for entry in range(memory.row[row, SEEN_COUNT]):
        _note_seen(memory, row, get_u64(memory.arena, at + entry * SEEN_SIZE))


@inner
def has_run_out(source: Bytes, at: int, count: int, size: int, now: int) -> bool:
    """Tell whether every one of `count` entries has run out."""
    for index in range(count):
        if get_u64(source, at + index * size + 8) > now:
            return False
    return True


@compiled
def new_row(memory: MemoryArrays, slot: int) -> int:
    """Return a new, empty row; there must be room."""
    row = whole(memory.counters[ROWS])
    memory.counters[ROWS] = row + 1
    for column in range(COLUMNS):
        memory.row[row, column] = 0
    memory.row[row, SLOT] = slot
    memory.row[row, STAMP] = -1
    return row


@inlined
def touch(memory: MemoryArrays, row: int) -> None:
    """Begin to stage a row in the present transaction, if it is not staged yet."""
    stamp = memory.counters[NOW_STAMP]
    if memory.row[row, STAMP] == stamp:
        return
    memory.row[row, STAMP] = stamp
    memory.row[row, DROPPED] = 0
    memory.row[row, NEW_SEEN] = memory.row[row, SEEN_COUNT]
    memory.row[row, NEW_TOLD_AT] = -1
    memory.row[row, IS_TAINTED] = 0
    memory.touched[memory.counters[TOUCHED]] = row
    memory.counters[TOUCHED] += 1


@inlined
def arena_room(memory: MemoryArrays, row: int) -> int:
    """Return how many bytes of the arena one event of a row (-1: of a new one) takes at most."""
    if row < 0:
        return 4 * FIRST_ROOM * (SEEN_SIZE + TOLD_SIZE)
    seen, told = memory.row[row, SEEN_COUNT], memory.row[row, TOLD_COUNT]
    if memory.row[row, STAMP] == memory.counters[NOW_STAMP]:
        seen, told = memory.row[row, NEW_SEEN], max(told, memory.row[row, NEW_TOLD])
    return whole(2 * SEEN_SIZE * max(seen, FIRST_ROOM) + 4 * TOLD_SIZE * max(told + 2, FIRST_ROOM))


@inlined
def append_seen(
    memory: MemoryArrays, row: int, key: int, expires_at: int, offset: int, asked: int, answers: int
) -> None:
    """Stage one more seen entry; there must be room in the arena."""
    arena, count = memory.arena, memory.row[row, NEW_SEEN]
    if count == memory.row[row, SEEN_ROOM]:
        room = max(FIRST_ROOM, 2 * count)
        at = memory.counters[ARENA_USED]
        put_bytes(arena, at, arena, memory.row[row, SEEN_AT], count * SEEN_SIZE)
        memory.counters[GARBAGE] += count * SEEN_SIZE
        memory.counters[ARENA_USED] = at + room * SEEN_SIZE
        memory.row[row, SEEN_AT], memory.row[row, SEEN_ROOM] = at, room
    _note_seen(memory, row, key)
    at = memory.row[row, SEEN_AT] + count * SEEN_SIZE
    at = put_number(arena, at, key, 8)
    at = put_number(arena, at, expires_at, 8)
    at = put_number(arena, at, offset, 8)
    at = put_number(arena, at, asked, 4)
    put_number(arena, at, answers, 4)
    memory.row[row, NEW_SEEN] = count + 1


@inlined
def stage_told(memory: MemoryArrays, row: int) -> None:
    """Copy the told entries, with room for two more, if they are not copied yet."""
    if memory.row[row, NEW_TOLD_AT] >= 0:
        return
    count = memory.row[row, TOLD_COUNT]
    _move_told(memory, row, memory.row[row, TOLD_AT], count, max(FIRST_ROOM, count + 2))


@inner
def _move_told(memory: MemoryArrays, row: int, source: int, count: int, room: int) -> None:
    at = memory.counters[ARENA_USED]
    put_bytes(memory.arena, at, memory.arena, source, count * TOLD_SIZE)
    memory.counters[ARENA_USED] = at + room * TOLD_SIZE
    memory.row[row, NEW_TOLD_AT], memory.row[row, NEW_TOLD_ROOM] = at, room
    memory.row[row, NEW_TOLD] = count


@inner
def put_told(
    memory: MemoryArrays, row: int, now: int, key: int, expires_at: int, code: int, value: int,
    eta_day: int, day: int, offset: int,
) -> None:  # fmt: skip
    """Stage a told entry in the place of its hash, or append it; `stage_told` comes first."""
    at = find_entry(
        memory.arena, memory.row[row, NEW_TOLD_AT], memory.row[row, NEW_TOLD], TOLD_SIZE, key, now
    )
    if at < 0:
        count = memory.row[row, NEW_TOLD]
        if count == memory.row[row, NEW_TOLD_ROOM]:
            memory.counters[GARBAGE] += count * TOLD_SIZE
            _move_told(memory, row, memory.row[row, NEW_TOLD_AT], count, 2 * count)
        at = memory.row[row, NEW_TOLD_AT] + count * TOLD_SIZE
        memory.row[row, NEW_TOLD] = count + 1
    at = put_number(memory.arena, at, key, 8)
    at = put_number(memory.arena, at, expires_at, 8)
    memory.arena[at] = code
    at = put_number(memory.arena, at + 1, value, 8)
    at = put_number(memory.arena, at, eta_day, 4)
    at = put_number(memory.arena, at, day, 4)
    put_number(memory.arena, at, offset, 8)


@compiled
def commit(memory: MemoryArrays) -> None:
    """Make what the present transaction staged the committed memory, but for tainted rows."""
    for number in range(memory.counters[TOUCHED]):
        row = memory.touched[number]
        if memory.row[row, IS_TAINTED]:
            continue
        dropped = memory.row[row, DROPPED]
        memory.row[row, SEEN_AT] += dropped * SEEN_SIZE
        memory.row[row, SEEN_ROOM] -= dropped
        memory.row[row, SEEN_FIRST] += dropped
        memory.row[row, SEEN_COUNT] = memory.row[row, NEW_SEEN] - dropped
        memory.counters[GARBAGE] += dropped * SEEN_SIZE
        if dropped:
            _fill_filter(memory, row)
        if memory.row[row, NEW_TOLD_AT] >= 0:
            memory.counters[GARBAGE] += memory.row[row, TOLD_ROOM] * TOLD_SIZE
            memory.row[row, TOLD_AT] = memory.row[row, NEW_TOLD_AT]
            memory.row[row, TOLD_ROOM] = memory.row[row, NEW_TOLD_ROOM]
            memory.row[row, TOLD_COUNT] = memory.row[row, NEW_TOLD]
    begin(memory)


@compiled
def begin(memory: MemoryArrays) -> None:
    """Begin a transaction: forget what was staged and not committed."""
    memory.counters[NOW_STAMP] += 1
    memory.counters[TOUCHED] = 0


@compiled
def replace(
    memory: MemoryArrays, row: int, seen_first: int, seen: Bytes, told_first: int, told: Bytes
) -> None:
    """Set a row's committed memory; there must be room in the arena."""
    at = memory.counters[ARENA_USED]
    memory.counters[GARBAGE] += (
        memory.row[row, SEEN_ROOM] * SEEN_SIZE + memory.row[row, TOLD_ROOM] * TOLD_SIZE
    )
    memory.row[row, SEEN_FIRST], memory.row[row, TOLD_FIRST] = seen_first, told_first
    memory.row[row, SEEN_COUNT] = memory.row[row, SEEN_ROOM] = seen.size // SEEN_SIZE
    memory.row[row, TOLD_COUNT] = memory.row[row, TOLD_ROOM] = told.size // TOLD_SIZE
    memory.row[row, SEEN_AT] = at
    at = put_bytes(memory.arena, at, seen, 0, seen.size)
    memory.row[row, TOLD_AT] = at
    memory.counters[ARENA_USED] = put_bytes(memory.arena, at, told, 0, told.size)
    memory.row[row, STAMP] = -1
    _fill_filter(memory, row)


@compiled
def compact(memory: MemoryArrays, arena: Bytes) -> None:
    """Copy all committed entries into another arena, without what was left behind."""
    used = 0
    for row in range(memory.counters[ROWS]):
        seen, told = memory.row[row, SEEN_COUNT], memory.row[row, TOLD_COUNT]
        put_bytes(arena, used, memory.arena, memory.row[row, SEEN_AT], seen * SEEN_SIZE)
        memory.row[row, SEEN_AT], memory.row[row, SEEN_ROOM] = used, seen
        used += seen * SEEN_SIZE
        put_bytes(arena, used, memory.arena, memory.row[row, TOLD_AT], told * TOLD_SIZE)
        memory.row[row, TOLD_AT], memory.row[row, TOLD_ROOM] = used, told
        used += told * TOLD_SIZE
    memory.counters[ARENA_USED] = used
    memory.counters[GARBAGE] = 0
