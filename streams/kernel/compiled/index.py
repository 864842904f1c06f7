"""The packed consent index: who consented to what, as bytes in one arena, found by the subject's raw key.

A subject with one holder and one version, which nearly all are, is stored field by field, with what many
share (purposes, detail, thresholds, notice, locale) interned as a policy; every other one keeps the bytes of
its `consent.state` and takes the Python path. The hash is seeded, so that chosen keys cannot collide.

Layout of a record: key size (2), key, then of a simple one the fixed part below, user, consent id, channel,
the salt (16) if it has one and the time of the revocation (6) if there was one; of any other one the value's
size (4) and the value. What the three texts begin with, up to a colon ("user:"), is stored once for all
records of the same form. Imports
`bytes_out`, `policies`. Read next: `memory.py`. Source: DESIGN section 6; consent_state.avsc.
"""

from typing import Any, NamedTuple

import numpy as np

from streams.core.pseudonyms import SALT_BYTES
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
    F_EFFECTIVE,
    F_HEAD,
    F_REQUEST,
    F_REVOKED,
    F_SALT,
    F_SUBJECT,
    F_TAIL,
    F_USER,
    F_VALID,
    F_VERSION,
    FRAME_SIZE,
    read_simple,
)
from streams.kernel.compiled.fields import has_many_digits
from streams.kernel.compiled.hashes import blake2b_4, little_64
from streams.kernel.compiled.jit import compiled, inlined, inner
from streams.kernel.compiled.policies import DETAIL, POLICY_LIMIT, PolicyArrays, find_policy
from streams.kernel.compiled.types import Bytes, Ints, Longs, whole

ABSENT, SIMPLE, WHOLE = 0, 1, 2
"""Kinds of slot: no consent, one holder with one version, any other consent state."""

SLOTS, ARENA_USED, GARBAGE, FORMS = 0, 1, 2, 3
"""Places in `counters`."""

DONE, NO_ROOM, NEW_POLICY = 0, 1, 2
"""Answers of `load`."""

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


@inner
def _prefix_size(source: Bytes, place: int, size: int) -> int:
    """Return how much of a text others may begin with too: up to its first colon, if that is near."""
    for at in range(min(size, PREFIX_BYTES)):
        if source[place + at] == 58:
            return at + 1
    return 0


@inner
def _form_of(index: IndexArrays, source: Bytes, found: Longs) -> int:
    """Return the form of the three texts that `found` names, a new one if there is room, else 0."""
    known = max(whole(index.counters[FORMS]), 1)
    for form in range(known - 1, -1, -1):
        is_found = True
        for number in range(PERSON_TEXTS):
            place, size = found[F_USER + 2 * number], found[F_USER + 2 * number + 1]
            prefix, shared = _prefix_size(source, place, size), form * PERSON_TEXTS + number
            if index.form_sizes[shared] != prefix or not is_same(
                index.forms, shared * PREFIX_BYTES, source, place, prefix
            ):
                is_found = False
                break
        if is_found:
            return form
    if known >= FORM_LIMIT:
        return 0
    for number in range(PERSON_TEXTS):
        place, shared = found[F_USER + 2 * number], known * PERSON_TEXTS + number
        prefix = _prefix_size(source, place, found[F_USER + 2 * number + 1])
        index.form_sizes[shared] = prefix
        put_bytes(index.forms, shared * PREFIX_BYTES, source, place, prefix)
    index.counters[FORMS] = known + 1
    return known


@inner
def _put_whole_text(index: IndexArrays, out: Bytes, at: int, fixed: int, number: int, place: int) -> int:
    """Write one of the three texts, whose rest stands at `place`, as Avro does."""
    shared = whole(index.arena[fixed + FORM]) * PERSON_TEXTS + number
    prefix, rest = whole(index.form_sizes[shared]), whole(index.arena[fixed + number])
    at = put_long(out, at, prefix + rest)
    at = put_bytes(out, at, index.forms, shared * PREFIX_BYTES, prefix)
    return whole(put_bytes(out, at, index.arena, place, rest))


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
def _must_mask(source: Bytes, place: int, size: int) -> bool:
    """Tell whether what a label shows of a subject may hold a number to be masked."""
    colon = 0
    while colon < size and source[place + colon] != 58:
        colon += 1
    return has_many_digits(source, place, colon)


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
            if policy >= 0 and (
                policies.number[policy, DETAIL] == 0 or _must_mask(source, key_place, key_size)
            ):
                policy = -1
    slot = slot_for(index, source, key_place, key_size)
    entry = slot & (index.names_of.size - 1)
    if index.names_of[entry] == slot + 1:
        index.names_of[entry] = 0
    at = index.record_at[slot] + 2 + key_size
    if at < index.counters[ARENA_USED] or index.kind[slot] != ABSENT:
        index.counters[GARBAGE] += record_size(index, slot)
        at = index.counters[ARENA_USED]
        index.record_at[slot] = at
        at = put_number(index.arena, at, key_size, 2)
        at = put_bytes(index.arena, at, source, key_place, key_size)
    if policy >= 0:
        index.kind[slot] = SIMPLE
        form = _form_of(index, source, found)
        for number in range(PERSON_TEXTS):
            prefix = whole(index.form_sizes[form * PERSON_TEXTS + number])
            index.arena[at + number] = found[F_USER + 2 * number + 1] - prefix
        index.arena[at + FORM] = form
        put_number(index.arena, at + POLICY, policy, 2)
        put_number(
            index.arena, at + ASKED, _asked(index, source, found[F_USER], found[F_USER + 1], at + FIXED), 4
        )
        put_number(index.arena, at + EFFECTIVE_AT, found[F_EFFECTIVE], 6)
        put_number(index.arena, at + VALID_UNTIL, found[F_VALID], 6)
        put_number(index.arena, at + REQUEST_OFFSET, found[F_REQUEST] + 1, 5)
        put_number(index.arena, at + VERSION, found[F_VERSION], 2)
        has_revoked, has_salt = found[F_REVOKED] >= 0, found[F_SALT] >= 0
        index.arena[at + FLAGS] = (REVOKED if has_revoked else 0) | (SALTED if has_salt else 0)
        at += FIXED
        for number in range(PERSON_TEXTS):
            prefix = whole(index.form_sizes[form * PERSON_TEXTS + number])
            place, size = found[F_USER + 2 * number], found[F_USER + 2 * number + 1]
            at = put_bytes(index.arena, at, source, place + prefix, size - prefix)
        if has_salt:
            at = put_bytes(index.arena, at, source, found[F_SALT], SALT_BYTES)
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
    user = fixed + FIXED
    consent = user + whole(arena[fixed + USER_SIZE])
    channel = consent + whole(arena[fixed + CONSENT_SIZE])
    salt = channel + whole(arena[fixed + CHANNEL_SIZE])
    at = put_bytes(out, 0, index.frame, 0, FRAME_SIZE)
    at = put_sized(out, at, arena, record + 2, key_size)
    out[at] = 2
    at = _put_whole_text(index, out, at + 1, fixed, USER_SIZE, user)
    out[at] = 2
    at = _put_whole_text(index, out, at + 1, fixed, CONSENT_SIZE, consent)
    at = put_long(out, at, get_number(arena, fixed + VERSION, 2))
    head = policies.place[policy]
    at = put_bytes(out, at, policies.arena, head, policies.head_size[policy])
    at = _put_whole_text(index, out, at, fixed, CHANNEL_SIZE, channel)
    at = put_long(out, at, get_number(arena, fixed + EFFECTIVE_AT, 6))
    at = put_long(out, at, get_number(arena, fixed + VALID_UNTIL, 6))
    flags = arena[fixed + FLAGS]
    out[at] = 2 if flags & REVOKED else 0
    at += 1
    if flags & REVOKED:
        revoked = salt + (SALT_BYTES if flags & SALTED else 0)
        at = put_long(out, at, get_number(arena, revoked, REVOKED_SIZE))
    tail = head + policies.head_size[policy]
    at = put_bytes(out, at, policies.arena, tail, policies.tail_size[policy])
    for _ in range(3):
        out[at] = 0
        at += 1
    at = put_long(out, at, get_number(arena, fixed + REQUEST_OFFSET, 5) - 1)
    if not flags & SALTED:
        out[at] = 0
        return at + 1
    out[at] = 2
    return put_sized(out, at + 1, arena, salt, SALT_BYTES)


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
