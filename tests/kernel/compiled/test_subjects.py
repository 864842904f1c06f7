"""The packed subjects give back what was put in, however many they are, and know every event seen."""

import pytest

pytest.importorskip("numba", reason="numba is not installed (extra `fast`): nothing is compiled")

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.codes import Direction, Purposes
from streams.core.consent import Consent, ConsentState, Holder, Preferences
from streams.core.subject_state import CHUNK_ENTRIES, SEEN, SubjectState
from streams.kernel.compiled import memory as of_memory
from streams.kernel.compiled.consent_in import TEXT_LIMIT
from streams.kernel.compiled.index import GARBAGE, SIMPLE, WHOLE, record_size
from streams.kernel.compiled.jit import compiled_anew
from streams.kernel.compiled.memory import MemoryArrays
from streams.kernel.compiled.subjects import FIRST_SLOTS, PackedSubjects
from streams.wire.codec import encode_consent_state

NEVER = 1 << 60
hashes = st.integers(-(1 << 63), (1 << 63) - 1)
sizes = st.sampled_from([0, 1, 30, TEXT_LIMIT - 1, TEXT_LIMIT, TEXT_LIMIT + 1, 1024]) | st.integers(0, 1100)


@st.composite
def consents(draw: st.DrawFn) -> Consent:
    times = st.integers(0, (1 << 47) - 1)
    return Consent(
        "c" * draw(sizes), draw(st.integers(0, 70_000)), Purposes(draw(st.sampled_from([0, 2, 30]))), 4,
        Direction.BOTH, "p" * draw(sizes), draw(times), draw(times), draw(st.none() | times), "n", "h", "en",
        "UTC", Preferences(draw(st.none() | st.integers(0, 10))),
    )  # fmt: skip


@st.composite
def consent_states(draw: st.DrawFn) -> ConsentState:
    """States of few subjects with users of every size; some without a holder or with more versions."""
    subject = draw(st.sampled_from(["a:b", "a:" + "c" * 300, "a:d"]))
    holders = st.builds(
        Holder, sizes.map(lambda size: "u" * size), st.lists(consents(), min_size=1, max_size=2).map(tuple)
    )
    return ConsentState(
        subject,
        tuple(draw(st.lists(holders, max_size=2, unique_by=lambda holder: holder.user_id))),
        request_offset=draw(st.integers(-1, (1 << 39) - 1)),
    )


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


@settings(max_examples=300, deadline=None)
@given(st.lists(consent_states() | st.sampled_from(["a:b", "a:d"]), max_size=12))
def test_consents_of_every_size_come_out_as_they_went_in(states: list[ConsentState | str]) -> None:
    subjects, expected = PackedSubjects(lambda: 1), dict[bytes, bytes | None]()
    for state in states:
        if isinstance(state, str):
            key, value = state.encode(), None
        else:
            key, value = state.subject.encode(), encode_consent_state(state)
        expected[key] = value
        subjects.put_consent(key, value)
    assert {key: subjects.consent(key) for key in expected} == expected
    subjects.compact()
    assert {key: subjects.consent(key) for key in expected} == expected
    assert len(subjects) == sum(value is not None for value in expected.values())


@pytest.mark.parametrize(("size", "kind"), [(TEXT_LIMIT, SIMPLE), (TEXT_LIMIT + 1, WHOLE)])
def test_whose_texts_are_too_long_for_one_byte_is_stored_whole(size: int, kind: int) -> None:
    subjects = PackedSubjects(lambda: 1)
    consent = Consent(
        "c", 1, Purposes(2), 4, Direction.BOTH, "p" * size, 0, 1, None, "n", "h", "en", "UTC", Preferences()
    )
    subjects.put_consent(
        b"a:b", encode_consent_state(ConsentState("a:b", (Holder("u", (consent,)),), request_offset=0))
    )
    assert subjects.index.kind[0] == kind


def test_a_new_subject_leaves_nothing_behind_in_the_arena() -> None:
    subjects = PackedSubjects(lambda: 1)
    consent = Consent(
        "c", 1, Purposes(2), 4, Direction.BOTH, "p", 0, 1, None, "n", "h", "en", "UTC", Preferences()
    )
    state = ConsentState("a:b", (Holder("u", (consent,)),), request_offset=0)
    subjects.put_consent(b"a:b", encode_consent_state(state))
    assert subjects.index.counters[GARBAGE] == 0
    subjects.put_consent(b"a:b", encode_consent_state(state))
    assert subjects.index.counters[GARBAGE] == record_size(subjects.index, 0)


def test_a_policy_of_long_texts_has_room_when_it_is_given_back() -> None:
    """Only a foreign writer could have put it into `consent.state`; it must not be written past the end."""
    subjects = PackedSubjects(lambda: 1)
    consent = Consent(
        "c", 1, Purposes(2), 4, Direction.BOTH, "p", 0, 1, None, "n" * 20_000, "h", "en", "UTC", Preferences()
    )
    value = encode_consent_state(ConsentState("a:b", (Holder("u", (consent,)),), request_offset=0))
    subjects.put_consent(b"a:b", value)
    assert subjects.consent(b"a:b") == value
