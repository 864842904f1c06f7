"""The packed subjects of one partition number: consent index, policies and memory, with room that grows.

The owner of the arrays that compiled functions work on. Keys are subjects' raw bytes; consent states go in
and come out as `consent.state` has them, memories as the core's `SubjectState`. Imports the modules beside it
and `wire`. Read next: `decider.py`.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from streams.core.expiry import Range
from streams.core.subject_state import EMPTY_STATE, SubjectState
from streams.core.terms import intersection
from streams.kernel.compiled import index as of_index
from streams.kernel.compiled import memory as of_memory
from streams.kernel.compiled import states as of_states
from streams.kernel.compiled.consent_in import F_HEAD, F_TAIL, FOUND
from streams.kernel.compiled.growing import GrowingArray
from streams.kernel.compiled.hashes import BLAKE2B_WORDS
from streams.kernel.compiled.index import IndexArrays
from streams.kernel.compiled.memory import MemoryArrays
from streams.kernel.compiled.policies import COLUMNS, PolicyArrays, enter_policy, policy_row
from streams.kernel.compiled.pseudonyms import PSEUDONYM_CHARS
from streams.kernel.compiled.raw_batch import RawRecordBatch
from streams.kernel.compiled.types import Bytes, Ints, Longs
from streams.kernel.record_batch import RecordBatch
from streams.kernel.subjects import KEYS_A_SLICE
from streams.wire.codec import decode_consent_state
from streams.wire.schemas import our_schemas
from streams.wire.varint import read_size

FIRST_SLOTS, FIRST_ARENA, FIRST_POLICIES = 1 << 10, 1 << 17, 1 << 8
OTHER_BYTES = 512
"""Most bytes of a consent state's numbers, sizes, frame and beginnings of texts."""
GARBAGE_LEAST = 1 << 20
"""Bytes left behind below which compacting is not worth its time."""
SLOTS_A_SLICE = 1 << 15
"""Of so many slots numpy finds in about 5 ms which consents end in a range."""

_CONSENT_FRAME = np.frombuffer(our_schemas().current("consent_state").frame, np.uint8)


class PackedSubjects:
    """Consents and memories of one partition number.

    Args:
        draw_seed: gives the seed of the hash, 62 random bits.
    """

    def __init__(self, draw_seed: Callable[[], int] = lambda: secrets.randbits(62)) -> None:
        self._arena = GrowingArray(np.uint8, FIRST_ARENA)
        self._record_at = GrowingArray(np.int64, FIRST_SLOTS)
        self._kind = GrowingArray(np.uint8, FIRST_SLOTS)
        self._row = GrowingArray(np.int32, FIRST_SLOTS)
        self._table = GrowingArray(np.int64, 2 * FIRST_SLOTS)
        self._table.clear(-1)
        self._counters = np.zeros(4, np.int64)
        self._seed = np.array([draw_seed()], np.int64)
        self._words = np.zeros(BLAKE2B_WORDS, np.uint64)
        self._names = np.zeros(2 * PSEUDONYM_CHARS * of_index.NAMES_KEPT, np.uint8)
        self._names_of = np.zeros(of_index.NAMES_KEPT, np.int32)
        texts = of_index.FORM_LIMIT * of_index.PERSON_TEXTS
        self._forms = np.zeros(texts * of_index.PREFIX_BYTES, np.uint8)
        self._form_sizes = np.zeros(texts, np.uint8)
        self._memory_arena = GrowingArray(np.uint8, FIRST_ARENA)
        self._memory_rows = GrowingArray(np.int64, FIRST_SLOTS * of_memory.COLUMNS)
        self._touched = GrowingArray(np.int32, FIRST_SLOTS)
        self._memory_counters = np.zeros(5, np.int64)
        self._policies = _no_policies(FIRST_POLICIES, FIRST_ARENA)
        self._found = np.zeros(FOUND, np.int64)

    def __len__(self) -> int:
        """Return how many subjects have a consent state."""
        return int(np.count_nonzero(self._kind.array[: self._counters[of_index.SLOTS]]))

    @property
    def stamp(self) -> int:
        """Return the number of the present transaction."""
        return int(self._memory_counters[of_memory.NOW_STAMP])

    @property
    def index(self) -> IndexArrays:
        """Return the consent index as it is now; not to be kept across a change."""
        return IndexArrays(
            self._arena.array, self._table.array, self._record_at.array, self._kind.array, self._row.array,
            self._counters, self._seed, _CONSENT_FRAME, self._words, self._names, self._names_of,
            self._forms, self._form_sizes,
        )  # fmt: skip

    @property
    def policies(self) -> PolicyArrays:
        """Return the policies as they are now."""
        return self._policies

    @property
    def memory(self) -> MemoryArrays:
        """Return the memory as it is now; not to be kept across a change."""
        rows = self._memory_rows.array
        return MemoryArrays(
            self._memory_arena.array,
            rows[: rows.size // of_memory.COLUMNS * of_memory.COLUMNS].reshape(-1, of_memory.COLUMNS),
            self._touched.array,
            self._memory_counters,
        )

    def consent(self, key: bytes) -> bytes | None:
        """Return a subject's consent state as it was stored, None without any."""
        slot = self._slot(key)
        if slot < 0:
            return None
        index = self.index
        policies, used = self._policies, int(self._policies.used[0])
        texts = int(policies.head_size[:used].max(initial=0) + policies.tail_size[:used].max(initial=0))
        out = np.empty(of_index.record_size(index, slot) + texts + 2 * len(key) + OTHER_BYTES, np.uint8)
        size = of_states.get_state(index, policies, slot, out)
        return None if size < 0 else out[:size].tobytes()

    def slices(self, ends: Sequence[Range]) -> Iterator[Sequence[bytes]]:
        """See `Subjects.slices`; of subjects whose states are kept whole these are all."""
        start = 0
        while start < int(self._counters[of_index.SLOTS]):
            slots = self._ending(start, ends)
            for first in range(0, slots.size, KEYS_A_SLICE):
                yield [self._key(int(slot)) for slot in slots[first : first + KEYS_A_SLICE]]
            if not slots.size:
                yield ()
            start += SLOTS_A_SLICE

    def put_consent(self, key: bytes, value: bytes | None) -> None:
        """Store a subject's consent state; None deletes it, with all that is remembered of the subject."""
        data = np.frombuffer(key + (value or b"") + b"\0", np.uint8)
        self._load(
            data,
            *(
                np.array([number], np.int32)
                for number in (0, len(key), len(key), -1 if value is None else len(value))
            ),
        )
        if value is None:
            self.set_state(key, EMPTY_STATE)

    def load_consents(self, batch: RecordBatch) -> None:
        """See `Subjects.load_consents`."""
        raw = batch if isinstance(batch, RawRecordBatch) else RawRecordBatch.of(batch)
        columns = raw.columns
        self._load(
            raw.buffer, columns.key_places, columns.key_sizes, columns.value_places, columns.value_sizes
        )

    def state(self, key: bytes) -> SubjectState:
        """Return what is remembered of a subject as committed. Never raises."""
        return self._state(key, is_staged=False)

    def staged_state(self, key: bytes) -> SubjectState:
        """Return what is remembered of a subject with what the present transaction staged. Never raises."""
        return self._state(key, is_staged=True)

    def set_state(self, key: bytes, state: SubjectState) -> None:
        """Set what is remembered of a subject as committed."""
        slot = self._slot(key)
        if slot < 0 and state == EMPTY_STATE:
            return
        if slot < 0:
            self._make_index_room(1, len(key) + 64)
            slot = of_index.slot_for(self.index, np.frombuffer(key, np.uint8), 0, len(key))
        row = int(self._row.array[slot]) - 1
        if row < 0 and state == EMPTY_STATE:
            return
        self.make_memory_room(len(state.seen) + len(state.told) + 64)
        memory = self.memory
        if row < 0:
            row = of_memory.new_row(memory, slot)
            self._row.array[slot] = row + 1
        of_memory.replace(
            memory, row, state.seen_first, _bytes(state.seen), state.told_first, _bytes(state.told)
        )

    def begin(self) -> None:
        """Begin a transaction: what an earlier one staged and did not commit is forgotten."""
        of_memory.begin(self.memory)
        self._compact_if_worth_it()

    def commit(self, stamp: int) -> None:
        """See `Subjects.commit`; subjects that left for the Python path are left out."""
        if stamp == self.stamp:
            of_memory.commit(self.memory)

    def make_memory_room(self, wanted: int) -> None:
        """Make room for one more row and for `wanted` more bytes of entries."""
        rows = int(self._memory_counters[of_memory.ROWS])
        if rows + 2 > min(self._memory_rows.array.size // of_memory.COLUMNS, self._touched.array.size):
            self._memory_rows.grow((2 * rows + 2) * of_memory.COLUMNS)
            self._touched.grow(2 * rows + 2)
        used, size = int(self._memory_counters[of_memory.ARENA_USED]), self._memory_arena.array.size
        if used + wanted > size:
            self._memory_arena.grow(max(used + wanted, size + size // 2))

    def grow_memory(self) -> None:
        """Make more room than there is free: for whoever found too little."""
        free = self._memory_arena.array.size - int(self._memory_counters[of_memory.ARENA_USED])
        self.make_memory_room(free + FIRST_ARENA)

    def _load(self, source: Bytes, keys: Ints, key_sizes: Ints, values: Ints, value_sizes: Ints) -> None:
        start = 0
        while True:
            start, answer = of_states.load(
                self.index, self._policies, source, keys, key_sizes, values, value_sizes, start, self._found
            )
            if answer == of_states.DONE:
                return
            if answer == of_states.NEW_POLICY:
                self._learn_policy(source)
            else:
                self._make_index_room(1, int(2 * key_sizes[start] + 3 * max(value_sizes[start], 0)) + 128)

    def _ending(self, start: int, ends: Sequence[Range]) -> Longs:
        """Return the slots of a slice whose consent ends in one of the ranges, or may."""
        used = min(start + SLOTS_A_SLICE, int(self._counters[of_index.SLOTS]))
        kinds, arena = self._kind.array[start:used], self._arena.array
        slots = np.flatnonzero(kinds == of_index.SIMPLE) + start
        records = self._record_at.array[slots]
        valid_until = _numbers(arena, records + 2 + _numbers(arena, records, 2) + of_index.VALID_UNTIL, 6)
        is_ending = np.zeros(slots.size, np.bool_)
        for after, up_to in ends:
            is_ending |= (valid_until > after) & (valid_until <= up_to)
        return np.concatenate((slots[is_ending], np.flatnonzero(kinds == of_index.WHOLE) + start))

    def _key(self, slot: int) -> bytes:
        record, arena = int(self._record_at.array[slot]), self._arena.array
        size = int(arena[record]) | int(arena[record + 1]) << 8
        key: bytes = arena[record + 2 : record + 2 + size].tobytes()
        return key

    def _slot(self, key: bytes) -> int:
        return int(of_index.find(self.index, _bytes(key), 0, len(key)))

    def _state(self, key: bytes, *, is_staged: bool) -> SubjectState:
        slot = self._slot(key)
        row = -1 if slot < 0 else int(self._row.array[slot]) - 1
        if row < 0:
            return EMPTY_STATE
        memory = self.memory
        places = memory.row[row]
        seen_at, seen, told = (
            int(places[at]) for at in (of_memory.SEEN_AT, of_memory.SEEN_COUNT, of_memory.TOLD_COUNT)
        )
        told_at, dropped = int(places[of_memory.TOLD_AT]), 0
        if is_staged and places[of_memory.STAMP] == self._memory_counters[of_memory.NOW_STAMP]:
            dropped, seen = int(places[of_memory.DROPPED]), int(places[of_memory.NEW_SEEN])
            if places[of_memory.NEW_TOLD_AT] >= 0:
                told_at, told = int(places[of_memory.NEW_TOLD_AT]), int(places[of_memory.NEW_TOLD])
        start = seen_at + dropped * of_memory.SEEN_SIZE
        return SubjectState(
            int(places[of_memory.SEEN_FIRST]) + dropped,
            memory.arena[start : seen_at + seen * of_memory.SEEN_SIZE].tobytes(),
            int(places[of_memory.TOLD_FIRST]),
            memory.arena[told_at : told_at + told * of_memory.TOLD_SIZE].tobytes(),
        )

    def _learn_policy(self, source: Bytes) -> None:
        """Enter the policy of the record that `_found` describes."""
        found, policies = self._found, self._policies
        head, head_size = int(found[F_HEAD]), int(found[F_HEAD + 1])
        tail, tail_size = int(found[F_TAIL]), int(found[F_TAIL + 1])
        number = int(policies.used[0])
        used = int(policies.used[1])
        if number + 1 > policies.head_size.size or used + head_size + tail_size > policies.arena.size:
            self._policies = policies = _larger(policies, head_size + tail_size)
        policies.arena[used : used + head_size] = source[head : head + head_size]
        policies.arena[used + head_size : used + head_size + tail_size] = source[tail : tail + tail_size]
        policies.place[number], policies.head_size[number], policies.tail_size[number] = (
            used,
            head_size,
            tail_size,
        )
        policies.number[number] = _row_of(
            policies.arena[used : used + head_size].tobytes(),
            policies.arena[used + head_size : used + head_size + tail_size].tobytes(),
            used + head_size,
        )
        policies.used[0], policies.used[1] = number + 1, used + head_size + tail_size
        enter_policy(policies, number)

    def _make_index_room(self, slots: int, arena_bytes: int) -> None:
        used, bytes_used = int(self._counters[of_index.SLOTS]), int(self._counters[of_index.ARENA_USED])
        size = self._arena.array.size
        if bytes_used + arena_bytes > size:
            self._arena.grow(max(bytes_used + arena_bytes, size + size // 4))
        if used + slots > self._record_at.array.size:
            wanted = max(used + slots, used + used // 4)
            for array in (self._record_at, self._kind, self._row):
                array.grow(wanted)
        if (used + slots) * 4 > self._table.array.size * 3:
            size = self._table.array.size
            self._table = GrowingArray(np.int64, 2 * size)
            self._table.clear(-1)
            of_index.rebuild_table(self.index)

    def compact(self) -> None:
        """Move what is stored together, without what was left behind; no transaction may be under way."""
        self._compact_index()
        self._compact_memory()

    def _compact_if_worth_it(self) -> None:
        if _is_worth_it(self._counters[of_index.GARBAGE], self._counters[of_index.ARENA_USED]):
            self._compact_index()
        counters = self._memory_counters
        if _is_worth_it(counters[of_memory.GARBAGE], counters[of_memory.ARENA_USED]):
            self._compact_memory()

    def _compact_index(self) -> None:
        smaller = GrowingArray(np.uint8, int(self._counters[of_index.ARENA_USED]) + FIRST_ARENA)
        of_index.compact(self.index, smaller.array)
        self._arena = smaller

    def _compact_memory(self) -> None:
        smaller = GrowingArray(np.uint8, int(self._memory_counters[of_memory.ARENA_USED]) + FIRST_ARENA)
        of_memory.compact(self.memory, smaller.array)
        self._memory_arena = smaller


def _is_worth_it(garbage: int, used: int) -> bool:
    return bool(garbage > GARBAGE_LEAST and 2 * garbage > used)


def _numbers(arena: Bytes, places: Longs, size: int) -> Longs:
    """Return the numbers of `size` bytes, the lowest first, at these places."""
    total = np.zeros(places.size, np.int64)
    for at in range(size):
        total |= arena[places + at].astype(np.int64) << 8 * at
    return total


def _bytes(data: bytes) -> Bytes:
    """Return bytes as an array that cannot be written, empty ones too: each kind is compiled for."""
    return np.frombuffer(data + b"\0", np.uint8)[: len(data)]


def _no_policies(count: int, arena: int) -> PolicyArrays:
    return PolicyArrays(
        np.zeros(arena, np.uint8), np.full(4 * count, -1, np.int32), np.zeros(count, np.int64),
        np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros((count, COLUMNS), np.int64),
        np.zeros(2, np.int64),
    )  # fmt: skip


def _larger(old: PolicyArrays, arena_bytes: int) -> PolicyArrays:
    count, used = int(old.used[0]), int(old.used[1])
    new = _no_policies(2 * old.head_size.size, 2 * old.arena.size + arena_bytes)
    new.arena[:used] = old.arena[:used]
    for name in ("place", "head_size", "tail_size", "number", "used"):
        column = getattr(old, name)
        getattr(new, name)[: column.shape[0]] = column
    for policy in range(count):
        enter_policy(new, policy)
    return new


def _row_of(head: bytes, tail: bytes, tail_place: int) -> list[int]:
    """Return the columns of a policy: a consent made of its two slices is read and asked for its terms."""
    text = b"\x02x"
    value = b"".join((
        _CONSENT_FRAME.tobytes(), text, b"\x02", text, b"\x02", text, b"\x02", head, text, b"\x02\x02\0",
        tail, b"\0\0\0\0\0",
    ))  # fmt: skip
    state = decode_consent_state(value)
    if state is None:
        return [0] * COLUMNS
    at = 0
    places = []
    for _ in range(4):
        zigzag, at = read_size(tail, at + 1, tail[at])
        at += zigzag >> 1
        places.append(at)
    begin = places[1]
    return policy_row(intersection(state.holders[0].versions), tail_place + begin, places[3] - begin)
