"""`--retime now`: old events happen again, from the start of the run on, at any speed. Pure: the clock is an
argument.

Imports `core` and `errors`. Read next: `production.py`. Source: DESIGN section 10.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from streams.core.events import (
    AccountBalance,
    BankTransaction,
    Event,
    SecurityAlert,
    ShipmentUpdate,
    event_time,
)
from streams.errors import ConfigurationError

Speed = float | Literal["max"]
MAX_RUN_S: Final = (
    600  # a person waits no longer; a file that takes longer is refused with the speed that fits
)


@dataclass(frozen=True, slots=True)
class Span:
    """Times of the earliest and the latest event of a file, UTC milliseconds."""

    first: int
    last: int


def parse_speed(text: str) -> Speed:
    """Return the speed that `--speed` names: `max`, or how many times faster than life, above 0.

    Raises:
        ConfigurationError: neither.
    """
    if text == "max":
        return "max"
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not (speed > 0 and math.isfinite(speed)):
        raise ConfigurationError("--speed takes a number above 0, or max.")
    return speed


def check_length(span: Span, speed: Speed) -> None:
    """Refuse a file that would take longer than MAX_RUN_S at this speed.

    Raises:
        ConfigurationError: it would; the message names the least whole speed that fits.
    """
    if speed == "max" or (span.last - span.first) / speed <= MAX_RUN_S * 1000:
        return
    fits = math.ceil((span.last - span.first) / (MAX_RUN_S * 1000))
    seconds = (span.last - span.first) / speed / 1000
    raise ConfigurationError(
        f"At speed {speed:g} this file takes {seconds:,.0f} s; at most {MAX_RUN_S} s are allowed. "
        f"Use --speed {fits}, or --speed max."
    )


def moved(at: int, span: Span, start: int, speed: float) -> int:
    """Return when a time of the file happens in a run that starts at `start`; all are UTC milliseconds.

    The earliest event happens at `start`, gaps are divided by `speed`. Never raises for a positive speed.
    """
    return start + round((at - span.first) / speed)


def retimed(event: Event, span: Span, start: int, speed: float) -> Event:
    """Return the event with all its times moved alike, so that a parcel that was late is late again. Never
    raises.
    """
    match event:
        case AccountBalance():
            return event._replace(as_of=moved(event.as_of, span, start, speed))
        case BankTransaction() | SecurityAlert():
            return event._replace(occurred_at=moved(event.occurred_at, span, start, speed))
        case ShipmentUpdate():
            eta_at = None if event.eta_at is None else moved(event.eta_at, span, start, speed)
            return event._replace(status_at=moved(event.status_at, span, start, speed), eta_at=eta_at)


def stamped(event: Event, now: int) -> Event:
    """Return the event as if it happened at `now`; an ETA stays as far ahead of it as it was. Never
    raises.
    """
    return retimed(event, Span(event_time(event), event_time(event)), now, 1)
