import pytest

from streams.delivery.place import country, day, exponent_of, moment, money, place_of

EN = place_of("en")
MARCH_5 = 1_709_654_640_000  # 2024-03-05T16:04:00Z


@pytest.mark.parametrize(
    ("tag", "language", "region", "formats"),
    [
        ("de", "de", "DE", "de"),
        ("de-AT", "de", "AT", "de_AT"),
        ("de_ch", "de", "CH", "de_CH"),
        ("DE", "de", "DE", "de"),
        ("en-GB", "en", "GB", "en_GB"),
        ("en-Latn-GB", "en", "GB", "en_GB"),
        ("en-ZZ", "en", "ZZ", "en"),
        ("pt", "pt", "BR", "pt_BR"),
        ("pt-PT", "pt", "PT", "pt_PT"),
        ("pt-BR", "pt", "BR", "pt_BR"),
        ("de-u-co-phonebk", "de", "DE", "de"),
        ("fr-FR", "en", "US", "en"),
        ("", "en", "US", "en"),
        ("zz", "en", "US", "en"),
    ],
)
def test_locale_falls_back_to_its_language_then_to_english(
    tag: str, language: str, region: str, formats: str
) -> None:
    place = place_of(tag)
    assert (place.language, place.region, str(place.formats)) == (language, region, formats)


@pytest.mark.parametrize(
    ("minor", "currency", "tag", "text"),
    [
        (1234, "JPY", "en", "¥1,234"),
        (1234, "JPY", "de", "1.234\u00a0¥"),
        (1500, "KWD", "de", "1,500\u00a0KWD"),
        (123456, "EUR", "en", "€1,234.56"),
        (123456, "EUR", "de", "1.234,56\u00a0€"),
        (123456, "EUR", "pt-BR", "€\u00a01.234,56"),
        (123456, "BRL", "pt-BR", "R$\u00a01.234,56"),
        (5, "USD", "en", "$0.05"),
        (-5, "USD", "en", "-$0.05"),
        (0, "EUR", "en", "€0.00"),
        (120, "EUR", "en", "€1.20"),
        (1_500, "IQD", "en", "IQD\u00a01.5"),
        (1_000_000, "IQD", "en", "IQD\u00a01,000"),
        (12345, "CLF", "en", "CLF\u00a01.2345"),
        (123456, "EUR", "de-AT", "€\u00a01.234,56"),
        (100_00, "SEK", "en", "SEK\u00a0100.00"),
        (9_223_372_036_854_775_807, "KWD", "en", "KWD\u00a09,223,372,036,854,775.807"),
    ],
)
def test_money_is_exact_in_the_digits_of_its_currency(minor: int, currency: str, tag: str, text: str) -> None:
    assert money(minor, currency, place_of(tag)) == text


def test_currency_code_is_set_apart() -> None:
    assert money(1500, "KWD", EN) == "KWD\u00a01.500"


@pytest.mark.parametrize(
    ("minor", "currency"), [(None, "EUR"), (5, None), (5, "eur"), (5, "EURO"), (5, "EUR\n"), (5, "")]
)
def test_money_without_amount_or_currency_is_absent(minor: int | None, currency: str | None) -> None:
    assert money(minor, currency, EN) is None


def test_minor_units_are_those_of_iso_4217() -> None:
    assert [
        exponent_of(code) for code in ("JPY", "EUR", "KWD", "CLF", "IQD", "HUF", "TWD", "ISK", "AFN")
    ] == [
        0,
        2,
        3,
        4,
        3,
        2,
        2,
        0,
        2,
    ]


@pytest.mark.parametrize(
    ("zone", "tag", "text"),
    [
        ("Europe/Berlin", "en", "Mar 5, 5:04\u00a0PM"),
        ("Europe/Berlin", "de", "5. März, 17:04"),
        ("America/Sao_Paulo", "pt-BR", "5 de mar., 13:04"),
        ("Asia/Tokyo", "en-GB", "6 Mar, 01:04"),
        ("UTC", "de", "5. März, 16:04"),
    ],
)
def test_times_are_told_in_the_persons_zone(zone: str, tag: str, text: str) -> None:
    assert moment(MARCH_5, zone, place_of(tag)) == text


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "America", "/etc/passwd", "../UTC", "", "\x00", "a" * 5000, "\ud800"]
)
def test_an_unknown_zone_is_utc_and_says_so(zone: str) -> None:
    assert moment(MARCH_5, zone, EN) == "Mar 5, 4:04\u00a0PM UTC"
    assert day(MARCH_5, zone, EN) == "Tue, Mar 5"


def test_the_day_is_that_of_the_zone() -> None:
    assert day(MARCH_5, "Asia/Tokyo", EN) == "Wed, Mar 6"
    assert day(None, "UTC", EN) is None


@pytest.mark.parametrize("at_ms", [2**63 - 1, -(2**63), 253_402_300_800_000])
def test_a_moment_outside_the_calendar_is_absent(at_ms: int) -> None:
    assert moment(at_ms, "UTC", EN) is None
    assert day(at_ms, "UTC", EN) is None


def test_the_last_second_of_the_calendar_overflows_to_absent_east_of_greenwich() -> None:
    assert moment(253_402_300_799_000, "Asia/Tokyo", EN) is None


def test_countries_have_names_in_the_language_and_the_own_one_is_left_out() -> None:
    assert country("FR", place_of("de-AT")) == "Frankreich"
    assert country("DE", place_of("de-AT")) == "Deutschland"
    assert country("DE", place_of("de")) is None
    assert country("QQ", EN) == "QQ"
    assert [country(code, EN) for code in (None, "", "fr", "FRA")] == [None] * 4
