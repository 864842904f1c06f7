import re
import sys
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.masking import masked
from verifier.model.masking import masked as model_masked

CARD, IBAN = "4111111111111111", "DE89370400440532013000"
PIECES = st.sampled_from(
    ["4111", "1111", "41", "DE89", "3704", "0044", "0532", "0130", "00", CARD, IBAN, "x", " ", "-", ".", "é",
     "_", "\u0664\u0661", "\uff11\uff12", "²", "\u200b", "5", "Ⅷ"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown", "shown_at_low_detail"),
    [
        ("Rewe 12 Bonn", "Rewe 12 Bonn", "Rewe 12 Bonn"),
        ("12345", "12345", "12345"),
        ("AMZN 123456", "AMZN *3456", "AMZN *"),
        ("shop123456shop", "shop*3456shop", "shop*shop"),
        (CARD, "*1111", "*"),
        ("card 4111 1111 1111 1111!", "card *1111!", "card *!"),
        ("no 12 4111-1111-1111-1111", "no 12 *1111", "no 12 *"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("3714 496353 98431", "*8431", "*"),
        (f"to {IBAN}.", "to *3000.", "to *."),
        ("DE89 3704 0044 0532 0130 00", "*3000", "*"),
        ("de89 3704 0044 0532 0130 00", "*3000", "*"),
        ("DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
        ("NO93 8601 1117 947 and NO93 8601 1117 947", "*7947 and *7947", "* and *"),
        ("4111   1111   1111   1111", "4111   1111   1111   1111", "4111   1111   1111   1111"),
        ("\u0664" * 7, "*" + "\u0664" * 4, "*"),
        ("", "", ""),
    ],
)
def test_long_numbers_are_masked(text: str, shown: str, shown_at_low_detail: str) -> None:
    assert masked(text, shows_last=True) == shown
    assert masked(text, shows_last=False) == shown_at_low_detail


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40), st.booleans())
def test_the_model_which_was_written_apart_masks_the_same(text: str, shows_last: bool) -> None:
    assert masked(text, shows_last=shows_last) == model_masked(text, detail_is_high=shows_last)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_run_of_six_digits_is_left(text: str) -> None:
    assert not re.search(r"\d{6}", masked(text, shows_last=True))


@pytest.mark.parametrize("piece", ["1", "12 ", "1 ", "1234 ", "AB12 ", "4111-"])
def test_the_longest_texts_take_a_bounded_time(piece: str) -> None:
    text = (piece * 1_024)[:1_024]
    started = process_time()
    masked(text, shows_last=True)
    assert process_time() - started < 1.0


def test_every_script_s_digits_count() -> None:
    digits = [chr(code) for code in range(sys.maxunicode + 1) if re.fullmatch(r"\d", chr(code))]
    assert len(digits) > 600
    assert all(masked(digit * 6, shows_last=False) == "*" for digit in digits)
