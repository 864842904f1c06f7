"""What a stream sends is as its mix says."""

from collections import Counter
from datetime import datetime, timedelta

import pytest

from tests.chaos.stream import PARTITIONS, Mix, Stream
from tests.harness.messages import Record, decode

EVENTS = 2_000
TIMES = {
    "bank.transactions": ("bank_transaction", "occurred_at"),
    "bank.balances": ("account_balance", "as_of"),
    "shipping.events": ("shipment_update", "status_at"),
}


def events(mix: Mix, seed: int = 1) -> list[Record]:
    """Return a stream's events, without changes of consent."""
    stream = Stream(seed, mix)
    return [one for one in map(stream.make, range(EVENTS)) if one.topic in TIMES]


def times(records: list[Record]) -> list[datetime]:
    """Return when each event happened, by its own word."""
    return [
        decode(schema, one.value or b"")[field] for one in records for schema, field in [TIMES[one.topic]]
    ]


def test_a_plain_stream_is_in_order_whole_and_goes_where_keys_say() -> None:
    made = events(Mix(repeats=0))
    assert len({one.value for one in made}) == len(made)
    assert {one.partition for one in made} == {-1}
    assert times(made) == sorted(times(made))


@pytest.mark.parametrize(("recent", "furthest"), [(50, 120), (EVENTS, EVENTS)])
def test_repeats_are_of_the_recent(recent: int, furthest: int) -> None:
    made = events(Mix(repeats=0.2, recent=recent))
    counted = Counter(one.value for one in made)
    repeats = sum(counted.values()) - len(counted)
    assert 0.15 < repeats / len(made) < 0.25
    places: dict[bytes | None, int] = {}
    gaps = [number - places.setdefault(one.value, number) for number, one in enumerate(made)]
    assert furthest / 4 < max(gaps) <= furthest * 4


def test_disorder_and_late_events_by_their_time() -> None:
    made = times(events(Mix(repeats=0, disorder=0.2, late=0.05)))
    now = sorted(made)[len(made) // 2]
    late = sum(now - one > timedelta(days=1) for one in made)
    moved = sum(timedelta(seconds=5) < abs(one - now) < timedelta(seconds=310) for one in made)
    assert 0.02 < late / len(made) < 0.08
    assert 0.15 < moved / len(made) < 0.25


def test_misrouted_odd_and_damaged_events() -> None:
    plain = Mix(repeats=0)
    misrouted = events(plain._replace(misrouted=1.0))
    odd, damaged = events(plain._replace(odd=1.0)), events(plain._replace(damaged=1.0))
    assert {one.partition for one in misrouted} == set(range(PARTITIONS))
    keyless = sum(one.key is None for one in odd)
    assert {type(one.key) for one in odd} == {type(None), bytes, str}
    assert {one.value for one in odd if isinstance(one.key, str)} == {None, b""}
    assert 0.15 < keyless / len(odd) < 0.35
    whole = {one.value for one in events(plain)}
    assert sum(one.value in whole for one in damaged) < len(damaged) / 20
