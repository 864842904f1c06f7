from random import Random

from hypothesis import given, settings

from streams.core.subject_state import (
    CHUNK_ENTRIES,
    EMPTY_STATE,
    SEEN,
    TOLD,
    SubjectState,
    ToldEntry,
    apply_chunk,
    chunks,
    find_seen,
    find_told,
    with_seen,
    with_seen_room,
    with_told,
)
from tests.core.chance import chances

LIMIT = 80


def key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def told(number: int, expires_at: int, amount: int = 0) -> ToldEntry:
    return key(number), expires_at, 1, amount, -1, 0, 5


def see(
    state: SubjectState, number: int, expires_at: int, now: int, limit: int = LIMIT
) -> SubjectState | None:
    state, has_room = with_seen_room(state, now, limit)
    return with_seen(state, key(number), expires_at, number, 7, 1) if has_room else None


def restored(log: dict[bytes, tuple[int, bytes | None]], order: list[bytes]) -> SubjectState:
    state = EMPTY_STATE
    for suffix in order:
        first, entries = log[suffix]
        state = apply_chunk(state, suffix, first, entries)
    return state


def kept(state: SubjectState) -> SubjectState:
    return state._replace(full_until=0)


def test_an_entry_is_found_until_it_runs_out() -> None:
    state = see(EMPTY_STATE, 1, 100, 0)
    assert state is not None
    assert find_seen(state, key(1), 99) == (key(1), 100, 1, 7, 1)
    assert find_seen(state, key(1), 100) is None
    assert find_seen(state, key(2), 0) is None


def test_bytes_that_look_like_a_key_inside_an_entry_are_not_found() -> None:
    state = with_seen(EMPTY_STATE, key(1), 10**15, int.from_bytes(key(77), "little"), 0, 0)
    assert key(77) in state.seen
    assert find_seen(state, key(77), 0) is None


def test_whole_chunks_that_have_run_out_leave_from_the_front() -> None:
    state: SubjectState | None = EMPTY_STATE
    for number in range(CHUNK_ENTRIES):
        assert state is not None
        state = see(state, number, 100 + number, 0)
    assert state is not None
    last = 99 + CHUNK_ENTRIES
    early, late = see(state, 99, 500, last - 1), see(state, 99, 500, last)
    assert early is not None
    assert late is not None
    assert (early.seen_first, len(early.seen)) == (0, (CHUNK_ENTRIES + 1) * SEEN.size)
    assert (late.seen_first, len(late.seen)) == (CHUNK_ENTRIES, SEEN.size)
    assert [suffix for suffix, _, entries in chunks(state, late) if entries is None] == [b"s0"]


def test_a_full_memory_has_room_again_when_any_entry_has_run_out() -> None:
    state: SubjectState | None = EMPTY_STATE
    for number, expires_at in enumerate([900, 100, 800]):
        assert state is not None
        state = see(state, number, expires_at, 0, limit=3)
    assert state is not None
    full, has_room = with_seen_room(state, 99, 3)
    assert not has_room
    assert with_seen_room(full, 99, 3) == (full, False)
    after = see(full, 9, 1_000, 100, limit=3)
    assert after is not None
    assert [find_seen(after, key(number), 100) is not None for number in (0, 1, 2, 9)] == [
        True,
        False,
        True,
        True,
    ]


def test_a_step_told_again_is_rewritten_in_its_place() -> None:
    state: SubjectState | None = EMPTY_STATE
    for number in range(20):
        assert state is not None
        state = with_told(state, told(number, 1_000), 0, LIMIT)
    assert state is not None
    after = with_told(state, told(3, 2_000, amount=7), 0, LIMIT)
    assert after is not None
    assert find_told(after, key(3), 1_500) == told(3, 2_000, amount=7)
    assert len(after.told) == len(state.told)
    assert [(suffix, first) for suffix, first, _ in chunks(state, after)] == [(b"t0", 0)]


def test_steps_that_do_not_fit_are_refused_until_others_run_out() -> None:
    state: SubjectState | None = EMPTY_STATE
    for number in range(5):
        assert state is not None
        state = with_told(state, told(number, 100 + number), 0, 5)
    assert state is not None
    assert with_told(state, told(9, 900), 99, 5) is None
    assert with_told(state, told(4, 900), 99, 5) is not None
    assert with_told(state, told(9, 900), 100, 5) is not None


def test_what_has_not_changed_has_no_chunks_and_a_deleted_subject_only_tombstones() -> None:
    state = see(EMPTY_STATE, 1, 100, 0)
    assert state is not None
    both = with_told(state, told(1, 100), 0, LIMIT)
    assert both is not None
    assert chunks(both, both) == []
    assert chunks(both, EMPTY_STATE) == [(b"t0", 0, None), (b"s0", 0, None)]


def test_chunks_that_we_do_not_write_change_nothing() -> None:
    state = see(EMPTY_STATE, 1, 100, 0)
    assert state is not None
    for suffix, first in (
        (b"", 0),
        (b"s", 0),
        (b"x0", 0),
        (b"s-1", 0),
        (b"s1", 0),
        (b"s0 ", 0),
        (b"s\xb2", 0),
    ):
        assert apply_chunk(state, suffix, first, b"\1" * SEEN.size) == state


@settings(max_examples=200, deadline=None)
@given(chances)
def test_a_state_comes_back_from_its_chunks_in_any_order(chance: Random) -> None:
    state, now = EMPTY_STATE, 0
    log: dict[bytes, tuple[int, bytes | None]] = {}
    follower = EMPTY_STATE
    steps = chance.randint(0, 250)
    crash = chance.randint(0, 250)
    for index in range(steps):
        if index == crash:
            state = restored(log, shuffled(log, chance))
        now += chance.randint(0, 12)
        expires_at = now + chance.choice((chance.randint(1, 40), chance.randint(1, 900)))
        if chance.random() < 0.5:
            after = see(state, index, expires_at, now)
        else:
            after = with_told(state, told(chance.randint(0, 120), expires_at), now, LIMIT)
        for suffix, first, entries in chunks(state, after or state):
            log[suffix] = (first, entries)
            follower = apply_chunk(follower, suffix, first, entries)
        state = after or state
        assert follower == kept(state)
        assert state.seen_first % CHUNK_ENTRIES == state.told_first % CHUNK_ENTRIES == 0
        assert len(state.seen) // SEEN.size <= LIMIT
        assert len(state.told) // TOLD.size <= LIMIT
    assert restored(log, shuffled(log, chance)) == kept(state)
    assert restored(log, [*shuffled(log, chance), *shuffled(log, chance)]) == kept(state)


def shuffled(log: dict[bytes, tuple[int, bytes | None]], chance: Random) -> list[bytes]:
    order = list(log)
    chance.shuffle(order)
    return order
