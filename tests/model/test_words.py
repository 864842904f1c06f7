"""The model's words against the examples of docs/words.md."""

import re
from typing import Any

import pytest

from tests.model.words import PAGE, cleaned, cut, templates, tongue, words
from verifier.avro import load_schema

AT = 1_709_654_640_000  # 2024-03-05 17:04 in Berlin
EMPTY = {field["name"]: None for field in load_schema("notification")["fields"]}


def told(kind: str, **fields: Any) -> dict[str, Any]:
    plain = {"locale": "en", "timezone": "Europe/Berlin", "occurred_at": AT, "subject_label": "bank …1234"}
    return {**EMPTY, **plain, "kind": kind, **fields}


PAYMENT = {
    "status": "POSTED",
    "amount_minor": -123_456,
    "currency": "EUR",
    "original_amount_minor": -201_500,
    "original_currency": "JPY",
    "merchant_name": "Yodobashi",
    "merchant_country": "JP",
    "category": "electronics",
    "balance_after_minor": 987_654,
}


@pytest.mark.parametrize(
    ("notification", "text"),
    [
        (
            told("RECEIPT", **PAYMENT),
            (
                "You paid €1,234.56 (¥201,500) to Yodobashi, Japan. Category: electronics. "
                "Balance: €9,876.54. (bank …1234 · Mar 5, 5:04_PM)"
            ),
        ),
        (
            told("RECEIPT", **{**PAYMENT, "merchant_name": None, "category": None}, locale="de"),
            (
                "Von Ihrem Konto gingen 1.234,56_€ (201.500_¥) ab. Kontostand: 9.876,54_€. "
                "(bank …1234 · 5. März, 17:04)"
            ),
        ),
        (
            told("BALANCE", booked_minor=-1205, available_minor=48_795, currency="EUR"),
            "Your balance is -€12.05, with €487.95 available. (bank …1234 · Mar 5, 5:04_PM)",
        ),
        (
            told(
                "SHIPPING",
                shipment_status="OUT_FOR_DELIVERY",
                eta_at=AT + 86_400_000,
                action_required=False,
                locale="de",
            ),
            "Ihr Paket ist in der Zustellung. Voraussichtlich: Mi., 6. März. (bank …1234 · 5. März, 17:04)",
        ),
        (
            told("SECURITY", alert_type="NEW_DEVICE", severity="HIGH"),
            "Urgent security alert: sign-in from a new device. (bank …1234 · Mar 5, 5:04_PM)",
        ),
        (
            told("SECURITY", alert_type="LIMIT_CHANGED", severity="LOW", locale="fr-FR"),
            "Security alert: LIMIT CHANGED. (bank …1234 · Mar 5, 5:04_PM)",
        ),
        (
            told(
                "RECEIPT", amount_minor=250_000, currency="KWD", merchant_name="ACME Payroll", status="POSTED"
            ),
            "You received KWD_250.000 from ACME Payroll. (bank …1234 · Mar 5, 5:04_PM)",
        ),
    ],
)
def test_examples_of_the_page(notification: dict[str, Any], text: str) -> None:
    assert text in PAGE.read_text(encoding="utf-8") or "fr" in notification["locale"]
    assert words(notification).replace("\u00a0", "_") == text


def test_every_template_of_the_page_is_read() -> None:
    keys = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert list(templates()) == keys
    assert len(keys) > 40


def test_formats_follow_the_region() -> None:
    assert str(tongue("de-AT").formats) == "de_AT"
    assert (tongue("pt-PT").column, str(tongue("pt-PT").formats)) == (2, "pt_PT")
    assert (tongue("en-x-DE").region, str(tongue("nl-NL").formats)) == ("US", "en")


def test_foreign_text_is_cleaned_and_cut() -> None:
    assert cleaned(" a\u202eb\u200b\t\tc\n") == "ab c"
    assert cleaned("\u05d0") == "\u2068\u05d0\u2069"
    assert cleaned("x" * 161) == "x" * 159 + "…"
    assert cut("ab 1.234,56", 8) == "ab…"
