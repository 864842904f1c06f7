"""Requests that were answered are known for a while, by subject, and from the answers alone."""

import pytest

from streams.core.codes import ConsentAction, ConsentOutcome
from streams.kernel.recent_requests import WINDOW, RecentRequests
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import ConsentResult, encode_consent_result

KEY = b"bank:1"


def answers(*values: bytes | None) -> RecordBatch:
    count = len(values)
    keys, zeros, headers = [KEY] * count, [0] * count, [()] * count
    return RecordBatch("consent.results", 0, range(count), zeros, keys, list(values), headers, 0, count)


def answer(request_id: str) -> bytes:
    return encode_consent_result(
        ConsentResult(request_id, "bank:1", None, ConsentAction.GRANT, ConsentOutcome.ACCEPTED, None, 1, 2, 3)
    )


def test_a_request_is_known_for_its_subject_and_by_its_id() -> None:
    recent = RecentRequests()
    assert not recent.knows(KEY, "one")
    recent.note(KEY, "one")
    assert recent.knows(KEY, "one")
    assert not recent.knows(KEY, "two")
    assert not recent.knows(b"bank:2", "one")


def test_an_empty_id_is_nobodys() -> None:
    recent = RecentRequests()
    recent.note(KEY, "")
    assert not recent.knows(KEY, "")
    assert recent.count == 1


def test_the_window_is_counted_in_answers_whatever_their_ids() -> None:
    recent = RecentRequests()
    recent.note(KEY, "one")
    for _ in range(WINDOW - 1):
        recent.note(KEY, "")
    assert recent.knows(KEY, "one")
    assert not recent.knows(KEY, "one", ahead=1), "one more is answered first"
    recent.note(KEY, "")
    assert not recent.knows(KEY, "one")


def test_memory_is_bounded_and_what_counts_stays() -> None:
    recent = RecentRequests()
    for number in range(5 * WINDOW):
        recent.note(KEY, str(number))
    assert len(recent._answered) <= 2 * WINDOW
    assert recent.knows(KEY, str(4 * WINDOW))
    assert not recent.knows(KEY, str(4 * WINDOW - 1))


@pytest.mark.parametrize("length", [1, 63, 64, 300])
def test_ids_are_read_back_from_answers(length: int) -> None:
    recent, request_id = RecentRequests(), "i" * length
    recent.load(answers(answer(request_id), answer("two")))
    assert recent.knows(KEY, request_id)
    assert recent.knows(KEY, "two")


@pytest.mark.parametrize(
    "value", [None, b"", b"\0\0\0\0\x11", b"\0\0\0\0\x11\x01", b"\0\0\0\0\x11\xff\xff\xff"]
)
def test_an_answer_that_cannot_be_read_is_counted(value: bytes | None) -> None:
    recent = RecentRequests()
    recent.load(answers(value))
    assert recent.count == 1
    assert not recent._answered
