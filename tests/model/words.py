"""What a notification says, written from docs/words.md: the templates are read from that page, the formats
are babel's.
"""

import re
import unicodedata
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import babel
import babel.dates
import babel.localedata
import babel.numbers

from verifier.model.consents import is_currency

PAGE = Path(__file__).resolve().parents[2] / "docs" / "words.md"
EXPONENTS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
ARRIVED = ("AVAILABLE_FOR_PICKUP", "DELIVERED", "RETURNING", "RETURNED", "LOST", "CANCELLED", "EXPIRED")
NBSP, NARROW_NBSP = "\u00a0", "\u202f"


class Tongue(NamedTuple):
    """Section 3: whose words, which region's countries are not named, and whose formats."""

    column: int
    region: str
    formats: babel.Locale


@cache
def templates() -> dict[str, list[str]]:
    """Section 6 of the page: by key, the sentences in en, de, pt."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| (.*?) \| (.*?) \| (.*?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {key: list(sentences) for key, *sentences in rows}


@cache
def tongue(locale: str) -> Tongue:
    parts = locale.replace("_", "-").split("-")
    language = parts[0].lower()
    known = {"en": (0, "US", "en"), "de": (1, "DE", "de"), "pt": (2, "BR", "pt_BR")}
    if language not in known:
        return Tongue(0, "US", babel.Locale.parse("en"))
    column, region, formats = known[language]
    for part in parts[1:]:
        if len(part) == 1:
            break
        if re.fullmatch(r"[A-Za-z]{2}", part):
            region = part.upper()
            if babel.localedata.exists(f"{language}_{region}"):
                formats = f"{language}_{region}"
            break
    return Tongue(column, region, babel.Locale.parse(formats))


def words(told: dict[str, Any]) -> str:
    """The whole line."""
    speech = _Speech(told, tongue(told["locale"]))
    body = " ".join(speech.sentences())
    tail = " · ".join(part for part in (cleaned(told["subject_label"]), speech.time()) if part)
    return cut(f"{body} ({tail})" if tail else body, 640)


class _Speech:
    """The sentences of one notification."""

    def __init__(self, told: dict[str, Any], spoken: Tongue) -> None:
        self._told, self._tongue = told, spoken

    def sentences(self) -> list[str]:
        match self._told["kind"]:
            case "RECEIPT" | "REFUND" | "DECLINED":
                said = self._payment()
            case "BALANCE":
                said = [self._balance()]
            case "SHIPPING":
                said = self._shipment()
            case "SECURITY":
                said = [self._alert()]
            case _:
                said = [self._say("service")]
        return said

    def _say(self, key: str, **values: str) -> str:
        sentence = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], templates()[key][self._tongue.column])
        return sentence[:-1] if sentence.endswith("..") else sentence

    def _text(self, name: str) -> str:
        return cleaned(self._told[name])

    def _payment(self) -> list[str]:
        told = self._told
        amount, original = (
            self._money("amount_minor"),
            self._money("original_amount_minor", "original_currency"),
        )
        if amount and original and told["original_currency"] != told["currency"]:
            said_amount = f"{amount} ({original})"
        else:
            said_amount = amount
        merchant, country = self._text("merchant_name"), self._country()
        said_merchant = f"{merchant}, {country}" if merchant and country else merchant
        if told["kind"] == "RECEIPT":
            way = (".in" if told["amount_minor"] > 0 else ".out") if amount else ""
            key = "receipt" + way + (".pending" if told["status"] == "PENDING" else "")
        else:
            key = told["kind"].lower() + (".amount" if amount else "")
        said = [
            self._say(key + (".merchant" if merchant else ""), amount=said_amount, merchant=said_merchant)
        ]
        if told["kind"] == "DECLINED" and f"reason.{told['decline_reason']}" in templates():
            said.append(self._say(f"reason.{told['decline_reason']}"))
        if self._text("category"):
            said.append(self._say("category", category=self._text("category")))
        if self._money("balance_after_minor"):
            said.append(
                self._say("balance_after", balance=self._money("balance_after_minor", is_signed=True))
            )
        return said

    def _balance(self) -> str:
        booked = self._money("booked_minor", is_signed=True)
        available = self._money("available_minor", is_signed=True)
        if booked and available == booked:
            available = ""
        key = "balance" + (".booked" if booked else "") + (".available" if available else "")
        return self._say(key, booked=booked, available=available)

    def _shipment(self) -> list[str]:
        status, label, place = (
            self._told["shipment_status"],
            self._text("shipment_label"),
            self._text("location"),
        )
        parcel = self._say("shipping.parcel.label", label=label) if label else self._say("shipping.parcel")
        key = "shipping" if status in (None, "UNKNOWN") else f"shipping.{status}"
        said = [self._say(key, parcel=parcel)]
        if self._date("eta_at") and status not in ARRIVED:
            said.append(self._say("eta", eta=self._date("eta_at")))
        if place:
            said.append(self._say("location", location=place))
        if self._told["action_required"]:
            said.append(self._say("action_required"))
        return said

    def _alert(self) -> str:
        name = self._told["alert_type"]
        known = f"alert.{name}" in templates()
        alert = self._say(f"alert.{name}") if known else self._text("alert_type").replace("_", " ")
        urgent = ".urgent" if self._told["severity"] in ("HIGH", "CRITICAL") else ""
        return self._say("security" + (".alert" if alert else "") + urgent, alert=alert)

    def _money(self, name: str, currency_name: str = "currency", *, is_signed: bool = False) -> str:
        minor, currency = self._told[name], self._told[currency_name]
        if minor is None or currency is None or not is_currency(currency):
            return ""
        exponent = next((places for places, codes in EXPONENTS.items() if currency in codes.split()), 2)
        amount = Decimal(minor if is_signed else abs(minor)).scaleb(-exponent)
        text = babel.numbers.format_currency(
            amount, currency, locale=self._tongue.formats, decimal_quantization=False
        )
        text = re.sub(r"([A-Z])(\d)", rf"\1{NBSP}\2", re.sub(r"(\d)([A-Z])", rf"\1{NBSP}\2", text))
        return text.replace(NARROW_NBSP, NBSP)

    def _country(self) -> str:
        code: str | None = self._told["merchant_country"]
        if code is None or not re.fullmatch("[A-Z]{2}", code) or code == self._tongue.region:
            return ""
        return str(self._tongue.formats.territories.get(code, code)).replace(NARROW_NBSP, NBSP)

    def _zone(self) -> tuple[tzinfo, str]:
        try:
            return ZoneInfo(self._told["timezone"]), ""
        except (ValueError, OSError, KeyError):
            return UTC, " UTC"

    def _moment(self, name: str) -> datetime | None:
        if self._told[name] is None:
            return None
        try:
            return datetime.fromtimestamp(self._told[name] / 1000, UTC).astimezone(self._zone()[0])
        except (ValueError, OverflowError, OSError):
            return None

    def time(self) -> str:
        at = self._moment("occurred_at")
        if at is None:
            return ""
        day = babel.dates.format_skeleton("MMMd", at, locale=self._tongue.formats)
        clock = babel.dates.format_time(at, "short", locale=self._tongue.formats)
        return f"{day}, {clock}{self._zone()[1]}".replace(NARROW_NBSP, NBSP)

    def _date(self, name: str) -> str:
        at = self._moment(name)
        if at is None:
            return ""
        return str(babel.dates.format_skeleton("EEEMMMd", at, locale=self._tongue.formats)).replace(
            NARROW_NBSP, NBSP
        )


def cleaned(text: str | None) -> str:
    """Section 2: foreign text made fit to stand in a line; empty when nothing is left."""
    kept = []
    for one in text or "":
        category = unicodedata.category(one)
        if "\t" <= one <= "\r" or one == "\x85" or category in ("Zs", "Zl", "Zp"):
            kept.append(" ")
        elif category not in ("Cc", "Cf", "Cs") or one in "\u200c\u200d":
            kept.append(one)
    plain = cut(re.sub(" +", " ", "".join(kept)).strip(" "), 160)
    is_right_to_left = any(unicodedata.bidirectional(one) in ("R", "AL") for one in plain)
    return f"\u2068{plain}\u2069" if is_right_to_left else plain


def cut(text: str, most: int) -> str:
    """Section 2: `text` in at most `most` characters, cut at a good place."""
    if len(text) <= most:
        return text
    end = most - 1
    while end > 0 and not _is_good_place(text[end - 1], text[end]):
        end -= 1
    return text[:end].rstrip(" ") + "…"


def _is_good_place(before: str, after: str) -> bool:
    def is_of(one: str, first: str, last: str) -> bool:
        return first <= one <= last

    joins = unicodedata.category(after) in ("Mn", "Mc", "Me") or after in "\u200c\u200d"
    joins = joins or is_of(after, "\U0001f3fb", "\U0001f3ff") or before == "\u200d"
    flags = is_of(before, "\U0001f1e6", "\U0001f1ff") and is_of(after, "\U0001f1e6", "\U0001f1ff")
    jamo = is_of(before, "\u1100", "\u11ff") and is_of(after, "\u1100", "\u11ff")
    number = all(
        unicodedata.category(one) in ("Nd", "Sc") or one in ".,'\u2019-\u00a0" for one in (before, after)
    )
    return not (joins or flags or jamo or number)
