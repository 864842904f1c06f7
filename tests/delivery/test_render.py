import json
import re
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.codes import DetailLevel, Kind, ShipmentStatus
from streams.core.expiry import TEMPLATE_KEY
from streams.core.lifecycle import DAY_MS
from streams.delivery.render import LANGUAGE_FILES, MAX_CHARS, render, templates
from tests.delivery.notifications import BASE, at_detail, told

ROOT = Path(__file__).parents[2]
CASES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "tests/cases/words.yaml").read_text("utf-8"))
OPTIONAL = tuple(BASE._fields[BASE._fields.index("status") : -2])  # without thread_id and items
TAIL = "(bank …1234 · Mar 5, 5:04\u00a0PM)"


@pytest.mark.parametrize("name", CASES)
def test_every_case_reads_as_written_at_every_level_in_every_locale(name: str) -> None:
    case = CASES[name]
    for locale, levels in case["text"].items():
        full = told(case["kind"], locale=locale, **case["fields"])
        for level, text in levels.items():
            assert render(at_detail(full, DetailLevel[level])) == text.replace("_", "\u00a0"), (locale, level)


def test_cases_cover_every_kind_that_is_told() -> None:
    kinds = {case["kind"] for case in CASES.values()}
    assert kinds == {"RECEIPT", "REFUND", "DECLINED", "BALANCE", "SHIPPING", "SECURITY"}


def test_locale_files_hold_the_same_sentences_with_the_same_placeholders() -> None:
    def shape(language: str) -> dict[str, set[str | None]]:
        parse = string.Formatter().parse
        return {key: {name for _, name, _, _ in parse(text)} for key, text in templates(language).items()}

    assert shape("de") == shape("en") == shape("pt")


def test_the_page_shows_the_templates_as_they_are() -> None:
    page = (ROOT / "docs/words.md").read_text(encoding="utf-8")
    german, portuguese = templates("de"), templates("pt")
    rows = set(re.findall(r"^\| `([^`]+)` \| (.*) \| (.*) \| (.*) \|$", page, re.MULTILINE))
    assert rows == {(key, text, german[key], portuguese[key]) for key, text in templates("en").items()}


def test_every_shipment_status_and_language_has_words() -> None:
    for language in LANGUAGE_FILES:
        named = {f"shipping.{status.name}" for status in ShipmentStatus if status}
        assert named <= templates(language).keys()


def test_foreign_amount_is_left_out_when_it_is_in_the_same_currency() -> None:
    fields = {
        "amount_minor": -100,
        "currency": "EUR",
        "original_amount_minor": -100,
        "original_currency": "EUR",
    }
    assert render(told("RECEIPT", **fields)) == f"€1.00 left your account. {TAIL}"


def test_country_is_shown_only_with_a_name_and_only_when_abroad() -> None:
    abroad = render(told("RECEIPT", merchant_name="Shop", merchant_country="FR"))
    assert abroad == f"There is a new transaction with Shop, France. {TAIL}"
    assert "United States" not in render(told("RECEIPT", merchant_name="Shop", merchant_country="US"))
    assert "France" not in render(told("RECEIPT", merchant_country="FR"))


def test_available_equal_to_booked_is_not_repeated() -> None:
    fields = {"booked_minor": 100, "available_minor": 100, "currency": "USD"}
    assert render(told("BALANCE", **fields)) == f"Your balance is $1.00. {TAIL}"
    assert render(told("BALANCE", available_minor=5, currency="USD")) == f"You have $0.05 available. {TAIL}"


@pytest.mark.parametrize(
    "status", ["DELIVERED", "RETURNED", "LOST", "CANCELLED", "EXPIRED", "AVAILABLE_FOR_PICKUP"]
)
def test_a_parcel_that_will_not_come_has_no_expected_day(status: str) -> None:
    assert "Expected" not in render(told("SHIPPING", shipment_status=status, eta_at=1_709_721_000_000))
    assert "Expected" in render(told("SHIPPING", shipment_status="EXCEPTION", eta_at=1_709_721_000_000))


@pytest.mark.parametrize(
    ("left_ms", "words"),
    [
        (30 * DAY_MS, "in 30 days"),
        (30 * DAY_MS - 1, "in 30 days"),
        (DAY_MS + 1, "in 2 days"),
        (DAY_MS, "in 1 day"),
        (1, "in 1 day"),
        (0, "in 1 day"),
    ],
)
def test_a_notice_of_a_consents_end_counts_the_days_that_are_left(left_ms: int, words: str) -> None:
    notice = told("SERVICE")._replace(template_key=TEMPLATE_KEY)
    notice = notice._replace(not_after=notice.decided_at + left_ms)
    after = "After that you will get no more messages about it. You do not have to do anything."
    assert render(notice) == f"Your consent for bank …1234 ends {words}. {after} {TAIL}"
    nameless = render(notice._replace(subject_label="", occurred_at=-(2**63)))
    assert nameless == f"Your consent ends {words}. {after}"


def test_kinds_without_words_of_their_own_and_unknown_statuses_are_told_in_general() -> None:
    for kind in ("UNKNOWN", "DIGEST", "CORRECTION", "SERVICE"):
        assert render(told(kind)) == f"There is news about your account. {TAIL}"
    assert render(told("SHIPPING", shipment_status="UNKNOWN")) == f"Your parcel has news. {TAIL}"
    assert render(told("SHIPPING")._replace(shipment_status=99)) == f"Your parcel has news. {TAIL}"
    assert (
        render(told("DECLINED", decline_reason="OTHER"))
        == f"A payment from your account was declined. {TAIL}"
    )


def test_amount_without_currency_is_not_shown() -> None:
    assert render(told("RECEIPT", amount_minor=-5)) == f"There is a new transaction on your account. {TAIL}"
    assert "€" not in render(told("RECEIPT", amount_minor=-5, currency="€UR"))


def test_a_name_cannot_break_the_line_or_fill_a_placeholder() -> None:
    evil = "Shop\n\u202eevil\u202c {amount} %s\x00\r\n\u2028Inc."
    text = render(told("RECEIPT", merchant_name=evil))
    assert text == f"There is a new transaction with Shop evil {{amount}} %s Inc. {TAIL}"


def test_long_text_is_cut_to_what_a_message_holds() -> None:
    long = {"merchant_name": "m" * 1000, "category": "c" * 1000, "merchant_country": "GS"}
    money = {"amount_minor": -(2**62), "currency": "IQD", "balance_after_minor": 2**62}
    original = {"original_amount_minor": 2**62, "original_currency": "CLF"}
    text = render(told("RECEIPT", **long, **money, **original)._replace(subject_label="s" * 1000))
    assert len(text) == MAX_CHARS
    assert text.endswith("…")


def test_a_moment_outside_the_calendar_is_left_out() -> None:
    assert (
        render(told("SERVICE")._replace(occurred_at=2**63 - 1))
        == "There is news about your account. (bank …1234)"
    )
    nothing = told("SERVICE")._replace(occurred_at=-(2**63), subject_label="\n")
    assert render(nothing) == "There is news about your account."


_text = st.one_of(
    st.text(max_size=30),
    st.text(min_size=130, max_size=200),
    st.sampled_from(["Tom's e\u0301", "a..", "שלום"]),
)
_values: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(Kind),
    "locale": st.one_of(
        st.sampled_from(["de-CH", "pt-PT", "en-GB", "en", "fr", "pt", "de-DE-u-ca-buddhist"]),
        st.text(max_size=12),
    ),
    "timezone": st.one_of(
        st.sampled_from(["Asia/Tokyo", "America", "../etc", "", "UTC"]), st.text(max_size=12)
    ),
    "occurred_at": st.integers(-(2**63), 2**63 - 1),
    "subject_label": _text,
    **dict.fromkeys(
        ("amount_minor", "original_amount_minor", "balance_after_minor"), st.integers(-(2**63), 2**63 - 1)
    ),
    **dict.fromkeys(("booked_minor", "available_minor", "eta_at"), st.integers(-(2**63), 2**63 - 1)),
    **dict.fromkeys(
        ("currency", "original_currency"),
        st.sampled_from(["EUR", "JPY", "KWD", "CLF", "XXX", "ABC", "e€", ""]),
    ),
    **dict.fromkeys(("status", "decline_reason", "shipment_status", "severity"), st.integers(-1, 13)),
    "merchant_country": st.sampled_from(["FR", "DE", "ZZ", "xx", ""]),
    "action_required": st.booleans(),
}
_notifications = st.fixed_dictionaries(
    {name: _values[name] for name in ("kind", "locale", "timezone", "occurred_at", "subject_label")},
    optional={name: _values.get(name, _text) for name in OPTIONAL},
).map(lambda fields: BASE._replace(**fields))


@settings(max_examples=400)
@given(_notifications)
def test_any_notification_gives_one_clean_line_of_at_most_640_characters(notification: Any) -> None:
    text = render(notification)
    assert 0 < len(text) <= MAX_CHARS
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202f\ud800-\udfff]", text)


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_field_that_is_absent_is_never_shown(name: str) -> None:
    marks: dict[str, Any] = {
        "merchant_name": "Zyxwvu",
        "category": "Qwertz",
        "location": "Plmokn",
        "shipment_label": "DPX …7777",
    }
    ints: dict[str, Any] = dict.fromkeys(
        ("amount_minor", "original_amount_minor", "balance_after_minor"), 7_770_001
    )
    ints |= {"booked_minor": 5_550_001, "available_minor": 6_660_001, "eta_at": 1_999_999_999_000}
    codes: dict[str, Any] = {
        "status": 1,
        "decline_reason": 2,
        "shipment_status": 3,
        "severity": 4,
        "action_required": True,
    }
    full = BASE._replace(
        **marks, **ints, **codes, currency="EUR", original_currency="JPY", merchant_country="FR"
    )
    full = full._replace(alert_type="NEW_DEVICE", action_url_key="page-key")
    for kind in Kind:
        absent: dict[str, Any] = {name: None}
        text = render(full._replace(kind=kind, **absent))
        value = getattr(full, name)
        if name in marks:
            assert value not in text
        if name in ("original_amount_minor", "balance_after_minor", "booked_minor", "available_minor"):
            digits = {"original_amount_minor": "7,770,001", "balance_after_minor": "Balance:"}
            assert digits.get(name, f"{value / 100:,.2f}") not in text
        if name == "amount_minor" and kind == Kind.RECEIPT:
            assert "paid" not in text
            assert "received" not in text


def test_identifiers_are_never_words() -> None:
    for kind in Kind:
        text = render(BASE._replace(kind=kind))
        for hidden in ("recipient", "psid", "source-event", "the-consent", "5a3f0f4c"):
            assert hidden not in text


def test_locale_files_are_named_for_what_they_hold() -> None:
    folder = ROOT / "streams/delivery/locales"
    assert {path.name for path in folder.iterdir()} == set(LANGUAGE_FILES.values())
    for name in LANGUAGE_FILES.values():
        assert all(json.loads((folder / name).read_text(encoding="utf-8")).values())
