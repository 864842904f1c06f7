"""The packed consent index: who consented to what, as bytes in one arena, found by the subject's raw key.

A subject with one holder and one version, which nearly all are, is stored field by field, with what many
share (purposes, detail, thresholds, notice, locale) interned as a policy; every other one keeps the bytes of
its `consent.state` and takes the Python path. The hash is seeded, so that chosen keys cannot collide.

Layout of a record: key size (2), key, then of a simple one the fixed part below, user, consent id, channel
and, if it was revoked, the time of that (6); of any other one the value's size (4) and the value. Imports
`bytes_out`, `policies`. Read next: `memory.py`. Source: DESIGN section 6; consent_state.avsc.
"""

from typing import Any, NamedTuple

import numpy as np

from streams.kernel.compiled.bytes_out import (
    get_number,
    is_same,
    put_bytes,
    put_decimal,
    put_long,
    put_number,
    put_sized,
)
from streams.kernel.compiled.consent_in import (
    F_CHANNEL,
    F_CONSENT,
    F_EFFECTIVE,
    F_HEAD,
    F_REQUEST,
    F_REVOKED,
    F_SUBJECT,
    F_TAIL,
    F_USER,
    F_VALID,
    F_VERSION,
    FRAME_SIZE,
    read_simple,
)
from streams.kernel.compiled.hashes import blake2b_4, little_64
from streams.kernel.compiled.jit import compiled, inlined, inner
from streams.kernel.compiled.policies import DETAIL, POLICY_LIMIT, PolicyArrays, find_policy
from streams.kernel.compiled.types import Bytes, Ints, Longs, whole

ABSENT, SIMPLE, WHOLE = 0, 1, 2
"""Kinds of slot: no consent, one holder with one version, any other consent state."""

SLOTS, ARENA_USED, GARBAGE = 0, 1, 2
"""Places in `counters`."""

DONE, NO_ROOM, NEW_POLICY = 0, 1, 2
"""Answers of `load`."""

USER_SIZE, CONSENT_SIZE, CHANNEL_SIZE, POLICY, ASKED = 0, 1, 2, 3, 5
EFFECTIVE_AT, VALID_UNTIL, REQUEST_OFFSET, VERSION, HAS_REVOKED = 9, 15, 21, 26, 28
FIXED = 29
"""Places of the fixed part, after the key; the sizes take one byte each, the policy two."""
REVOKED_SIZE = 6

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
        strings = (
            whole(index.arena[fixed + USER_SIZE])
            + whole(index.arena[fixed + CONSENT_SIZE])
            + whole(index.arena[fixed + CHANNEL_SIZE])
        )
        return 2 + key_size + FIXED + strings + REVOKED_SIZE * whole(index.arena[fixed + HAS_REVOKED])
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


@inner
def _asked(index: IndexArrays, source: Bytes, user: int, size: int, text: int) -> int:
    """Return what tells this list of holders from others; `text` is where the arena is free.

    Source: `core/prepared.py`.
    """
    end = put_decimal(index.arena, text, size)
    index.arena[end] = 58
    end = put_bytes(index.arena, end + 1, source, user, size)
    return whole(blake2b_4(index.arena, text, end - text, index.words))


@inner
def put_state(
    index: IndexArrays,
    policies: PolicyArrays,
    source: Bytes,
    key_place: int,
    key_size: int,
    value_place: int,
    value_size: int,
    found: Longs,
) -> int:
    """Store one consent state (value_size -1 deletes it).

    Returns DONE, NO_ROOM (nothing was changed) or NEW_POLICY (nothing was changed; `found` tells where its
    parts are).
    """
    if not has_room(index, 1, 2 * key_size + 3 * max(value_size, 0) + 128):
        return NO_ROOM
    policy = -1
    if value_size >= 0 and read_simple(source, value_place, value_place + value_size, index.frame, found):
        if key_size == found[F_SUBJECT + 1] and is_same(
            source, key_place, source, found[F_SUBJECT], key_size
        ):
            policy = find_policy(
                policies, source, found[F_HEAD], found[F_HEAD + 1], found[F_TAIL], found[F_TAIL + 1]
            )
            if policy < 0 and policies.used[0] < POLICY_LIMIT:
                return NEW_POLICY
            if policy >= 0 and policies.number[policy, DETAIL] == 0:
                policy = -1
    slot = slot_for(index, source, key_place, key_size)
    at = index.record_at[slot] + 2 + key_size
    if at < index.counters[ARENA_USED] or index.kind[slot] != ABSENT:
        index.counters[GARBAGE] += record_size(index, slot)
        at = index.counters[ARENA_USED]
        index.record_at[slot] = at
        at = put_number(index.arena, at, key_size, 2)
        at = put_bytes(index.arena, at, source, key_place, key_size)
    if policy >= 0:
        index.kind[slot] = SIMPLE
        put_number(index.arena, at + USER_SIZE, found[F_USER + 1], 1)
        put_number(index.arena, at + CONSENT_SIZE, found[F_CONSENT + 1], 1)
        put_number(index.arena, at + CHANNEL_SIZE, found[F_CHANNEL + 1], 1)
        put_number(index.arena, at + POLICY, policy, 2)
        put_number(
            index.arena, at + ASKED, _asked(index, source, found[F_USER], found[F_USER + 1], at + FIXED), 4
        )
        put_number(index.arena, at + EFFECTIVE_AT, found[F_EFFECTIVE], 6)
        put_number(index.arena, at + VALID_UNTIL, found[F_VALID], 6)
        put_number(index.arena, at + REQUEST_OFFSET, found[F_REQUEST] + 1, 5)
        put_number(index.arena, at + VERSION, found[F_VERSION], 2)
        has_revoked = found[F_REVOKED] >= 0
        index.arena[at + HAS_REVOKED] = 1 if has_revoked else 0
        at += FIXED
        at = put_bytes(index.arena, at, source, found[F_USER], found[F_USER + 1])
        at = put_bytes(index.arena, at, source, found[F_CONSENT], found[F_CONSENT + 1])
        at = put_bytes(index.arena, at, source, found[F_CHANNEL], found[F_CHANNEL + 1])
        if has_revoked:
            at = put_number(index.arena, at, found[F_REVOKED], REVOKED_SIZE)
    elif value_size >= 0:
        index.kind[slot] = WHOLE
        at = put_number(index.arena, at, value_size, 4)
        at = put_bytes(index.arena, at, source, value_place, value_size)
    else:
        index.kind[slot] = ABSENT
    index.counters[ARENA_USED] = at
    return DONE


@compiled
def get_state(index: IndexArrays, policies: PolicyArrays, slot: int, out: Bytes) -> int:
    """Write the consent state of a slot, as it came, into `out`; return its size, -1 for none."""
    arena = index.arena
    record = index.record_at[slot]
    key_size = get_number(arena, record, 2)
    fixed = record + 2 + key_size
    if index.kind[slot] == ABSENT:
        return -1
    if index.kind[slot] == WHOLE:
        return put_bytes(out, 0, arena, fixed + 4, get_number(arena, fixed, 4))
    policy = get_number(arena, fixed + POLICY, 2)
    user_size = whole(arena[fixed + USER_SIZE])
    consent_size = whole(arena[fixed + CONSENT_SIZE])
    channel_size = whole(arena[fixed + CHANNEL_SIZE])
    text = fixed + FIXED
    at = put_bytes(out, 0, index.frame, 0, FRAME_SIZE)
    at = put_sized(out, at, arena, record + 2, key_size)
    out[at] = 2
    at = put_sized(out, at + 1, arena, text, user_size)
    out[at] = 2
    at = put_sized(out, at + 1, arena, text + user_size, consent_size)
    at = put_long(out, at, get_number(arena, fixed + VERSION, 2))
    head = policies.place[policy]
    at = put_bytes(out, at, policies.arena, head, policies.head_size[policy])
    at = put_long(out, at, channel_size)
    channel = text + user_size + consent_size
    at = put_bytes(out, at, arena, channel, channel_size)
    at = put_long(out, at, get_number(arena, fixed + EFFECTIVE_AT, 6))
    at = put_long(out, at, get_number(arena, fixed + VALID_UNTIL, 6))
    out[at] = 2 if arena[fixed + HAS_REVOKED] else 0
    at += 1
    if arena[fixed + HAS_REVOKED]:
        at = put_long(out, at, get_number(arena, channel + channel_size, REVOKED_SIZE))
    tail = head + policies.head_size[policy]
    at = put_bytes(out, at, policies.arena, tail, policies.tail_size[policy])
    for _ in range(3):
        out[at] = 0
        at += 1
    return put_long(out, at, get_number(arena, fixed + REQUEST_OFFSET, 5) - 1)


@compiled
def load(
    index: IndexArrays,
    policies: PolicyArrays,
    source: Bytes,
    keys: Ints,
    key_sizes: Ints,
    values: Ints,
    value_sizes: Ints,
    start: int,
    found: Longs,
) -> tuple[int, int]:
    """Store a run of `consent.state` records in log order, from `start` on.

    Returns the number of the first record that was not stored, and DONE, NO_ROOM or NEW_POLICY.
    """
    for number in range(start, keys.size):
        if key_sizes[number] < 0 or key_sizes[number] > 0xFFFF:
            continue
        answer = put_state(
            index, policies, source, whole(keys[number]), whole(key_sizes[number]),
            whole(values[number]), whole(value_sizes[number]), found,
        )  # fmt: skip
        if answer != DONE:
            return number, answer
    return keys.size, DONE
