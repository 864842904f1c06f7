"""The people, banks and shops of the demo: made up, the same for the same seed. Pure.

Imports `core` and `grants` only. Read next: `demo.py`, where things happen to them.
"""

import hashlib
import random
from dataclasses import dataclass
from typing import NamedTuple

from streams.core.codes import Channel, ConsentAction, DetailLevel, Direction, Purposes, RequestedBy
from streams.core.consent import Consent, ConsentRequest, Preferences

ACCOUNTS = 40
CUSTOMERS = 30
CONSENTED_SHARE = 0.7
JOINT_SHARE = 0.15
_VALID_MS = 90 * 86_400_000
_NOTICE = "Demo: made-up people agree to be told about made-up events."


class Currency(NamedTuple):
    """A currency with the minor units of a small everyday amount, from which all others are scaled."""

    code: str
    everyday: int


class Merchant(NamedTuple):
    """Who is paid, as a statement prints it; `scale` times an everyday amount is a usual one."""

    name: str
    country: str
    mcc: str
    category: str
    channel: Channel
    scale: float


class Bank(NamedTuple):
    """A bank with the currency of its accounts and the country in which its customers mostly pay."""

    token: str
    currency: Currency
    country: str


EUR, USD = Currency("EUR", 1_000), Currency("USD", 1_100)
JPY, KWD, BRL = Currency("JPY", 1_200), Currency("KWD", 3_000), Currency("BRL", 4_500)

BANKS = (
    Bank("lindenbank", EUR, "DE"),
    Bank("harborcredit", USD, "US"),
    Bank("hikari", JPY, "JP"),
    Bank("marina", KWD, "KW"),
    Bank("ipebanco", BRL, "BR"),
)
SHOPS = ("lojaverde", "papierhaus", "brightgoods")
CARRIERS = ("Paketblitz", "Northline", "Correio Azul")
PLACES = ("Leipzig", "Louisville", "Campinas", "Rotterdam", "Osaka", "Curitiba")

MERCHANTS = (
    Merchant("BAECKEREI SONNTAG BERLIN", "DE", "5462", "Bakery", Channel.POS, 0.6),
    Merchant("KAUFMARKT 0417 HAMBURG", "DE", "5411", "Groceries", Channel.POS, 3.5),
    Merchant("STADTWERKE LINDEN", "DE", "4900", "Utilities", Channel.DIRECT_DEBIT, 8.0),
    Merchant("CORNER COFFEE #112 PORTLAND OR", "US", "5814", "Coffee", Channel.POS, 0.5),
    Merchant("GREENFIELD MARKET AUSTIN TX", "US", "5411", "Groceries", Channel.POS, 4.0),
    Merchant("STREAMLY.COM", "US", "4899", "Subscriptions", Channel.ECOM, 1.4),
    Merchant("HIKARI MART SHIBUYA", "JP", "5499", "Convenience store", Channel.POS, 0.7),
    Merchant("TOZAI RAIL CHARGE", "JP", "4111", "Transport", Channel.POS, 1.5),
    Merchant("AL NOOR PHARMACY SALMIYA", "KW", "5912", "Pharmacy", Channel.POS, 1.2),
    Merchant("GULF FUEL STATION 9", "KW", "5541", "Fuel", Channel.POS, 2.0),
    Merchant("PADARIA SAO JORGE", "BR", "5462", "Bakery", Channel.POS, 0.4),
    Merchant("MERCADO BOM DIA CURITIBA", "BR", "5411", "Groceries", Channel.POS, 3.0),
    Merchant("PASSAGENS AEREAS ONLINE", "BR", "4511", "Travel", Channel.ECOM, 15.0),
)

_LOCALES = (("en", "Europe/London"), ("de", "Europe/Berlin"), ("pt-BR", "America/Sao_Paulo"))
_PURPOSES = (
    Purposes.BALANCE | Purposes.RECEIPT | Purposes.SHIPPING | Purposes.SECURITY,
    Purposes.RECEIPT | Purposes.SECURITY,
    Purposes.BALANCE | Purposes.RECEIPT,
    Purposes.SECURITY,
)
_DETAILS = (
    DetailLevel.FULL,
    DetailLevel.FULL,
    DetailLevel.AMOUNT_MERCHANT,
    DetailLevel.AMOUNT,
    DetailLevel.ACTIVITY_ONLY,
)
_DIRECTIONS = (Direction.BOTH, Direction.BOTH, Direction.OUT, Direction.IN)


@dataclass(slots=True)
class Account:
    """An account and its money, minor units: `booked`, and `held` for payments that are still pending."""

    subject: str
    bank: Bank
    booked: int
    held: int = 0
    sequence: int = 0

    @property
    def available(self) -> int:
        """What can be spent."""
        return self.booked - self.held


@dataclass(frozen=True, slots=True)
class World:
    """Who exists: accounts, shop customers (subjects), and the holders of the subjects that consented."""

    accounts: tuple[Account, ...]
    customers: tuple[str, ...]
    holders: dict[str, tuple[str, ...]]


def make_world(seed: int) -> World:
    """Return the world of a seed. Never raises."""
    draw = random.Random(seed)
    accounts = []
    for number in range(ACCOUNTS):
        bank = BANKS[number % len(BANKS)]
        booked = round(bank.currency.everyday * draw.uniform(20, 300))
        accounts.append(Account(f"{bank.token}:{_digest(seed, 'account', number)}", bank, booked))
    customers = tuple(
        f"{SHOPS[number % len(SHOPS)]}:{_digest(seed, 'customer', number)}" for number in range(CUSTOMERS)
    )
    holders: dict[str, tuple[str, ...]] = {}
    for subject in (*(account.subject for account in accounts), *customers):
        if draw.random() < CONSENTED_SHARE:
            joint = draw.random() < JOINT_SHARE
            names = ("first", "second") if joint else ("first",)
            holders[subject] = tuple(f"user:{_digest(seed, subject, name)}" for name in names)
    return World(tuple(accounts), customers, holders)


def demo_grants(seed: int, now: int) -> tuple[ConsentRequest, ...]:
    """Return the consents of the demo: all purposes, details, directions, minimums and locales mixed.

    Args:
        seed: the one that the events are made with.
        now: UTC milliseconds.
    """
    world = make_world(seed)
    currencies = {account.subject: account.bank.currency for account in world.accounts}
    requests = []
    for subject, holders in world.holders.items():
        for user_id in holders:
            draw = random.Random(f"{seed}:{user_id}")
            requests.append(_grant(subject, user_id, currencies.get(subject), draw, now))
    return tuple(requests)


def _grant(
    subject: str, user_id: str, currency: Currency | None, draw: random.Random, now: int
) -> ConsentRequest:
    locale, timezone = draw.choice(_LOCALES)
    consent = Consent(
        consent_id=f"consent:{user_id.removeprefix('user:')}",
        version=0,
        purposes=Purposes.SHIPPING if currency is None else draw.choice(_PURPOSES),
        detail_level=draw.choice(_DETAILS),
        direction=Direction.BOTH if currency is None else draw.choice(_DIRECTIONS),
        channel_ref=f"channel:{user_id.removeprefix('user:')}",
        effective_at=now,
        valid_until=now + _VALID_MS,
        revoked_at=None,
        notice_id="notice:demo",
        notice_hash=hashlib.sha256(_NOTICE.encode()).hexdigest(),
        locale=locale,
        timezone=timezone,
        preferences=_preferences(currency, draw),
    )
    return ConsentRequest(
        request_id=f"grant:{user_id.removeprefix('user:')}:{now}",
        subject=subject,
        user_id=user_id,
        action=ConsentAction.GRANT,
        requested_at=now,
        requested_by=RequestedBy.USER,
        consent=consent,
    )


def _preferences(currency: Currency | None, draw: random.Random) -> Preferences:
    if currency is None:
        return Preferences()
    minimum = currency.everyday if draw.random() < 0.25 else None
    low_balance = currency.everyday * 50 if draw.random() < 0.25 else None
    code = currency.code if minimum is not None or low_balance is not None else None
    return Preferences(minimum, code, low_balance)


def _digest(*parts: object) -> str:
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:16]
