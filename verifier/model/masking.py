"""Section 7 of docs/rules.md, "Masking": numbers in free texts that must not go out."""

import unicodedata
from collections.abc import Callable

LEAST_DIGITS, MOST_BETWEEN, MOST_RUNS = 6, 2, 10
_ASCII = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def masked(text: str, *, detail_is_high: bool) -> str:
    """The text as it may go out; with high detail the last four characters of a number stay."""
    if sum(map(_is_digit, text)) < LEAST_DIGITS:
        return text
    marked = [False] * len(text)
    for run in _runs(text, _is_digit):
        if len(run) >= LEAST_DIGITS:
            _mark(marked, run[0], run[-1])
    for group in _together(text, _runs(text, _is_digit), 19):
        if len(group) >= 13 and _passes_luhn("".join(text[at] for at in group)):
            _mark(marked, group[0], group[-1])
    for group in _together(text, _runs(text, _ASCII.__contains__), 34):
        if len(group) >= 15 and _passes_97("".join(text[at] for at in group).upper()):
            _mark(marked, group[0], group[-1])
    shown, number = "", ""
    for char, is_marked in zip(text + "\0", [*marked, False], strict=True):
        if is_marked:
            number += char
            continue
        if number:
            tail = [one for one in number if _is_letter_or_number(one)][-4:]
            shown += "*" + ("".join(tail) if detail_is_high else "")
            number = ""
        shown += char
    return shown[:-1]


def _is_digit(char: str) -> bool:
    return unicodedata.category(char) == "Nd"


def _is_letter_or_number(char: str) -> bool:
    return unicodedata.category(char)[0] in "LN"


def _mark(marked: list[bool], first: int, last: int) -> None:
    marked[first : last + 1] = [True] * (last + 1 - first)


def _runs(text: str, belongs: Callable[[str], bool]) -> list[list[int]]:
    """Maximal runs of characters that belong, as places."""
    runs: list[list[int]] = []
    for at, char in enumerate(text):
        if not belongs(char):
            continue
        if runs and runs[-1][-1] == at - 1:
            runs[-1].append(at)
        else:
            runs.append([at])
    return runs


def _together(text: str, runs: list[list[int]], longest: int) -> list[list[int]]:
    """Every run by itself and with its neighbours after it, as long as they are not longer than that."""
    groups = []
    for first in range(len(runs)):
        group: list[int] = []
        for run in runs[first : first + MOST_RUNS]:
            between = text[group[-1] + 1 : run[0]] if group else ""
            if len(between) > MOST_BETWEEN or any(map(_is_letter_or_number, between)):
                break
            group = group + run
            if len(group) > longest:
                break
            groups.append(group)
    return groups


def _passes_luhn(number: str) -> bool:
    total = 0
    for place, char in enumerate(reversed(number)):
        digit = unicodedata.decimal(char) * (1 + place % 2)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def _passes_97(word: str) -> bool:
    head, check = word[:2], word[2:4]
    if not (head.isalpha() and check.isdigit()) or sum(map(str.isdigit, word)) < LEAST_DIGITS:
        return False
    rest = 0
    for char in word[4:] + word[:4]:
        value = ord(char) - 48 if char.isdigit() else ord(char) - 55
        rest = (rest * (10 if value < 10 else 100) + value) % 97
    return rest == 1
