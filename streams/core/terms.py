"""What the versions of one holder allow together: their intersection.

Imports `codes` and `consent`. Source: docs/rules.md section 3.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from streams.core.codes import DetailLevel, Direction, Purposes
from streams.core.consent import Consent

KNOWN_PURPOSES = int(Purposes.BALANCE | Purposes.RECEIPT | Purposes.SHIPPING | Purposes.SECURITY)
NO_CURRENCY = ""
"""Stands for the currency of thresholds that contradict each other: no event has it."""


class Terms(NamedTuple):
    """What may be told and shown.

    `direction` holds the bits IN 1 and OUT 2. A threshold of None is none; a currency of None is any,
    NO_CURRENCY is none at all.
    """

    purposes: int
    detail_level: int
    direction: int
    valid_until: int
    min_amount_minor: int | None
    min_currency: str | None
    low_balance_minor: int | None
    low_currency: str | None


def terms_at(versions: Sequence[Consent], at_ms: int) -> Terms | None:
    """Return the terms for an event at `at_ms` (UTC), None if no version was effective. Never raises.

    The intersection of the last version effective then and every later one.
    """
    for index in range(len(versions) - 1, -1, -1):
        if versions[index].effective_at <= at_ms:
            return intersection(versions[index:])
    return None


def intersection(versions: Sequence[Consent]) -> Terms:
    """Return what all of `versions` (at least one) allow.

    Never raises for codes that we do not know: they allow nothing.
    """
    terms = _terms_of(versions[0])
    for version in versions[1:]:
        terms = _both(terms, _terms_of(version))
    return terms


def _terms_of(version: Consent) -> Terms:
    preferences = version.preferences
    minimum, low = preferences.min_amount_minor, preferences.low_balance_minor
    return Terms(
        version.purposes & KNOWN_PURPOSES,
        int(version.detail_level)
        if DetailLevel.ACTIVITY_ONLY <= version.detail_level <= DetailLevel.FULL
        else 1,
        int(version.direction) if Direction.IN <= version.direction <= Direction.BOTH else 0,
        version.valid_until,
        minimum,
        None if minimum is None else preferences.currency,
        low,
        None if low is None else preferences.currency,
    )


def _both(one: Terms, other: Terms) -> Terms:
    minimum = _choose(max, one.min_amount_minor, other.min_amount_minor)
    low = _choose(min, one.low_balance_minor, other.low_balance_minor)
    return Terms(
        one.purposes & other.purposes,
        min(one.detail_level, other.detail_level),
        one.direction & other.direction,
        min(one.valid_until, other.valid_until),
        minimum,
        _currency(one.min_currency, other.min_currency),
        low,
        _currency(one.low_currency, other.low_currency),
    )


def _choose(pick: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return pick(one, other)


def _currency(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return other if one is None else one
    return one if one == other else NO_CURRENCY
