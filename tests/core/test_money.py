import pytest

from streams.core.money import EXPONENTS, exponent, is_currency


@pytest.mark.parametrize(
    ("currency", "decimals"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("MGA", 2), ("QQQ", 2)]
)
def test_a_currency_has_its_decimals(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals


def test_the_list_names_each_code_once_in_its_form() -> None:
    assert len(EXPONENTS) == 17 + 138 + 7 + 2
    assert all(is_currency(code) for code in EXPONENTS)


@pytest.mark.parametrize("text", ["", "EU", "EURO", "eur", "E1R", "ÄÖÜ", "E R", "EUR\n"])
def test_what_is_not_three_letters_is_no_currency(text: str) -> None:
    assert not is_currency(text)


def test_a_code_that_no_list_names_still_has_the_form() -> None:
    assert is_currency("QQQ")
