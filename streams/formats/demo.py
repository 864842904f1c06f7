"""The demo's banks, shops and carriers at work: an endless, seeded stream of events that hang together.

Payments are pending, then posted; some are refunded; balances follow them; parcels walk to a door. Some
events are late, some come twice, and one producer sends garbage. Pure: the clock is an argument. Imports
`core`, `wire` and `demo_world`. Read next: `streams/cli`, which runs it.
"""

import heapq
import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

from streams.core.codes import Channel, DeclineReason, Severity, ShipmentStatus, TransactionStatus
from streams.core.events import AccountBalance, BankTransaction, Event, SecurityAlert, ShipmentUpdate
from streams.formats.demo_world import (
    BANKS,
    CARRIERS,
    MERCHANTS,
    PLACES,
    Account,
    Merchant,
    World,
    make_world,
)
from streams.wire.topics import BANK_BALANCES, BANK_SECURITY, BANK_TRANSACTIONS, SHIPPING_EVENTS

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_GARBAGE = (b"\xff", b"\x00\x00\x00\x00\x01\xff")  # no frame; a frame and what no record can begin with
_RECENT = 50  # events from which a repeat is chosen
_ALERTS = (
    ("NEW_DEVICE", Severity.MEDIUM, "security/devices"),
    ("PASSWORD_CHANGED", Severity.HIGH, "security/password"),
    ("SUSPICIOUS_PAYMENT", Severity.CRITICAL, "security/payments"),
    ("CARD_BLOCKED", Severity.HIGH, "cards/blocked"),
)
_USUAL_ROUTE = (
    ShipmentStatus.PRE_TRANSIT,
    ShipmentStatus.IN_TRANSIT,
    ShipmentStatus.OUT_FOR_DELIVERY,
    ShipmentStatus.DELIVERED,
)
_PICKUP_ROUTE = (ShipmentStatus.ATTEMPT_FAILED, ShipmentStatus.AVAILABLE_FOR_PICKUP, ShipmentStatus.DELIVERED)
_ROUTES = (
    _USUAL_ROUTE,
    _USUAL_ROUTE,
    (*_USUAL_ROUTE[:3], *_PICKUP_ROUTE),
    (*_USUAL_ROUTE[:2], ShipmentStatus.EXCEPTION, *_USUAL_ROUTE[2:]),
    (*_USUAL_ROUTE[:3], ShipmentStatus.RETURNING, ShipmentStatus.RETURNED),
)
_NEEDS_ACTION = (ShipmentStatus.ATTEMPT_FAILED, ShipmentStatus.AVAILABLE_FOR_PICKUP)


class Beat(NamedTuple):
    """One record to send: wait `delay_s`, then publish `value` (an event, or bytes as they are) under
    `key`.
    """

    delay_s: float
    topic: str
    key: bytes
    value: Event | bytes


_Made = list[tuple[str, str, Event | bytes]]
_Act = Callable[[int], _Made]


def demo_beats(seed: int, rate: float, clock: Callable[[], int]) -> Iterator[Beat]:
    """Yield the demo's records without end.

    Args:
        seed: the same seed and clock give the same records.
        rate: records per second, on average, above 0.
        clock: UTC milliseconds; asked as a record is taken, so take one only after the last was sent.
    """
    story = _Story(seed)
    draw = random.Random(f"{seed}:gaps")
    waiting: _Made = []
    while True:
        delay_s = draw.expovariate(rate)
        if not waiting:
            waiting = story.go_on(clock() + round(delay_s * 1000))
        topic, subject, value = waiting.pop(0)
        yield Beat(delay_s, topic, subject.encode(), value)


class _Story:
    def __init__(self, seed: int) -> None:
        self._draw = random.Random(f"{seed}:story")
        self._world: World = make_world(seed)
        self._numbers = count(1)
        self._later: list[tuple[int, int, _Act]] = []
        self._recent: _Made = []
        self._acts: dict[_Act, int] = {
            self._pay: 34,
            self._move_money: 12,
            self._decline: 6,
            self._send_parcel: 14,
            self._alert: 4,
            self._come_late: 4,
            self._repeat: 4,
            self._send_garbage: 3,
        }

    def go_on(self, now: int) -> _Made:
        """Return what happens next, at `now`: something that was due, or something new; never nothing."""
        if self._later and self._later[0][0] <= now:
            act = heapq.heappop(self._later)[2]
        else:
            act = self._draw.choices(list(self._acts), list(self._acts.values()))[0]
        made = act(now)
        events = [item for item in made if not isinstance(item[2], bytes)]
        self._recent = (self._recent + events)[-_RECENT:]
        return made

    def _after(self, now: int, low_s: float, high_s: float, act: _Act) -> None:
        due = now + round(self._draw.uniform(low_s, high_s) * 1000)
        heapq.heappush(self._later, (due, next(self._numbers), act))

    def _id(self, source: str) -> str:
        return f"{source}-{next(self._numbers):08d}"

    def _pay(self, now: int) -> _Made:
        account = self._draw.choice(self._world.accounts)
        merchant = self._merchant_for(account)
        cost = max(1, round(account.bank.currency.everyday * merchant.scale * self._draw.uniform(0.5, 1.8)))
        if cost > account.available:
            return self._decline(now)
        pending = BankTransaction(
            event_id=self._id(account.bank.token),
            subject=account.subject,
            occurred_at=now,
            status=TransactionStatus.PENDING,
            amount_minor=-cost,
            currency=account.bank.currency.code,
            lifecycle_id=self._id("auth"),
            merchant_name=merchant.name,
            merchant_country=merchant.country,
            mcc=merchant.mcc,
            category=merchant.category,
            channel=merchant.channel,
        )
        home = {bank.country: bank.currency for bank in BANKS}.get(merchant.country)
        if home is not None and home != account.bank.currency:
            original = round(-cost * home.everyday / account.bank.currency.everyday)
            pending = pending._replace(original_amount_minor=original, original_currency=home.code)
        account.held += cost
        self._after(now, 3, 15, lambda then: self._post(then, account, pending))
        return [(BANK_TRANSACTIONS, account.subject, pending)]

    def _post(self, now: int, account: Account, pending: BankTransaction) -> _Made:
        # Some restaurants add a tip: more than 5 % is news, less is not.
        tip = self._draw.choice((1.0, 1.0, 1.0, 1.03, 1.15))
        amount = round(pending.amount_minor * tip)
        account.held += pending.amount_minor
        account.booked += amount
        posted = pending._replace(
            event_id=self._id(account.bank.token),
            occurred_at=now,
            status=TransactionStatus.POSTED,
            amount_minor=amount,
            supersedes_event_id=pending.event_id,
            balance_after_minor=account.booked,
        )
        if self._draw.random() < 0.1:
            self._after(now, 5, 20, lambda then: self._refund(then, account, posted))
        return [(BANK_TRANSACTIONS, account.subject, posted), self._balance(now, account)]

    def _refund(self, now: int, account: Account, posted: BankTransaction) -> _Made:
        account.booked -= posted.amount_minor
        refund = posted._replace(
            event_id=self._id(account.bank.token),
            occurred_at=now,
            status=TransactionStatus.REVERSED,
            amount_minor=-posted.amount_minor,
            original_amount_minor=None,
            original_currency=None,
            supersedes_event_id=posted.event_id,
            balance_after_minor=account.booked,
        )
        return [(BANK_TRANSACTIONS, account.subject, refund), self._balance(now, account)]

    def _move_money(self, now: int) -> _Made:
        account = self._draw.choice(self._world.accounts)
        everyday = account.bank.currency.everyday
        amount, name, category, channel = self._draw.choice(
            (
                (everyday * 180, "SALARY", "Income", Channel.TRANSFER),
                (everyday * 5, "TRANSFER RECEIVED", "Income", Channel.TRANSFER),
                (-everyday * 4, "CASH WITHDRAWAL", "Cash", Channel.ATM),
                (-everyday // 4, "MONTHLY FEE", "Fees", Channel.FEE),
            )
        )
        if -amount > account.available:
            amount, name, category, channel = everyday * 60, "TRANSFER RECEIVED", "Income", Channel.TRANSFER
        account.booked += amount
        moved = BankTransaction(
            event_id=self._id(account.bank.token),
            subject=account.subject,
            occurred_at=now,
            status=TransactionStatus.POSTED,
            amount_minor=amount,
            currency=account.bank.currency.code,
            merchant_name=name,
            category=category,
            channel=channel,
            balance_after_minor=account.booked,
        )
        return [(BANK_TRANSACTIONS, account.subject, moved), self._balance(now, account)]

    def _decline(self, now: int) -> _Made:
        account = self._draw.choice(self._world.accounts)
        merchant = self._merchant_for(account)
        declined = BankTransaction(
            event_id=self._id(account.bank.token),
            subject=account.subject,
            occurred_at=now,
            status=TransactionStatus.DECLINED,
            amount_minor=-account.available - account.bank.currency.everyday,
            currency=account.bank.currency.code,
            lifecycle_id=self._id("auth"),
            merchant_name=merchant.name,
            merchant_country=merchant.country,
            mcc=merchant.mcc,
            category=merchant.category,
            channel=merchant.channel,
            decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        )
        return [(BANK_TRANSACTIONS, account.subject, declined)]

    def _balance(self, now: int, account: Account) -> tuple[str, str, Event]:
        account.sequence += 1
        balance = AccountBalance(
            event_id=self._id(account.bank.token),
            subject=account.subject,
            as_of=now,
            booked_minor=account.booked,
            currency=account.bank.currency.code,
            available_minor=account.available,
            source_seq=account.sequence,
        )
        return BANK_BALANCES, account.subject, balance

    def _send_parcel(self, now: int) -> _Made:
        subject = self._draw.choice(self._world.customers)
        shop = subject.partition(":")[0]
        parcel = ShipmentUpdate(
            event_id="",
            subject=subject,
            shipment_id=self._id("parcel"),
            status=ShipmentStatus.PRE_TRANSIT,
            status_at=now,
            order_ref=self._id(shop),
            carrier=self._draw.choice(CARRIERS),
            eta_at=now + self._draw.randint(1, 5) * _DAY_MS,
        )
        return self._move_parcel(now, parcel, self._draw.choice(_ROUTES))

    def _move_parcel(self, now: int, parcel: ShipmentUpdate, route: tuple[ShipmentStatus, ...]) -> _Made:
        status = route[0]
        delay = self._draw.randint(1, 2) * _DAY_MS if status is ShipmentStatus.EXCEPTION else 0
        parcel = parcel._replace(
            event_id=self._id("scan"),
            status=status,
            status_at=now,
            eta_at=parcel.eta_at + delay if parcel.eta_at is not None else None,
            location=None if status is ShipmentStatus.PRE_TRANSIT else self._draw.choice(PLACES),
            action_required=status in _NEEDS_ACTION,
        )
        if route[1:]:
            self._after(now, 4, 15, lambda then: self._move_parcel(then, parcel, route[1:]))
        return [(SHIPPING_EVENTS, parcel.subject, parcel)]

    def _alert(self, now: int) -> _Made:
        account = self._draw.choice(self._world.accounts)
        kind, severity, action = self._draw.choice(_ALERTS)
        alert = SecurityAlert(
            self._id(account.bank.token), account.subject, now, kind, severity, action_url_key=action
        )
        return [(BANK_SECURITY, account.subject, alert)]

    def _come_late(self, now: int) -> _Made:
        """A bank that was down sends what happened hours ago: too old to tell anybody."""
        account = self._draw.choice(self._world.accounts)
        hours = self._draw.randint(7, 40)
        late = SecurityAlert(
            self._id(account.bank.token), account.subject, now - hours * _HOUR_MS, "NEW_DEVICE", Severity.LOW
        )
        return [(BANK_SECURITY, account.subject, late)]

    def _repeat(self, now: int) -> _Made:
        """A producer that got no answer sends the same event again."""
        return [self._draw.choice(self._recent)] if self._recent else self._pay(now)

    def _send_garbage(self, _now: int) -> _Made:
        """One producer's values cannot be decoded: no frame, or a frame and nonsense."""
        account = self._draw.choice(self._world.accounts)
        noise = self._draw.randbytes(self._draw.randint(1, 40))
        return [
            (
                BANK_TRANSACTIONS,
                account.subject,
                self._draw.choice(_GARBAGE) + noise,
            )
        ]

    def _merchant_for(self, account: Account) -> Merchant:
        """Return a merchant, mostly one at home."""
        home = [merchant for merchant in MERCHANTS if merchant.country == account.bank.country]
        return self._draw.choice(home if self._draw.random() < 0.85 else list(MERCHANTS))
