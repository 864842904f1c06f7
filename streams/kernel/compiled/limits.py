"""The limits of an event's fields, checked on the columns that `fields.read_fields` fills.

Driven by the table `core/limits.py`; says what `core/facts.py` says. May import core. Read next: `join.py`.
Source: docs/rules.md section 2.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.core.limits import LIMITS, Check
from streams.kernel.compiled.fields import Ints, Longs
from streams.kernel.compiled.hashes import Bytes
from streams.kernel.compiled.jit import compiled, inlined

_NUMBER, _CHARS, _LETTERS, _DIGITS = (
    int(check) for check in (Check.NUMBER, Check.CHARS, Check.LETTERS, Check.DIGITS)
)


class EventLimits(NamedTuple):
    """The limits of one event type as columns, a row a field; see `core.limits.Limit`."""

    check: NDArray[np.uint8]
    low: Longs
    high: Longs
    is_nullable: NDArray[np.uint8]


def event_limits(event_type: int) -> EventLimits:
    """Return the limits of `EVENT_TYPES[event_type]`. Raises IndexError for another."""
    check, low, high, is_nullable = zip(*LIMITS[event_type].values(), strict=True)
    return EventLimits(
        np.array(check, dtype=np.uint8),
        np.array(low, dtype=np.int64),
        np.array(high, dtype=np.int64),
        np.array(is_nullable, dtype=np.uint8),
    )


@compiled
def is_within_limits(
    limits: EventLimits, buffer: Bytes, number: Longs, place: Ints, size: Ints, chars: Ints, is_null: Bytes
) -> bool:
    """Tell whether every field of an event is within its limits; columns as `read_fields` fills them. Never
    raises.
    """
    for row in range(len(limits.check)):
        i = np.uint64(row)
        if is_null[i]:
            if not limits.is_nullable[i]:
                return False
            continue
        check, low, high = limits.check[i], limits.low[i], limits.high[i]
        if check == _NUMBER:
            is_within = low <= number[i] <= high
        elif check == _CHARS:
            is_within = low <= chars[i] <= high
        elif check == _LETTERS:
            is_within = low <= size[i] <= high and _are_between(buffer, place[i], size[i], 65, 90)
        elif check == _DIGITS:
            is_within = low <= size[i] <= high and _are_between(buffer, place[i], size[i], 48, 57)
        else:
            is_within = True
        if not is_within:
            return False
    return True


@inlined
def _are_between(buffer: Bytes, at: int, size: int, first: int, last: int) -> bool:
    """Tell whether every byte is one of a range; in ASCII there are as many bytes as characters."""
    is_within = True
    for place in range(at, at + size):
        is_within &= first <= buffer[np.uint64(place)] <= last
    return is_within
