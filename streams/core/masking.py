"""Takes card numbers, account numbers and long runs of digits out of texts that producers chose freely.

No such number may go to a messenger, whatever was consented to. Imports nothing of ours. Read next:
`notice.py`. Source: docs/rules.md section 7, "Masking"; ISO/IEC 7812-1 annex B (Luhn); ISO 13616-1 (IBAN).
"""

import re
from collections.abc import Iterable, Iterator

LEAST_DIGITS = 6
"""Fewer decimal digits in a text are never masked."""

_GAP_CHARS, _GROUPS = 2, 10
_CARD_DIGITS = range(13, 20)
_IBAN_CHARS = range(15, 35)
_DIGIT = re.compile(r"\d")
_DIGITS = re.compile(r"\d+")
_WORDS = re.compile(r"[0-9A-Za-z]+")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]+")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")

Span = tuple[int, int]


def masked(text: str, *, shows_last: bool) -> str:
    """Return `text` with a `*` in the place of each number that must not be shown; itself if there is none.

    With `shows_last` the last four letters or digits of the number follow the `*`. Never raises.
    """
    if len(_DIGIT.findall(text)) < LEAST_DIGITS:
        return text
    pieces: list[str] = []
    end = 0
    for start, stop in _merged([*_runs(text), *_cards(text), *_accounts(text)]):
        last = "".join(_LETTER_OR_DIGIT.findall(text[start:stop]))[-4:] if shows_last else ""
        pieces += (text[end:start], "*", last)
        end = stop
    return "".join((*pieces, text[end:])) if pieces else text


def _runs(text: str) -> Iterator[Span]:
    """Yield every run of six decimal digits or more, of any script."""
    for found in _DIGITS.finditer(text):
        if found.end() - found.start() >= LEAST_DIGITS:
            yield found.span()


def _cards(text: str) -> Iterator[Span]:
    """Yield runs of digits, close to each other, that make a card number together."""
    for span, number in _windows(text, _DIGITS, _CARD_DIGITS):
        if _is_luhn([int(digit) for digit in number]):
            yield span


def _accounts(text: str) -> Iterator[Span]:
    """Yield words, close to each other, that make an IBAN together."""
    for span, word in _windows(text, _WORDS, _IBAN_CHARS):
        name = word.upper()
        if _IBAN.fullmatch(name) and _is_iban(name):
            yield span


def _windows(text: str, group: re.Pattern[str], lengths: range) -> Iterator[tuple[Span, str]]:
    """Yield every span of at most ten neighbouring groups that hold so many characters, and these."""
    spans = [found.span() for found in group.finditer(text)]
    for first, (start, _) in enumerate(spans):
        joined, before = "", start
        for one, end in spans[first : first + _GROUPS]:
            joined += text[one:end]
            if len(joined) >= lengths.stop or not _is_gap(text[before:one]):
                break
            if len(joined) >= lengths.start:
                yield (start, end), joined
            before = end


def _is_gap(between: str) -> bool:
    return len(between) <= _GAP_CHARS and not _LETTER_OR_DIGIT.search(between)


def _is_luhn(digits: list[int]) -> bool:
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(name: str) -> bool:
    if len(_DIGIT.findall(name)) < LEAST_DIGITS:
        return False
    return int("".join(str(int(char, 36)) for char in name[4:] + name[:4])) % 97 == 1


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans in order, those that meet as one."""
    start = end = -1
    for one, other in sorted(spans):
        if one <= end:
            end = max(end, other)
            continue
        if end >= 0:
            yield start, end
        start, end = one, other
    if end >= 0:
        yield start, end
