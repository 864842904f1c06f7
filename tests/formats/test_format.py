"""One suite over every registered format: what the contract promises whatever the file holds."""

import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.consent import ConsentRequest
from streams.core.events import EVENT_TYPES
from streams.formats.format import MAX_LINE_BYTES, Format, Parsed, Rejected
from streams.formats.registry import FORMATS
from streams.wire.codec import encode_consent_request, encode_event
from streams.wire.topics import CONSENT_REQUESTS, EVENT_TOPICS
from tests.formats.samples import SAMPLES, parsed, read, rejects

TYPE_OF = dict(zip((*EVENT_TOPICS, CONSENT_REQUESTS), (*EVENT_TYPES, ConsentRequest), strict=True))

each_format = pytest.mark.parametrize("each", FORMATS.values(), ids=FORMATS)


def assert_publishable(outcome: Parsed) -> None:
    for topic, value in outcome.events:
        assert isinstance(value, TYPE_OF[topic])
        assert encode_consent_request(value) if isinstance(value, ConsentRequest) else encode_event(value)


def test_every_format_has_a_sample_here() -> None:
    assert FORMATS.keys() == SAMPLES.keys()


@each_format
def test_a_sample_is_read_whole_and_can_be_published(each: Format, tmp_path: Path) -> None:
    outcomes = read(each, tmp_path, SAMPLES[each.name])
    assert rejects(outcomes) == []
    for outcome in parsed(outcomes):
        assert_publishable(outcome)
    assert sum(len(outcome.events) for outcome in parsed(outcomes)) >= 2


@each_format
@given(noise=st.binary(max_size=200), position=st.integers(0, 500))
def test_no_bytes_raise_and_what_is_parsed_can_be_published(
    each: Format, noise: bytes, position: int
) -> None:
    whole = SAMPLES[each.name].encode()
    with tempfile.TemporaryDirectory() as folder:
        for outcome in read(each, Path(folder), whole[:position] + noise + whole[position:]):
            if isinstance(outcome, Parsed):
                assert_publishable(outcome)
            else:
                assert outcome.reason


@each_format
def test_a_file_of_noise_gives_rejects_only(each: Format, tmp_path: Path) -> None:
    outcomes = read(each, tmp_path, b"\xff\xfe\x00garbage\nmore \x00 garbage\n")
    assert outcomes
    assert all(isinstance(outcome, Rejected) for outcome in outcomes)


@each_format
def test_an_empty_file_gives_nothing(each: Format, tmp_path: Path) -> None:
    assert read(each, tmp_path, b"") == []


@each_format
def test_a_broken_last_line_is_rejected_with_its_number_and_the_rest_stays(
    each: Format, tmp_path: Path
) -> None:
    whole = SAMPLES[each.name].rstrip()
    before = read(each, tmp_path, whole)
    after = read(each, tmp_path, whole[:-12])
    lines = whole.count("\n") + 1
    assert [line for line, _reason in rejects(after)] == [lines]
    assert parsed(after) == [outcome for outcome in parsed(before) if outcome.line != lines]


@each_format
def test_a_line_over_the_limit_is_rejected_and_the_next_is_read(each: Format, tmp_path: Path) -> None:
    header, rest = SAMPLES[each.name].split("\n", 1)
    outcomes = read(each, tmp_path, f"{header}\n{'x' * (MAX_LINE_BYTES + 1)}\n{rest}")
    assert rejects(outcomes) == [(2, "line longer than 1048576 bytes")]
    assert parsed(outcomes)


@each_format
def test_a_line_at_the_limit_is_read_as_a_line(each: Format, tmp_path: Path) -> None:
    header = SAMPLES[each.name].split("\n", 1)[0]
    outcomes = read(each, tmp_path, f"{header}\n{'x' * (MAX_LINE_BYTES - 1)}\n")
    assert [line for line, _reason in rejects(outcomes)] == [2]
    assert "longer" not in rejects(outcomes)[0][1]


@each_format
def test_a_reason_never_quotes_the_line(each: Format, tmp_path: Path) -> None:
    secret = "hunter2"
    sample = SAMPLES[each.name]
    for line in sample.splitlines()[1:]:
        for cut in range(len(line)):
            for _line, reason in rejects(read(each, tmp_path, sample + line[:cut] + secret + line[cut:])):
                assert secret not in reason


def test_a_line_without_an_end_costs_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "input"
    with file.open("wb") as stream:
        for _ in range(40):
            stream.write(b"x" * MAX_LINE_BYTES)
    tracemalloc.start()
    try:
        assert len(list(FORMATS["jsonl"].read(file))) == 1
        assert tracemalloc.get_traced_memory()[1] < 8 * MAX_LINE_BYTES
    finally:
        tracemalloc.stop()
