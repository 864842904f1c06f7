"""What is sent while faults happen: events of three topics, and changes of consent of who is active."""

import zlib
from random import Random
from typing import NamedTuple

from tests.harness.messages import (
    Record,
    balance,
    consent,
    damaged,
    now_ms,
    request,
    shipment,
    transaction,
)

PARTITIONS = 8
SUBJECTS = 500
GRANTED = 350
CONSENT_SHARE = 0.05
DISORDER_MS = 5 * 60_000
LATE_MS = 40 * 86_400_000


class Mix(NamedTuple):
    """Shares of the events; the rest are in order, each once, whole, and where their key says.

    Attributes:
        repeats: sent again, of the `recent` last.
        recent: how far back a repeat may reach, in events.
        disorder: up to five minutes before or after their turn.
        late: of 40 days before.
        misrouted: to the partition that librdkafka's own partitioner chooses.
        odd: without a key, with one that is no text, a tombstone, or an empty value.
        damaged: one to three things are wrong in the frame.
    """

    repeats: float = 0.02
    recent: int = 50
    disorder: float = 0.0
    late: float = 0.0
    misrouted: float = 0.0
    odd: float = 0.0
    damaged: float = 0.0


class Stream:
    """Makes record after record; each event has an id of its own, unless it repeats an earlier one."""

    def __init__(self, seed: int, mix: Mix) -> None:
        self._chance = Random(seed)
        self._mix = mix
        self._newest_ms = 0
        self._recent: list[Record] = []

    @staticmethod
    def subjects() -> list[str]:
        """Return those who have granted before the first event."""
        return [f"chaos:{number:04d}" for number in range(GRANTED)]

    def make(self, number: int) -> Record:
        """Return record `number`; revocations and grants mostly meet who has an event soon."""
        chance = self._chance
        subject = f"chaos:{min(int(chance.paretovariate(1.1)) * 7 + chance.randrange(7), SUBJECTS - 1):04d}"
        if chance.random() < CONSENT_SHARE:
            action, user = chance.choice(
                (
                    ("REVOKE", None), ("REVOKE", f"user-of-{subject}"), ("ERASE", f"user-of-{subject}"),
                    ("GRANT", f"user-of-{subject}"), ("GRANT", f"user-of-{subject}"),
                    ("GRANT", f"other-of-{subject}"), ("CHANGE", f"user-of-{subject}"),
                )
            )  # fmt: skip
            if action != "CHANGE":
                return Record("consent.requests", subject, request(subject, action, user))
            narrower = consent(detail_level="AMOUNT", purposes=["RECEIPT"])
            return Record("consent.requests", subject, request(subject, action, user, consent=narrower))
        if self._recent and chance.random() < self._mix.repeats:
            return chance.choice(self._recent)
        made = self._harmed(self._event(number, subject))
        if len(self._recent) < self._mix.recent:
            self._recent.append(made)
        else:
            self._recent[number % self._mix.recent] = made
        return made

    def _event(self, number: int, subject: str) -> Record:
        self._newest_ms = max(now_ms(), self._newest_ms + 1)  # a balance older than the last is silent
        name, at_ms = f"c-{number}", self._newest_ms + self._shift_ms()
        topic, value = (
            (
                "bank.transactions",
                transaction(subject, name, amount_minor=-number, occurred_at=at_ms),
            ),
            ("bank.balances", balance(subject, name, as_of=at_ms, booked_minor=number)),
            ("shipping.events", shipment(subject, name, status_at=at_ms)),
        )[number % 3]
        return Record(topic, subject, value)

    def _shift_ms(self) -> int:
        """Return how far from its turn an event is."""
        drawn = self._chance.random()
        if drawn < self._mix.late:
            return -LATE_MS
        if drawn < self._mix.late + self._mix.disorder:
            return self._chance.randint(-DISORDER_MS, DISORDER_MS)
        return 0

    def _harmed(self, event: Record) -> Record:
        """Return the event as this stream's producers spoil it, most of them not at all."""
        chance, mix = self._chance, self._mix
        key, value = str(event.key), event.value or b""
        drawn = chance.random()
        if drawn < mix.misrouted:
            return event._replace(partition=zlib.crc32(key.encode()) % PARTITIONS)
        if drawn < mix.misrouted + mix.odd:
            return chance.choice(
                (
                    event._replace(key=None), event._replace(key=b"\xff\xfe" + key.encode()),
                    event._replace(value=None), event._replace(value=b""),
                )
            )  # fmt: skip
        if drawn < mix.misrouted + mix.odd + mix.damaged:
            return event._replace(value=damaged(value, chance))
        return event
