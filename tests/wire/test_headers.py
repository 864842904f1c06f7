"""Headers of notifications and of dead letters."""

import pytest

from streams.core.codes import Reason
from streams.wire.headers import NotificationHeaders, dead_letter_headers, rfc3339

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HEADERS = NotificationHeaders("notifier", 7, 42, "v1", 1732000000007)
# the last ones of the closed list; the others suppress
REJECTS = [reason for reason in Reason if reason >= Reason.NO_KEY]


def test_a_notification_says_where_it_comes_from_and_what_it_rests_on() -> None:
    headers = HEADERS.of("1b5eb6ff", "bank.transactions", 99, TRACE)
    assert len(headers) == len(dict(headers))
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"1b5eb6ff",
        "ce_source": b"/notifier/notifier/7",
        "ce_type": b"notifier.v1.Notification",
        "ce_time": b"2024-11-19T07:06:40.007Z",
        "notifier.source": b"bank.transactions/7/99",
        "notifier.consent": b"42",
        "notifier.policy": b"v1",
        "traceparent": TRACE,
    }


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        b"",
        TRACE[:-1],
        TRACE + b"0",
        TRACE.upper(),
        b"ff" + TRACE[2:],
        TRACE.replace(b"4bf92f3577b34da6a3ce929d0e0e4736", b"0" * 32),
        TRACE.replace(b"00f067aa0ba902b7", b"0" * 16),
        b"user:3f2a",
    ],
)
def test_a_traceparent_that_is_none_is_not_passed_on(traceparent: bytes | None) -> None:
    assert "traceparent" not in dict(HEADERS.of("1b5eb6ff", "bank.transactions", 99, traceparent))


def test_one_notifications_headers_are_not_anothers() -> None:
    first = HEADERS.of("1", "bank.transactions", 1, TRACE)
    assert dict(HEADERS.of("2", "bank.balances", 2, None))["notifier.source"] == b"bank.balances/7/2"
    assert dict(first)["notifier.source"] == b"bank.transactions/7/1"


def test_times_are_exact_to_the_millisecond() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(253402300799999) == "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize("reason", REJECTS)
def test_a_dead_letter_says_which_record_and_why(reason: Reason) -> None:
    headers = dict(dead_letter_headers("bank.security", 3, 17, reason))
    message = headers.pop("__streams.errors.message").decode()
    assert headers == {
        "__streams.errors.topic": b"bank.security",
        "__streams.errors.partition": b"3",
        "__streams.errors.offset": b"17",
        "__streams.errors.exception": b"RejectedRecord",
        "notifier.error.code": reason.name.encode(),
    }
    assert message != reason.name
    assert len(message) > 20
