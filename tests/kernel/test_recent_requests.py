"""Requests that were answered are known for a while, by subject, and from the answers alone."""

import pytest

from streams.core.codes import ConsentAction, ConsentOutcome, LinkAction
from streams.kernel.recent_requests import WINDOW, RecentRequests, digest
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import ConsentResult, LinkResult, encode_consent_result, encode_link_result

KEY = b"bank:1"
ONE = digest(KEY, "one")


def answers(*values: bytes | None) -> RecordBatch:
    count = len(values)
    keys, zeros, headers = [KEY] * count, [0] * count, [()] * count
    return RecordBatch("consent.results", 0, range(count), zeros, keys, list(values), headers, 0, count)


def answer(request_id: str, offset: int, effective_at: int | None = 2) -> bytes:
    action, outcome = ConsentAction.GRANT, ConsentOutcome.ACCEPTED
    made = ConsentResult(request_id, "bank:1", None, action, outcome, None, 1, effective_at, offset)
    return encode_consent_result(made)


def test_a_request_is_known_after_its_place_in_the_log_and_not_at_it_or_before() -> None:
    recent = RecentRequests()
    assert not recent.knows(ONE, 5)
    recent.note(ONE, 5)
    assert recent.knows(ONE, 6)
    assert not recent.knows(ONE, 5), "it is folded again"
    assert not recent.knows(ONE, 4)
    assert not recent.knows(digest(KEY, "two"), 6)
    assert not recent.knows(digest(b"bank:2", "one"), 6)


def test_the_window_is_counted_in_offsets() -> None:
    recent = RecentRequests()
    recent.note(ONE, 5)
    assert recent.knows(ONE, 5 + WINDOW)
    assert not recent.knows(ONE, 6 + WINDOW)


def test_memory_is_bounded_and_what_counts_stays() -> None:
    recent = RecentRequests()
    last = 5 * WINDOW
    for offset in range(last):
        recent.note(digest(KEY, str(offset)), offset)
    assert len(recent._answered) <= 2 * WINDOW
    assert all(recent.knows(digest(KEY, str(offset)), last) for offset in range(last - WINDOW, last))


@pytest.mark.parametrize("length", [1, 63, 64, 300])
@pytest.mark.parametrize("offset", [0, 63, 64, 8_191, 8_192, 1 << 40])
@pytest.mark.parametrize("effective_at", [None, 1_800_000_000_000])
def test_ids_and_offsets_are_read_back_from_answers(
    length: int, offset: int, effective_at: int | None
) -> None:
    recent, request_id = RecentRequests(), "i" * length
    recent.load(answers(answer("two", offset + 9), answer(request_id, offset, effective_at)))
    assert recent.knows(digest(KEY, request_id), offset + 1)
    assert not recent.knows(digest(KEY, request_id), offset)
    assert recent.knows(digest(KEY, "two"), offset + 10)
    assert recent.first_offset == offset


def test_an_empty_id_is_nobodys() -> None:
    recent = RecentRequests()
    recent.load(answers(answer("", 3)))
    assert not recent._answered
    assert recent.first_offset == 3


@pytest.mark.parametrize(
    "value", [None, b"", bytes(5), bytes(5) + b"\x01", bytes(5) + b"\xff\xff\xff", bytes(5) + b"\x10ab\x02"]
)
def test_an_answer_that_cannot_be_read_is_nobodys(value: bytes | None) -> None:
    recent = RecentRequests()
    recent.load(answers(value))
    assert not recent._answered
    assert recent.first_offset is None


@pytest.mark.parametrize("revoked", [0, 64, 256])
def test_answers_to_link_requests_are_read_back_as_well(revoked: int) -> None:
    recent, outcome = RecentRequests(), ConsentOutcome.ACCEPTED
    made = LinkResult("one", "psid:1", LinkAction.UNLINK, outcome, None, revoked, 8_192)
    recent.load(answers(encode_link_result(made)))
    assert recent.knows(ONE, 8_193)
    assert recent.first_offset == 8_192
