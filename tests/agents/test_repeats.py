"""What the filter of repeated log lines lets through."""

import logging

from streams.agents.repeats import EVERY_S, Repeats


def passed(
    repeats: Repeats, at: float, template: str, *values: object, name: str = "aiokafka.conn"
) -> str | None:
    record = logging.LogRecord(name, logging.ERROR, "file", 1, template, values, None)
    record.created = at
    return record.getMessage() if repeats.filter(record) else None


def test_a_repeated_complaint_of_the_client_is_written_once_in_a_while_with_how_often() -> None:
    repeats = Repeats()
    assert passed(repeats, 0, "no node %d", 1) == "no node 1"
    assert passed(repeats, 1, "no node %d", 1) is None
    assert passed(repeats, 2, "no node %d", 2) is None
    assert passed(repeats, EVERY_S, "no node %d", 3) == "no node 3 (2 more like it before)"
    assert passed(repeats, 2 * EVERY_S, "no node %d", 3) == "no node 3"


def test_another_complaint_is_written_at_once() -> None:
    repeats = Repeats()
    assert passed(repeats, 0, "no node")
    assert passed(repeats, 0, "no coordinator")
    assert passed(repeats, 0, "no node", name="aiokafka.other")


def test_what_we_say_ourselves_is_always_written() -> None:
    repeats = Repeats()
    for at in range(3):
        assert passed(repeats, at, "owns %d", 1, name="streams.kafka.carrier") == "owns 1"


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    repeats = Repeats()
    assert passed(repeats, 1000, "no node")
    assert passed(repeats, 10, "no node")
