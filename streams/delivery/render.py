"""The words of a notification: one line of text from its typed fields, in the person's language.

Pure once the locale files are read. Imports core, `place` and `text`. The contract is docs/words.md, the
templates are `locales/*.json`.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from streams.core.codes import DeclineReason, Kind, Severity, ShipmentStatus, TransactionStatus
from streams.core.decision import Notification
from streams.core.expiry import TEMPLATE_KEY
from streams.core.lifecycle import DAY_MS
from streams.delivery.place import Place, country, day, moment, money, place_of
from streams.delivery.text import clean, cut

MAX_CHARS = 640
LANGUAGE_FILES = {"de": "de.json", "en": "en.json", "pt": "pt-BR.json"}
_NO_LONGER_EXPECTED = frozenset({
    ShipmentStatus.AVAILABLE_FOR_PICKUP, ShipmentStatus.DELIVERED, ShipmentStatus.RETURNING,
    ShipmentStatus.RETURNED, ShipmentStatus.LOST, ShipmentStatus.CANCELLED, ShipmentStatus.EXPIRED,
})  # fmt: skip


@cache
def templates(language: str) -> Mapping[str, str]:
    """Return the sentence templates of a language (de, en, pt) by key. Raises KeyError for another."""
    file = files("streams.delivery").joinpath("locales", LANGUAGE_FILES[language])
    loaded: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def render(notification: Notification) -> str:
    """Return what the person reads: one line of 1 to 640 characters. Never raises.

    Shows nothing that the notification does not hold. Source: docs/words.md.
    """
    place = place_of(notification.locale)
    words = templates(place.language)
    match notification.kind:
        case Kind.RECEIPT | Kind.REFUND | Kind.DECLINED:
            sentences = _transaction(notification, place, words)
        case Kind.BALANCE:
            sentences = [_balance(notification, place, words)]
        case Kind.SHIPPING:
            sentences = _shipping(notification, place, words)
        case Kind.SECURITY:
            sentences = [_security(notification, words)]
        case Kind.SERVICE if notification.template_key == TEMPLATE_KEY:
            sentences = _consent_expires(notification, words)
        case _:
            sentences = [words["service"]]
    body = " ".join(map(_single_stop, sentences))
    label = clean(notification.subject_label)
    tail = " · ".join(filter(None, (label, moment(notification.occurred_at, notification.timezone, place))))
    return cut(f"{body} ({tail})" if tail else body, MAX_CHARS)


def _transaction(told: Notification, place: Place, words: Mapping[str, str]) -> list[str]:
    amount = _amount(told, place)
    merchant = _merchant(told, place)
    if told.kind == Kind.RECEIPT:
        direction = "" if not amount else ".in" if (told.amount_minor or 0) > 0 else ".out"
        key = f"receipt{direction}" + (".pending" if told.status == TransactionStatus.PENDING else "")
    else:
        key = ("refund" if told.kind == Kind.REFUND else "declined") + (".amount" if amount else "")
    sentences = [words[key + (".merchant" if merchant else "")].format(amount=amount, merchant=merchant)]
    if told.kind == Kind.DECLINED:
        reason = words.get(f"reason.{_symbol(DeclineReason, told.decline_reason)}")
        sentences += [reason] if reason else []
    if category := clean(told.category):
        sentences.append(words["category"].format(category=category))
    if balance := money(told.balance_after_minor, told.currency, place):
        sentences.append(words["balance_after"].format(balance=balance))
    return sentences


def _amount(told: Notification, place: Place) -> str | None:
    amount = _unsigned(told.amount_minor, told.currency, place)
    original = _unsigned(told.original_amount_minor, told.original_currency, place)
    is_foreign = amount and original and told.original_currency != told.currency
    return f"{amount} ({original})" if is_foreign else amount


def _unsigned(minor: int | None, currency: str | None, place: Place) -> str | None:
    return money(None if minor is None else abs(minor), currency, place)


def _merchant(told: Notification, place: Place) -> str | None:
    name = clean(told.merchant_name)
    where = country(told.merchant_country, place)
    return f"{name}, {where}" if name and where else name


def _balance(told: Notification, place: Place, words: Mapping[str, str]) -> str:
    booked = money(told.booked_minor, told.currency, place)
    available = money(told.available_minor, told.currency, place)
    if booked == available and booked is not None:
        available = None
    key = "balance" + (".booked" if booked else "") + (".available" if available else "")
    return words[key].format(booked=booked, available=available)


def _shipping(told: Notification, place: Place, words: Mapping[str, str]) -> list[str]:
    label = clean(told.shipment_label)
    parcel = words["shipping.parcel.label"].format(label=label) if label else words["shipping.parcel"]
    status = f"shipping.{_symbol(ShipmentStatus, told.shipment_status)}"
    sentences = [words.get(status, words["shipping"]).format(parcel=parcel)]
    eta = day(told.eta_at, told.timezone, place)
    if eta and told.shipment_status not in _NO_LONGER_EXPECTED:
        sentences.append(words["eta"].format(eta=eta))
    if location := clean(told.location):
        sentences.append(words["location"].format(location=location))
    if told.action_required:
        sentences.append(words["action_required"])
    return sentences


def _security(told: Notification, words: Mapping[str, str]) -> str:
    alert = clean(told.alert_type)
    if alert:
        alert = words.get(f"alert.{told.alert_type}", alert.replace("_", " "))
    is_urgent = told.severity in (Severity.HIGH, Severity.CRITICAL)
    key = "security" + (".alert" if alert else "") + (".urgent" if is_urgent else "")
    return words[key].format(alert=alert)


def _consent_expires(told: Notification, words: Mapping[str, str]) -> list[str]:
    label = clean(told.subject_label)
    days = max(1, -((told.decided_at - told.not_after) // DAY_MS))
    key = TEMPLATE_KEY + (".label" if label else "") + (".one" if days == 1 else "")
    return [words[key].format(label=label, days=days), words[f"{TEMPLATE_KEY}.after"]]


def _symbol(codes: type[DeclineReason | ShipmentStatus], value: int | None) -> str | None:
    return codes(value).name if value is not None and value in codes._value2member_map_ else None


def _single_stop(sentence: str) -> str:
    return sentence[:-1] if sentence.endswith("..") else sentence
