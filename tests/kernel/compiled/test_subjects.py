"""The packed subjects give back what was put in, however many they are, and know every event seen."""

import pytest

pytest.importorskip("numba", reason="numba is not installed (extra `fast`): nothing is compiled")

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.subject_state import CHUNK_ENTRIES, SEEN, SubjectState
from streams.kernel.compiled import memory as of_memory
from streams.kernel.compiled.jit import compiled_anew
from streams.kernel.compiled.memory import MemoryArrays
from streams.kernel.compiled.subjects import FIRST_SLOTS, PackedSubjects

NEVER = 1 << 60
hashes = st.integers(-(1 << 63), (1 << 63) - 1)


@compiled_anew
def may_have(memory: MemoryArrays, row: int, key: int) -> bool:
    return of_memory.may_have_seen(memory, row, key)


@compiled_anew
def see(memory: MemoryArrays, row: int, key: int) -> None:
    of_memory.touch(memory, row)
    of_memory.append_seen(memory, row, key, NEVER, 0, 0, 0)


@compiled_anew
def drop_a_chunk(memory: MemoryArrays, row: int) -> None:
    of_memory.touch(memory, row)
    memory.row[row, of_memory.DROPPED] = CHUNK_ENTRIES


def packed(keys: list[int]) -> bytes:
    return b"".join(SEEN.pack(key.to_bytes(8, "little", signed=True), NEVER, 0, 0, 0) for key in keys)


def remembering(keys: list[int]) -> PackedSubjects:
    subjects = PackedSubjects(lambda: 1)
    subjects.set_state(b"a:b", SubjectState(seen=packed(keys)))
    return subjects


def test_more_subjects_than_there_was_room_for_are_remembered() -> None:
    subjects = PackedSubjects(lambda: 1)
    states = {b"a:%d" % number: SubjectState(seen=packed([number])) for number in range(3 * FIRST_SLOTS)}
    for key, state in states.items():
        subjects.set_state(key, state)
    assert all(subjects.state(key) == state for key, state in states.items())


@settings(max_examples=200, deadline=None)
@given(st.lists(hashes, min_size=1, max_size=40), st.lists(hashes, max_size=40))
def test_no_hash_that_was_seen_is_taken_for_new(restored: list[int], later: list[int]) -> None:
    subjects = remembering(restored)
    for number, key in enumerate(later):
        subjects.make_memory_room(1 << 12)
        see(subjects.memory, 0, key)
        if number % 3 == 0:
            subjects.commit(subjects.stamp)
    assert all(may_have(subjects.memory, 0, key) for key in [*restored, *later])


def test_what_was_dropped_leaves_the_filter_and_the_rest_stays() -> None:
    keys = list(range(CHUNK_ENTRIES + 3))
    subjects = remembering(keys)
    subjects.begin()
    drop_a_chunk(subjects.memory, 0)
    subjects.commit(subjects.stamp)
    known = [may_have(subjects.memory, 0, key) for key in keys]
    assert known == [False] * CHUNK_ENTRIES + [True] * 3
    assert subjects.state(b"a:b").seen == packed(keys[CHUNK_ENTRIES:])
