import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.codes import ShipmentStatus, TransactionStatus
from streams.core.events import AccountBalance, BankTransaction, ShipmentUpdate
from streams.errors import ConfigurationError
from streams.formats.retime import Span, check_length, moved, parse_speed, retimed, stamped

START = 1_800_000_000_000
SPAN = Span(1_000_000, 9_000_000)


@given(at=st.integers(0, 10**12), gap=st.integers(0, 10**12), speed=st.floats(0.01, 1e9))
def test_the_first_event_happens_at_the_start_and_gaps_are_divided(at: int, gap: int, speed: float) -> None:
    span = Span(at, at + gap)
    assert moved(at, span, START, speed) == START
    assert abs(moved(at + gap, span, START, speed) - START - gap / speed) <= 0.5


def test_every_kind_of_event_is_moved_by_its_own_time() -> None:
    payment = BankTransaction("e", "s", 3_000_000, TransactionStatus.POSTED, 1, "EUR")
    balance = AccountBalance("e", "s", 5_000_000, 1, "EUR")
    assert retimed(payment, SPAN, START, 2) == payment._replace(occurred_at=START + 1_000_000)
    assert retimed(balance, SPAN, START, 2) == balance._replace(as_of=START + 2_000_000)


def test_a_parcel_that_was_late_is_late_again() -> None:
    late = ShipmentUpdate("e", "s", "p", ShipmentStatus.DELIVERED, 5_000_000, eta_at=3_000_000)
    again = retimed(late, SPAN, START, 2)
    assert again == late._replace(status_at=START + 2_000_000, eta_at=START + 1_000_000)


def test_stamping_keeps_an_eta_as_far_ahead_as_it_was() -> None:
    parcel = ShipmentUpdate("e", "s", "p", ShipmentStatus.IN_TRANSIT, 5_000_000, eta_at=8_000_000)
    assert stamped(parcel, START) == parcel._replace(status_at=START, eta_at=START + 3_000_000)


def test_a_file_of_ten_minutes_is_taken_and_a_longer_one_refused_with_the_speed_that_fits() -> None:
    check_length(Span(0, 600_000), 1)
    check_length(Span(0, 10**12), "max")
    with pytest.raises(ConfigurationError, match=r"--speed 2, or --speed max"):
        check_length(Span(0, 600_001), 1)


@given(length=st.integers(600_001, 10**13))
def test_the_speed_named_fits_and_one_less_does_not(length: int) -> None:
    span = Span(0, length)
    with pytest.raises(ConfigurationError) as refused:
        check_length(span, 1)
    fits = int(refused.value.message.partition("--speed ")[2].partition(",")[0])
    check_length(span, fits)
    with pytest.raises(ConfigurationError):
        check_length(span, fits - 1)


def test_speed_is_a_number_above_zero_or_max() -> None:
    assert parse_speed("max") == "max"
    assert parse_speed("2.5") == 2.5
    for wrong in ("0", "-1", "nan", "inf", "fast", ""):
        with pytest.raises(ConfigurationError):
            parse_speed(wrong)
