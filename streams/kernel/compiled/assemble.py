"""Puts what a decision wrote in order: rows of decisions, record batches of notifications and of states.

A record here is what `notice.py` and `put_states` wrote from its key on; what stands before it (length,
attributes, deltas) follows from its place in a record batch. Imports `bytes_out` and `memory`. Read next:
`decider.py`. Source: Kafka record format v2.
"""

from streams.kernel.compiled.bytes_out import (
    decimal_size,
    get_number,
    is_same,
    long_size,
    put_bytes,
    put_decimal,
    put_long,
)
from streams.kernel.compiled.index import IndexArrays
from streams.kernel.compiled.jit import compiled, inner
from streams.kernel.compiled.memory import (
    CHUNK,
    DROPPED,
    IS_TAINTED,
    NEW_SEEN,
    NEW_TOLD,
    NEW_TOLD_AT,
    SEEN_AT,
    SEEN_COUNT,
    SEEN_FIRST,
    SEEN_SIZE,
    SLOT,
    TOLD_AT,
    TOLD_COUNT,
    TOLD_FIRST,
    TOLD_SIZE,
    TOUCHED,
    MemoryArrays,
)
from streams.kernel.compiled.types import Bytes, Ints, Longs, whole

RECORD_HEAD = 16
"""Most bytes of a record before its key."""


@inner
def put_record(out: Bytes, at: int, delta: int, source: Bytes, place: int, size: int) -> int:
    """Write a whole record: what stands before its key, then `size` bytes from its key on."""
    at = put_long(out, at, 2 + long_size(delta) + size)
    out[at], out[at + 1] = 0, 0
    return put_bytes(out, put_long(out, at + 2, delta), source, place, size)


@compiled
def merge_pieces(
    out: Bytes, one: Bytes, one_at: Longs, one_order: Longs, ones: int, other: Bytes, other_at: Longs,
    other_order: Longs, others: int,
) -> int:  # fmt: skip
    """Write the pieces of two sources, each in rising order, as one in rising order; return their size."""
    at, first, second = 0, 0, 0
    while first < ones or second < others:
        if second >= others or (first < ones and one_order[first] < other_order[second]):
            at = put_bytes(out, at, one, one_at[first], one_at[first + 1] - one_at[first])
            first += 1
        else:
            at = put_bytes(out, at, other, other_at[second], other_at[second + 1] - other_at[second])
            second += 1
    return at


@inner
def _end_batch(ends: Longs, batches: int, partition: int, start: int, end: int, count: int) -> int:
    """Note where a batch stands; return how many there are now."""
    ends[batches, 0], ends[batches, 1], ends[batches, 2], ends[batches, 3] = partition, start, end, count
    return batches + 1


@compiled
def batch_records(
    out: Bytes, ends: Longs, partitions: int, batch_bytes: int, source: Bytes, at: Longs,
    place: Ints, partition: Ints,
) -> int:  # fmt: skip
    """Write records by partition, each group in rising order, cut into batches of about `batch_bytes`.

    `place[i]` is the i-th record in rising order; `ends` gets partition, start, end and count of every batch.
    Returns the number of batches.
    """
    written, batches = 0, 0
    for number in range(partitions):
        start, count = written, 0
        for index in range(place.size):
            record = place[index]
            if partition[record] != number:
                continue
            size = at[record + 1] - at[record]
            if count and written + size + RECORD_HEAD - start > batch_bytes:
                batches = _end_batch(ends, batches, number, start, written, count)
                start, count = written, 0
            written = put_record(out, written, count, source, at[record], size)
            count += 1
        if count:
            batches = _end_batch(ends, batches, number, start, written, count)
    return batches


@inner
def _put_chunk(
    out: Bytes, at: int, index: IndexArrays, slot: int, frame: Bytes, letter: int, number: int, arena: Bytes,
    place: int, size: int,
) -> int:  # fmt: skip
    """Write the record of one chunk from its key on; a size of 0 is a tombstone.

    Source: `result_writes.py`, `state_codec.py`.
    """
    record = index.record_at[slot]
    key_size = get_number(index.arena, record, 2)
    chunk = number // CHUNK
    at = put_long(out, at, key_size + 2 + decimal_size(chunk))
    at = put_bytes(out, at, index.arena, record + 2, key_size)
    out[at], out[at + 1] = 31, letter
    at = put_decimal(out, at + 2, chunk)
    if size == 0:
        at = put_long(out, at, -1)
    else:
        at = put_long(out, at, frame.size + long_size(number) + long_size(size) + size)
        at = put_bytes(out, at, frame, 0, frame.size)
        at = put_long(out, at, number)
        at = put_bytes(out, put_long(out, at, size), arena, place, size)
    out[at] = 0
    return at + 1


@compiled
def put_states(
    memory: MemoryArrays, index: IndexArrays, frame: Bytes, start: int, out: Bytes, at: Longs, counts: Longs
) -> tuple[int, int, int]:
    """Write the changed chunks of the rows that the present transaction touched, from the `start`-th on.

    Record `i` stands from `at[i]` to `at[i + 1]`; counts[0] is their number. Returns the number of the first
    row that found no room, and how long `out` and `at` must become for it. Source:
    `chunks` in `core/subject_state.py`.
    """
    arena = memory.arena
    for number in range(start, memory.counters[TOUCHED]):
        row = memory.touched[number]
        if memory.row[row, IS_TAINTED]:
            continue
        slot = memory.row[row, SLOT]
        key_size = get_number(index.arena, index.record_at[slot], 2)
        seen, told = memory.row[row, NEW_SEEN], memory.row[row, TOLD_COUNT]
        chunks = (seen - memory.row[row, SEEN_COUNT]) // CHUNK + memory.row[row, DROPPED] // CHUNK + 2
        if memory.row[row, NEW_TOLD_AT] >= 0:
            chunks += memory.row[row, NEW_TOLD] // CHUNK + 2
        count = counts[0]
        out_wanted, at_wanted = at[count] + chunks * (key_size + 64 + CHUNK * TOLD_SIZE), count + chunks + 1
        if out_wanted > out.size or at_wanted > at.size:
            return number, out_wanted, at_wanted
        place = at[count]
        if memory.row[row, NEW_TOLD_AT] >= 0:
            new = memory.row[row, NEW_TOLD]
            for chunk in range(0, max(told, new), CHUNK):
                old_size = TOLD_SIZE * min(max(told - chunk, 0), CHUNK)
                new_size = TOLD_SIZE * min(max(new - chunk, 0), CHUNK)
                old_place = memory.row[row, TOLD_AT] + chunk * TOLD_SIZE
                new_place = memory.row[row, NEW_TOLD_AT] + chunk * TOLD_SIZE
                if old_size != new_size or not is_same(arena, old_place, arena, new_place, old_size):
                    entry = memory.row[row, TOLD_FIRST] + chunk
                    place = _put_chunk(
                        out, place, index, slot, frame, whole(116), entry, arena, new_place, new_size
                    )
                    count += 1
                    at[count] = place
        first, dropped = memory.row[row, SEEN_FIRST], memory.row[row, DROPPED]
        for chunk in range(0, dropped, CHUNK):
            place = _put_chunk(
                out, place, index, slot, frame, whole(115), first + chunk, arena, whole(0), whole(0)
            )
            count += 1
            at[count] = place
        if seen > memory.row[row, SEEN_COUNT]:
            for chunk in range(max(memory.row[row, SEEN_COUNT] // CHUNK * CHUNK, dropped), seen, CHUNK):
                size = SEEN_SIZE * min(seen - chunk, CHUNK)
                start_at = memory.row[row, SEEN_AT] + chunk * SEEN_SIZE
                place = _put_chunk(
                    out, place, index, slot, frame, whole(115), first + chunk, arena, start_at, size
                )
                count += 1
                at[count] = place
        counts[0] = count
    return whole(memory.counters[TOUCHED]), 0, 0
