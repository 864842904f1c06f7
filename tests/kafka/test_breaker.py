"""When too much of the last records is dead, and when it is not."""

import pytest

from streams.errors import DeadLetterBreakerError
from streams.kafka.breaker import DeadLetterBreaker


def test_nothing_stops_before_the_window_is_full() -> None:
    breaker = DeadLetterBreaker(50, 100)
    for _ in range(99):
        breaker.count(1, 1)
    with pytest.raises(DeadLetterBreakerError, match="100% of the last 100 records"):
        breaker.count(1, 1)


def test_as_much_as_is_allowed_does_not_stop() -> None:
    breaker = DeadLetterBreaker(50, 100)
    for _ in range(1_000):
        breaker.count(2, 1)
    assert breaker.ratio == 0.5


def test_what_left_the_window_does_not_count() -> None:
    breaker = DeadLetterBreaker(50, 100)
    breaker.count(90, 90)
    breaker.count(100, 10)
    assert breaker.ratio == 0.1
    breaker.count(0, 0)
    assert breaker.ratio == 0.1


def test_a_hundred_per_cent_never_stops() -> None:
    breaker = DeadLetterBreaker(100, 100)
    for _ in range(10):
        breaker.count(1_000, 1_000)
    assert breaker.ratio == 1.0
