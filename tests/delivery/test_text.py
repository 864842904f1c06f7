import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.text import ELLIPSIS, MAX_FIELD_CHARS, clean, cut


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Café\nNero\t2", "Café Nero 2"),
        ("  a \u00a0\u3000 b ", "a b"),
        ("a\x00b\x1bc\x7f", "abc"),
        ("a\r\n\u2028\u2029\x85b", "a b"),
        ("\u202eevil\u202c", "evil"),
        ("\u2066x\u2069\u200f\u061c", "x"),
        ("a\u200bb\ufeff\u00ad", "ab"),
        ("\ud800x", "x"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("", None),
        (None, None),
        (" \n ", None),
        ("\u202e", None),
        ("אבגד 7", "\u2068אבגד 7\u2069"),
    ],
)
def test_foreign_text_loses_what_is_not_to_be_seen(raw: str | None, shown: str | None) -> None:
    assert clean(raw) == shown


def test_foreign_text_is_limited() -> None:
    cleaned = clean("x" * 1024)
    assert cleaned == "x" * (MAX_FIELD_CHARS - 1) + ELLIPSIS


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("abc def", 5, "abc…"),
        ("pay €1,234.56", 11, "pay…"),
        ("pay 1.234,56\u00a0€ now", 12, "pay…"),
        ("cafe\u0301s au lait", 5, "caf…"),
        ("a👩\u200d💻b", 3, "a…"),
        ("a👍🏽b", 3, "a…"),
        ("a🇩🇪b", 3, "a…"),
        ("1234567", 4, "…"),
        ("no 5", 4, "no 5"),
        ("room 12 x", 8, "room 12…"),
        ("é" * 5, 1, "…"),
    ],
)
def test_a_cut_leaves_glyphs_and_numbers_whole(text: str, limit: int, expected: str) -> None:
    assert cut(text, limit) == expected


@settings(max_examples=300)
@given(st.text(), st.integers(1, 40))
def test_a_cut_is_the_start_of_the_text_and_never_longer_than_asked(text: str, limit: int) -> None:
    shown = cut(text, limit)
    assert len(shown) <= limit
    assert shown == text or (shown.endswith(ELLIPSIS) and text.startswith(shown[:-1]))
