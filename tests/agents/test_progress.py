"""What counts as a standstill, look by look."""

from typing import Any

from streams.agents.progress import StandstillWatch
from streams.kafka.partition_task import Standing

TOPIC, REQUESTS = "bank.transactions", "consent.requests"
INPUTS = (REQUESTS, TOPIC)


def standing(event: int = 5, request: int = 2, **changed: Any) -> Standing:
    usual = Standing(True, 9, {TOPIC: event, REQUESTS: request}, INPUTS)
    return usual._replace(**changed)


def ends(event: int = 5, request: int = 2) -> dict[tuple[str, int], int]:
    return {(TOPIC, 0): event, (REQUESTS, 0): request}


def still_s(first: Standing, second: Standing, until: dict[tuple[str, int], int]) -> float:
    """Return what two looks, five seconds apart, say of partition 0."""
    watch = StandstillWatch(10.0)
    watch.look(5.0, {0: first}, until)
    return watch.look(5.0, {0: second}, until).get(0, 0.0)


def test_records_before_it_and_no_move_is_a_standstill() -> None:
    assert still_s(standing(), standing(), ends(event=6)) == 5.0
    assert still_s(standing(), standing(), ends(request=3)) == 5.0


def test_nothing_to_read_is_none() -> None:
    assert still_s(standing(), standing(), ends()) == 0.0


def test_a_move_of_any_topic_is_progress() -> None:
    assert still_s(standing(), standing(event=6), ends(event=100)) == 0.0
    assert still_s(standing(), standing(request=3), ends(event=100)) == 0.0


def test_events_wait_for_requests_that_others_hold_back() -> None:
    waiting = standing(readable=(REQUESTS,))
    assert still_s(waiting, waiting, ends(event=100)) == 0.0
    assert still_s(waiting, waiting, ends(event=100, request=3)) == 5.0


def test_a_restore_that_reads_is_progress_and_one_that_does_not_is_a_standstill() -> None:
    restoring = standing(is_restored=False, reached={})
    assert still_s(restoring, restoring._replace(restored=10), {}) == 0.0
    assert still_s(restoring, restoring, {}) == 5.0


def test_acquiring_again_is_no_progress() -> None:
    """Else a worker that tries for ever, in vain, would look alive."""
    assert still_s(standing(), standing(is_restored=False), ends(event=6)) == 5.0


def test_time_adds_up_over_looks_and_a_pause_counts_as_one_look() -> None:
    watch = StandstillWatch(10.0)
    seen = [watch.look(elapsed, {0: standing()}, ends(event=6)) for elapsed in (5.0, 5.0, 5.0, 3600.0)]
    assert seen == [{}, {0: 5.0}, {0: 10.0}, {0: 20.0}]


def test_a_partition_that_went_and_came_back_begins_anew() -> None:
    watch = StandstillWatch(10.0)
    watch.look(5.0, {0: standing()}, ends(event=6))
    watch.look(5.0, {}, {})
    assert watch.look(5.0, {0: standing()}, ends(event=6)) == {}
