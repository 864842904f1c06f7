"""Formats of a person's language and region: money, moments and countries, by babel.

Imports babel only. The contract is docs/words.md sections 3 and 4. Read next: `render.py`.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale, localedata
from babel.dates import format_skeleton, format_time
from babel.numbers import format_currency

# ISO 4217 minor units. Not babel's digits: those are customary ones, 0 for IQD with its 1,000 fils.
_NO_DECIMALS = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
    "XOF", "XPF",
]  # fmt: skip
_EXPONENTS = {
    **dict.fromkeys(_NO_DECIMALS, 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
_USUAL_EXPONENT = 2
_LANGUAGES = {"de": ("DE", "de"), "en": ("US", "en"), "pt": ("BR", "pt_BR")}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """What a language tag means here: the words (de, en, pt), the region, the locale of numbers and dates."""

    language: str
    region: str
    formats: Locale


@lru_cache(maxsize=1024)
def place_of(tag: str) -> Place:
    """Return language, region and formats for a BCP 47 tag, English where we have no words. Never raises."""
    language, *parts = tag.replace("_", "-").split("-")
    language = language.lower()
    if language not in _LANGUAGES:
        return Place("en", "US", Locale.parse("en"))
    default_region, default_formats = _LANGUAGES[language]
    region = _region(parts)
    if region and localedata.exists(f"{language}_{region}"):
        return Place(language, region, Locale(language, region))
    return Place(language, region or default_region, Locale.parse(default_formats))


def _region(parts: list[str]) -> str | None:
    for part in parts:
        if len(part) == 1:  # an extension begins; what follows names no region
            return None
        if re.fullmatch("[A-Za-z]{2}", part):
            return part.upper()
    return None


def exponent_of(currency: str) -> int:
    """Return how many decimal digits the minor unit of an ISO 4217 currency has: 0, 2, 3 or 4."""
    return _EXPONENTS.get(currency, _USUAL_EXPONENT)


def money(minor: int | None, currency: str | None, place: Place) -> str | None:
    """Return an amount in minor units, exact; None without an amount or a currency code. Never raises."""
    if minor is None or currency is None or not re.fullmatch("[A-Z]{3}", currency):
        return None
    amount = Decimal(minor).scaleb(-exponent_of(currency))
    words = format_currency(amount, currency, locale=place.formats, decimal_quantization=False)
    # CLDR's currency spacing, which babel 2.18 does not apply (KWD 1.500): test_currency_code_is_set_apart.
    return _plain(re.sub(r"(?<=[A-Z])(?=\d)", "\u00a0", words))


def moment(at_ms: int, zone: str, place: Place) -> str | None:
    """Return day and time in a zone, UTC if it is unknown; None outside years 1 to 9999. Never raises."""
    found = _zone(zone)
    local = _local(at_ms, found)
    if local is None:
        return None
    day = format_skeleton("MMMd", local, locale=place.formats)
    words = f"{day}, {format_time(local, 'short', locale=place.formats)}"
    return _plain(words if found else f"{words} UTC")


def day(at_ms: int | None, zone: str, place: Place) -> str | None:
    """Return weekday and date of a UTC moment in a zone (UTC if unknown); None without one. Never raises."""
    local = None if at_ms is None else _local(at_ms, _zone(zone))
    return None if local is None else _plain(format_skeleton("EEEMMMd", local, locale=place.formats))


def country(code: str | None, place: Place) -> str | None:
    """Return the name of a country; None for the person's own and for what is no code. Never raises."""
    if code is None or code == place.region or not re.fullmatch("[A-Z]{2}", code):
        return None
    return _plain(str(place.formats.territories.get(code, code)))


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; no name at all; a folder such as "America"
        return None


def _local(at_ms: int, zone: ZoneInfo | None) -> datetime | None:
    try:
        return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone or UTC)
    except OverflowError:
        return None


def _plain(text: str) -> str:
    return text.replace("\u202f", "\u00a0")
