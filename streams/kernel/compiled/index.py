"""The packed consent index: who consented to what, as bytes in one arena, found by the subject's raw key.

A subject with one holder and one version, which nearly all are, is stored field by field, with what many
share (purposes, detail, thresholds, notice, locale) interned as a policy; every other one keeps the bytes of
its `consent.state` and takes the Python path. The hash is seeded, so that chosen keys cannot collide.

Layout of a record: key size (2), key, then of a simple one the fixed part below, user, consent id, channel,
the salt (16) if it has one and the time of the revocation (6) if there was one; of any other one the value's
size (4) and the value. What the three texts begin with, up to a colon ("user:"), is stored once for all
records of the same form. Imports
`bytes_out`. Read next: `states.py`, `memory.py`. Source: DESIGN section 6; consent_state.avsc.
"""

from typing import Any, NamedTuple

import numpy as np

from streams.core.pseudonyms import SALT_BYTES
from streams.kernel.compiled.bytes_out import (
    get_number,
    is_same,
    put_bytes,
    put_number,
)
from streams.kernel.compiled.hashes import little_64
from streams.kernel.compiled.jit import compiled, inlined
from streams.kernel.compiled.types import Bytes, Ints, Longs, whole

ABSENT, SIMPLE, WHOLE = 0, 1, 2
"""Kinds of slot: no consent, one holder with one version, any other consent state."""

SLOTS, ARENA_USED, GARBAGE, FORMS = 0, 1, 2, 3
"""Places in `counters`."""

USER_SIZE, CONSENT_SIZE, CHANNEL_SIZE, POLICY, ASKED = 0, 1, 2, 3, 5
EFFECTIVE_AT, VALID_UNTIL, REQUEST_OFFSET, VERSION, FLAGS, FORM = 9, 15, 21, 26, 28, 29
FIXED = 30
"""Places of the fixed part, after the key; the sizes, of the texts without what they begin with, take one
byte each, the policy two."""
REVOKED_SIZE = 6
REVOKED, SALTED = 1, 2
"""Bits of the flags."""
NAMES_KEPT = 1 << 14
"""Of how many subjects the pseudonyms are kept."""
PERSON_TEXTS, PREFIX_BYTES, FORM_LIMIT = 3, 16, 256
"""User, consent id and channel; the longest beginning that is shared; most forms. Form 0 shares nothing."""

_MULTIPLIER, _FINAL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC4CEB9FE1A85EC53)


class IndexArrays(NamedTuple):
    """The index as compiled functions take it.

    Attributes:
        arena: records, one after another.
        table: open addressing; -1, or 31 bits of the hash and the slot.
        record_at: where a slot's record stands in the arena.
        kind: by slot.
        row: by slot, the row of its memory and 1, so 0 without any: untouched pages cost nothing.
        counters: see the places above.
        seed: of the hash, one number.
        frame: the five bytes that begin a consent state that can be stored field by field.
        words: working memory of a hash.
        names, names_of: see `pseudonyms.py`; by entry, the slot and 1.
        forms, form_sizes: what the three texts of a form begin with, PREFIX_BYTES each, and the sizes.
    """

    arena: Bytes
    table: Longs
    record_at: Longs
    kind: Bytes
    row: Ints
    counters: Longs
    seed: Longs
    frame: Bytes
    words: Any
    names: Bytes
    names_of: Ints
    forms: Bytes
    form_sizes: Bytes


@inlined
def salt_place(arena: Bytes, fixed: int) -> int:
    """Return where the salt of a simple record stands, or would."""
    sizes = whole(arena[fixed + USER_SIZE]) + whole(arena[fixed + CONSENT_SIZE])
    return fixed + FIXED + sizes + whole(arena[fixed + CHANNEL_SIZE])


@inlined
def key_hash(source: Bytes, place: int, size: int, seed: int) -> int:
    """Return 62 bits of hash, never negative."""
    value = np.uint64(seed) ^ (np.uint64(size) * _MULTIPLIER)
    at, end = place, place + size
    while at + 8 <= end:
        value = (value ^ little_64(source, at)) * _MULTIPLIER
        value ^= value >> np.uint64(29)
        at += 8
    if at < end:
        value = (value ^ np.uint64(get_number(source, at, end - at))) * _MULTIPLIER
        value ^= value >> np.uint64(29)
    value = (value ^ (value >> np.uint64(33))) * _MULTIPLIER
    value = (value ^ (value >> np.uint64(33))) * _FINAL
    return whole((value ^ (value >> np.uint64(33))) >> np.uint64(2))


@inlined
def unpack_person(index: IndexArrays, fixed: int, out: Bytes, sizes: Ints) -> None:
    """Write user, consent id and channel of a simple record, one after another, and their sizes."""
    form = whole(index.arena[fixed + FORM]) * PERSON_TEXTS
    at, to = fixed + FIXED, 0
    for number in range(PERSON_TEXTS):
        start, rest = to, whole(index.arena[fixed + number])
        to = put_bytes(
            out, to, index.forms, (form + number) * PREFIX_BYTES, whole(index.form_sizes[form + number])
        )
        to = put_bytes(out, to, index.arena, at, rest)
        at += rest
        sizes[number] = to - start


@compiled
def find(index: IndexArrays, source: Bytes, place: int, size: int) -> int:
    """Return the slot of a key, -1 if it has none."""
    value = key_hash(source, place, size, index.seed[0])
    mask = index.table.size - 1
    finger = value >> 31
    at = value & mask
    while True:
        entry = index.table[at]
        if entry < 0:
            return -1
        if entry >> 32 == finger:
            slot = whole(entry & 0xFFFFFFFF)
            record = index.record_at[slot]
            if get_number(index.arena, record, 2) == size and is_same(
                index.arena, record + 2, source, place, size
            ):
                return slot
        at = (at + 1) & mask


@compiled
def insert_entry(table: Longs, value: int, slot: int) -> None:
    """Enter a slot under a hash that is not there yet."""
    mask = table.size - 1
    at = value & mask
    while table[at] >= 0:
        at = (at + 1) & mask
    table[at] = value >> 31 << 32 | slot


@compiled
def rebuild_table(index: IndexArrays) -> None:
    """Enter every slot anew, into a table that is empty."""
    for slot in range(index.counters[SLOTS]):
        record = index.record_at[slot]
        size = get_number(index.arena, record, 2)
        insert_entry(index.table, key_hash(index.arena, record + 2, size, index.seed[0]), slot)


@compiled
def record_size(index: IndexArrays, slot: int) -> int:
    """Return how many bytes of the arena a slot's record takes."""
    record = index.record_at[slot]
    key_size = get_number(index.arena, record, 2)
    fixed = record + 2 + key_size
    if index.kind[slot] == SIMPLE:
        size, flags = whole(salt_place(index.arena, fixed) - record), index.arena[fixed + FLAGS]
        if flags & SALTED:
            size += SALT_BYTES
        return size + (REVOKED_SIZE if flags & REVOKED else 0)
    if index.kind[slot] == WHOLE:
        return 2 + key_size + 4 + get_number(index.arena, fixed, 4)
    return 2 + key_size


@compiled
def compact(index: IndexArrays, arena: Bytes) -> None:
    """Copy every record into another arena, without what was left behind, and stand there from now on."""
    used = 0
    for slot in range(index.counters[SLOTS]):
        size = record_size(index, slot)
        put_bytes(arena, used, index.arena, index.record_at[slot], size)
        index.record_at[slot] = used
        used += size
    index.counters[ARENA_USED] = used
    index.counters[GARBAGE] = 0


@compiled
def slot_for(index: IndexArrays, source: Bytes, place: int, size: int) -> int:
    """Return the slot of a key, a new one (ABSENT, its key written) if it has none; there must be room."""
    slot = find(index, source, place, size)
    if slot >= 0:
        return slot
    slot = whole(index.counters[SLOTS])
    index.counters[SLOTS] = slot + 1
    at = index.counters[ARENA_USED]
    index.record_at[slot] = at
    at = put_number(index.arena, at, size, 2)
    index.counters[ARENA_USED] = put_bytes(index.arena, at, source, place, size)
    index.kind[slot] = ABSENT
    insert_entry(index.table, key_hash(source, place, size, index.seed[0]), slot)
    return slot


@compiled
def has_room(index: IndexArrays, slots: int, arena_bytes: int) -> bool:
    """Tell whether so many more slots and bytes fit."""
    used = index.counters[SLOTS] + slots
    return bool(
        used <= index.record_at.size
        and used * 4 <= index.table.size * 3
        and index.counters[ARENA_USED] + arena_bytes <= index.arena.size
    )
