import asyncio

from streams.ops.doctor import MAX_SKEW_MS, _clock, examine
from streams.settings import Settings


def test_without_a_broker_the_doctor_says_so_once_and_skips_the_rest() -> None:
    diagnosis = asyncio.run(examine(Settings.from_env({}, kafka="127.0.0.1:1")))
    assert diagnosis.exit_code == 3
    assert [one.check for one in diagnosis.findings if one.is_ok is False] == ["kafka"]
    kafka = next(one for one in diagnosis.findings if one.check == "kafka")
    assert kafka.found == "No Kafka at 127.0.0.1:1 (PLAINTEXT): ConnectionRefusedError."
    assert kafka.cure is not None
    assert kafka.cure.startswith("Start one with `notifier up`")
    skipped = {one.check for one in diagnosis.findings if one.is_ok is None}
    assert skipped == {"topics", "timeouts", "transactions", "clock", "partitioner"}


def test_clocks_may_differ_a_little_in_either_direction() -> None:
    assert _clock(0).is_ok
    assert _clock(MAX_SKEW_MS).is_ok
    assert _clock(-MAX_SKEW_MS).is_ok
    behind, ahead = _clock(-MAX_SKEW_MS - 1), _clock(MAX_SKEW_MS + 1)
    assert (behind.is_ok, ahead.is_ok) == (False, False)
    assert "behind ours" in behind.found
    assert "ahead of ours" in ahead.found
