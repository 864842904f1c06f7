"""What processing remembers of a subject: events seen and steps told.

Packed, so that hundreds of thousands of subjects are cheap. An immutable value. Entries of fixed size
stand in one bytes object; entry `i` has number `first + i`. For the changelog it is cut into chunks of 8
entries by number; the topic key of a chunk is subject + 0x1F + suffix (`s` or `t`, and the chunk's
number). Imports nothing of ours. Read next: `decide.py`. Source: docs/rules.md sections 5 and 6.
"""

from struct import Struct
from typing import NamedTuple

CHUNK_ENTRIES = 8
SWEEP_ENTRIES = 64

SEEN = Struct("<8sqqII")
"""Hash of event type and event_id, when it runs out (UTC ms), source offset, which holders were asked, and
their answers, 4 bits each.
"""
TOLD = Struct("<8sqBqiiq")
"""Hash of lifecycle and holder, when it runs out (UTC ms), status (with AS_NEW_ETA), amount or status_at or
as_of, day of the ETA, day decided, source offset.
"""
AS_NEW_ETA = 0x80

_EXPIRY = slice(8, 16)


class SubjectState(NamedTuple):
    """What is remembered of one subject.

    `seen_first`, `told_first`: number of the first entry, a multiple of 8. `full_until`: no seen entry runs
    out before (UTC ms), set when there was no room; it only saves searching and is not kept in the changelog.
    """

    seen_first: int = 0
    seen: bytes = b""
    told_first: int = 0
    told: bytes = b""
    full_until: int = 0


EMPTY_STATE = SubjectState()

SeenEntry = tuple[bytes, int, int, int, int]
ToldEntry = tuple[bytes, int, int, int, int, int, int]


def find_seen(state: SubjectState, key: bytes, now: int) -> SeenEntry | None:
    """Return the entry of an 8-byte hash that has not run out at `now`, else None. Never raises."""
    at = _find(state.seen, SEEN.size, key, now)
    return None if at < 0 else SEEN.unpack_from(state.seen, at)


def find_told(state: SubjectState, key: bytes, now: int) -> ToldEntry | None:
    """Return the entry of an 8-byte hash that has not run out at `now`, else None. Never raises."""
    at = _find(state.told, TOLD.size, key, now)
    return None if at < 0 else TOLD.unpack_from(state.told, at)


def with_seen_room(state: SubjectState, now: int, limit: int) -> tuple[SubjectState, bool]:
    """Return the state with room for one more seen entry, and whether there is any. Never raises.

    Entries that have run out may have left.
    """
    packed, size = state.seen, SEEN.size
    entries = len(packed) // size
    if entries < limit and (entries % CHUNK_ENTRIES or not entries):
        return state, True
    if entries >= limit and now < state.full_until:
        return state, False
    first, packed = _without_front(state.seen_first, packed, size, now)
    if len(packed) // size >= limit:
        packed = _swept(packed, size, now)
    if len(packed) // size >= limit:
        return state._replace(full_until=_next_expiry(packed, size)), False
    return state._replace(seen_first=first, seen=packed), True


def with_seen(
    state: SubjectState, key: bytes, expires_at: int, offset: int, asked: int, answers: int
) -> SubjectState:
    """Return the state with one more seen entry; ask `with_seen_room` before. Never raises."""
    first, seen, told_first, told, full_until = state
    return SubjectState(
        first, seen + SEEN.pack(key, expires_at, offset, asked, answers), told_first, told, full_until
    )


def with_told(state: SubjectState, entry: ToldEntry, now: int, limit: int) -> SubjectState | None:
    """Return the state with `entry` in the place of its hash, or appended; None if full. Never raises."""
    seen_first, seen, first, packed, full_until = state
    size = TOLD.size
    data = TOLD.pack(*entry)
    at = _find(packed, size, entry[0], now)
    if at >= 0:
        packed = packed[:at] + data + packed[at + size :]
        return SubjectState(seen_first, seen, first, packed, full_until)
    entries = len(packed) // size
    if entries and (entries % CHUNK_ENTRIES == 0 or entries >= limit):
        first, packed = _without_front(first, packed, size, now)
        if entries % SWEEP_ENTRIES == 0 or entries >= limit:
            packed = _swept(packed, size, now)
        if len(packed) // size >= limit:
            return None
    return SubjectState(seen_first, seen, first, packed + data, full_until)


def chunks(before: SubjectState, after: SubjectState) -> list[tuple[bytes, int, bytes | None]]:
    """Return the chunks in which two states differ. Never raises.

    Each is (suffix of the key, number of its first entry, packed entries or None for a tombstone).
    `chunks(state, EMPTY_STATE)` deletes all of a state.
    """
    changed: list[tuple[bytes, int, bytes | None]] = []
    if after.told is not before.told or after.told_first != before.told_first:
        _compare(b"t", TOLD.size, before.told_first, before.told, after.told_first, after.told, changed)
    if after.seen is not before.seen or after.seen_first != before.seen_first:
        _compare(b"s", SEEN.size, before.seen_first, before.seen, after.seen_first, after.seen, changed)
    return changed


def apply_chunk(state: SubjectState, suffix: bytes, first_entry: int, entries: bytes | None) -> SubjectState:
    """Return the state with one chunk put in its place, or taken out (None); chunks may come in any order.

    A suffix or a chunk that we do not write changes nothing. Never raises.
    """
    if not suffix[1:].isdigit() or len(suffix) > 18:
        return state
    number = int(suffix[1:])
    if entries is not None and first_entry != number * CHUNK_ENTRIES:
        return state
    match suffix[:1]:
        case b"s":
            first, packed = _placed(state.seen_first, state.seen, SEEN.size, number, entries)
            return state._replace(seen_first=first, seen=packed)
        case b"t":
            first, packed = _placed(state.told_first, state.told, TOLD.size, number, entries)
            return state._replace(told_first=first, told=packed)
        case _:
            return state


def _find(packed: bytes, size: int, key: bytes, now: int) -> int:
    at = packed.find(key)
    while at >= 0:
        if at % size == 0 and int.from_bytes(packed[at + 8 : at + 16], "little", signed=True) > now:
            return at
        at = packed.find(key, at + 1)
    return -1


def _expiry(packed: bytes, at: int) -> int:
    return int.from_bytes(packed[at : at + 16][_EXPIRY], "little", signed=True)


def _next_expiry(packed: bytes, size: int) -> int:
    return min((_expiry(packed, at) for at in range(0, len(packed), size)), default=0)


def _without_front(first: int, packed: bytes, size: int, now: int) -> tuple[int, bytes]:
    """Drop whole chunks at the front of which every entry has run out."""
    chunk, at = CHUNK_ENTRIES * size, 0
    while at + chunk <= len(packed) and all(
        _expiry(packed, at + step) <= now for step in range(0, chunk, size)
    ):
        at += chunk
    return (first + at // size, packed[at:]) if at else (first, packed)


def _swept(packed: bytes, size: int, now: int) -> bytes:
    """Drop every entry that has run out; those that stay move up."""
    places = range(0, len(packed), size)
    return b"".join(packed[at : at + size] for at in places if _expiry(packed, at) > now)


def _compare(
    letter: bytes,
    size: int,
    old_first: int,
    old: bytes,
    new_first: int,
    new: bytes,
    changed: list[tuple[bytes, int, bytes | None]],
) -> None:
    start = min(old_first, new_first)
    end = max(old_first + len(old) // size, new_first + len(new) // size)
    if old_first == new_first and new.startswith(old):
        start += len(old) // size // CHUNK_ENTRIES * CHUNK_ENTRIES
    for number in range(start, end, CHUNK_ENTRIES):
        entries = _chunk(new_first, new, size, number)
        if entries != _chunk(old_first, old, size, number):
            changed.append((b"%b%d" % (letter, number // CHUNK_ENTRIES), number, entries or None))


def _chunk(first: int, packed: bytes, size: int, number: int) -> bytes:
    at = (number - first) * size
    return packed[at : at + CHUNK_ENTRIES * size] if at >= 0 else b""


def _placed(first: int, packed: bytes, size: int, number: int, entries: bytes | None) -> tuple[int, bytes]:
    """Put a chunk in its place.

    Holes, of chunks that have not come yet, are zeros, which have always run out.
    """
    chunk = CHUNK_ENTRIES * size
    data = b"" if entries is None else entries[: min(len(entries), chunk) // size * size]
    if not packed:
        return (number * CHUNK_ENTRIES, data) if data else (0, b"")
    at = (number * CHUNK_ENTRIES - first) * size
    if at < 0:
        if not data:
            return first, packed
        packed, first, at = bytes(-at) + packed, number * CHUNK_ENTRIES, 0
    before, after = packed[:at], packed[at + chunk :]
    if data or after:
        packed = before.ljust(at, b"\0") + (data.ljust(chunk, b"\0") if after else data) + after
    else:
        packed = before
    return _trimmed(first, packed, size)


def _trimmed(first: int, packed: bytes, size: int) -> tuple[int, bytes]:
    """Leave out chunks of zeros at the front and entries of zeros at the end."""
    chunk = CHUNK_ENTRIES * size
    while packed and not packed[-size:].strip(b"\0"):
        packed = packed[:-size]
    while packed and not packed[:chunk].strip(b"\0"):
        first, packed = first + CHUNK_ENTRIES, packed[chunk:]
    return (first, packed) if packed else (0, b"")
