"""Consent states in and out of the index: stored field by field where they are simple, else as they are.

Imports `index`, `bytes_out`, `consent_in`, `policies`. Read next: `subjects.py`. Source: consent_state.avsc.
"""

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
from streams.kernel.compiled.hashes import blake2b_4
from streams.kernel.compiled.index import (
    ABSENT,
    ARENA_USED,
    ASKED,
    CHANNEL_SIZE,
    CONSENT_SIZE,
    EFFECTIVE_AT,
    FIXED,
    FLAGS,
    FORM,
    FORM_LIMIT,
    FORMS,
    GARBAGE,
    PERSON_TEXTS,
    POLICY,
    PREFIX_BYTES,
    REQUEST_OFFSET,
    REVOKED,
    REVOKED_SIZE,
    SALTED,
    SIMPLE,
    USER_SIZE,
    VALID_UNTIL,
    VERSION,
    WHOLE,
    IndexArrays,
    has_room,
    record_size,
    slot_for,
)
from streams.kernel.compiled.jit import compiled, inner
from streams.kernel.compiled.policies import DETAIL, POLICY_LIMIT, PolicyArrays, find_policy
from streams.kernel.compiled.types import Bytes, Ints, Longs, whole

DONE, NO_ROOM, NEW_POLICY = 0, 1, 2
"""Answers of `load`."""


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
