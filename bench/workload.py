"""What every contender is given, and what must come out of it: the same bytes for the same seed.

Everything follows from the number of an event, so no output has to be kept to be checked. Expected
notifications are computed here from docs/rules.md, sections 4 and 7, by code of its own: none judges itself.
"""

import random
from array import array
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha1
from typing import NamedTuple
from uuid import UUID

from streams.wire.partition import partition_of

ACCOUNTS = 100_000
CONSENTED_SHARE = 0.3
PARTITIONS = 4
EVENTS_PER_MS = 1_000
VALID_MS = 90 * 86_400_000
FRAME = {"bank_transaction": b"\0\0\0\0\x01", "consent_request": b"\0\0\0\0\x06"}
NAMESPACE = UUID("1b5eb6ff-3e37-4091-bfeb-9304ea67c482").bytes
POSTED, GRANT, BY_USER, BOTH = 2, 1, 1, 3
BALANCE, RECEIPT = 1, 2
TAILS = 4_096
KEPT_SUBJECTS = 1_000_000
HEAD = FRAME["bank_transaction"] + b"\x40"  # an event's id has 32 characters
HEAD_BYTES = 65
"""Of an event: the frame, its id, subject, time, status, amount and currency."""
TEXT_CHARACTERS = 1_024
"""Most that docs/rules.md, section 2, allows in a text."""
TEXT_BYTES = 4 * TEXT_CHARACTERS
VALUE_BYTES = (80, 10_240)
"""The smallest and the largest value that can be asked for."""


class Policy(NamedTuple):
    """What a consent of the workload allows; purposes are RECEIPT and, with `has_balance`, BALANCE."""

    detail_level: int
    min_amount_minor: int | None
    has_balance: bool


POLICIES = tuple(
    Policy(detail, minimum, balance)
    for detail in (2, 3, 4)
    for minimum in (None, 100, 500)
    for balance in (False, True)
)


def subject_of(account: int) -> str:
    """Name an account."""
    return f"bank:{account:07d}"


def user_of(account: int) -> str:
    """Name the holder of an account's consent."""
    return f"user:{account:07d}"


def policy_of(account: int) -> Policy:
    """Say what the account's holder allows."""
    return POLICIES[account % len(POLICIES)]


class _Subjects(dict[int, tuple[bytes, bytes]]):
    """Subjects by account, plain and as Avro text; a million of them are kept."""

    def __missing__(self, account: int) -> tuple[bytes, bytes]:
        name = subject_of(account)
        made = (name.encode(), _text(name))
        if len(self) < KEPT_SUBJECTS:
            self[account] = made
        return made


class _Longs(dict[int, bytes]):
    """Numbers as Avro, each encoded once."""

    def __missing__(self, value: int) -> bytes:
        self[value] = made = _long(value)
        return made


class Workload:
    """The events, consents and expected notifications of one run.

    Args:
        events: How many.
        base_ms: Time of the first event, UTC milliseconds; thousand events share one.
        seed: Of everything random.
        consented_share: Share of the subjects that gave consent, 0 to 1.
        subjects: How many accounts the events are spread over.
        partitions: Of every topic.
        value_bytes: Bytes of one event's value, see `padded_tails`; None leaves the texts short (130).
    """

    def __init__(
        self,
        events: int,
        base_ms: int,
        seed: int = 7,
        *,
        consented_share: float = CONSENTED_SHARE,
        subjects: int = ACCOUNTS,
        partitions: int = PARTITIONS,
        value_bytes: int | None = None,
    ) -> None:
        self.events = events
        self.base_ms = base_ms
        self.subjects = subjects
        self.partitions = partitions
        self._seed = seed
        self._value_bytes = value_bytes
        chosen = random.Random(seed).sample(range(subjects), int(subjects * consented_share))
        self.consented = frozenset(chosen)
        draw = random.Random(seed + 1)
        self.accounts = array("i", (int(draw.random() * subjects) for _ in range(events)))
        self.amounts = array("q", (-1 - int(draw.expovariate(1 / 3_000)) for _ in range(events)))

    @cached_property
    def partition_of_account(self) -> bytes:
        """Partition number of every account, as murmur2 says."""
        return bytes(
            partition_of(subject_of(account).encode(), self.partitions) for account in range(self.subjects)
        )

    @cached_property
    def offsets(self) -> "array[int]":
        """Offset of every event in its partition: the producer keeps their order."""
        ends = [0] * self.partitions
        offsets = array("q", bytes(8 * self.events))
        for number, account in enumerate(self.accounts):
            partition = self.partition_of_account[account]
            offsets[number] = ends[partition]
            ends[partition] += 1
        return offsets

    def occurred_at(self, number: int) -> int:
        """Time of an event, UTC milliseconds."""
        return self.base_ms + number // EVENTS_PER_MS

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Give key and value of every event, in order."""
        draw = random.Random(self._seed + 2)
        tails = _tails(draw) if self._value_bytes is None else padded_tails(draw, self._value_bytes)
        posted, euro, time, longs = _long(POSTED), _text("EUR"), b"", _Longs()
        heads = _Subjects()
        for number, (account, amount) in enumerate(zip(self.accounts, self.amounts, strict=True)):
            if number % EVENTS_PER_MS == 0:
                time = _long(self.occurred_at(number)) + posted
            subject, coded = heads[account]
            value = b"%b%032x%b%b%b%b%b" % (
                HEAD,
                number,
                coded,
                time,
                longs[amount],
                euro,
                tails[number % len(tails)],
            )
            yield subject, value

    def grants(self) -> Iterator[tuple[bytes, bytes]]:
        """Give key and value of every consent request, in the order of accounts."""
        for account in sorted(self.consented):
            yield subject_of(account).encode(), _grant(account, self.base_ms)

    def notification_id(self, number: int) -> bytes | None:
        """The 16 bytes of the notification that event `number` must cause; None if it must cause none."""
        account, amount = self.accounts[number], self.amounts[number]
        minimum = policy_of(account).min_amount_minor
        if account not in self.consented or (minimum is not None and -amount < minimum):
            return None
        parts = (user_of(account), subject_of(account), "RECEIPT", f"{number:032x}", "POSTED", str(amount))
        return uuid5_bytes("\x1f".join(parts))


def uuid5_bytes(name: str) -> bytes:
    """The 16 bytes of UUIDv5 of a name in our namespace (RFC 9562, section 5.5)."""
    digest = bytearray(sha1(NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def _tails(draw: random.Random) -> list[bytes]:
    """Encode what follows `currency`: mostly the merchant, its country, code and category, and balance."""
    categories = ("groceries", "travel", "fuel", "rent", "eating_out")
    return [
        b"\0\0\0\0\2" + _text(f"Merchant {draw.randrange(2_000)} GmbH")
        + b"\2" + _text(draw.choice(("DE", "AT", "BR", "US")))
        + b"\2" + _text(draw.choice(("5411", "5541", "5812")))
        + b"\2" + _text(draw.choice(categories))
        + b"\2" + _long(draw.randrange(1, 3))
        + b"\0\0\0"
        + b"\2" + _long(draw.randrange(10**6))
        for _ in range(TAILS)
    ]  # fmt: skip


def padded_tails(draw: random.Random, value_bytes: int) -> list[bytes]:
    """Encode what follows `currency` so that a value has about `value_bytes` bytes.

    Small values have a merchant's name or nothing, larger ones fill description (never shown), then category
    and merchant_name, which the notifications of two in three policies repeat. A text has at most 1,024
    characters; those of four bytes each take it to 4,096 bytes.
    """
    if not VALUE_BYTES[0] <= value_bytes <= VALUE_BYTES[1]:
        raise ValueError(f"a value has {VALUE_BYTES[0]} to {VALUE_BYTES[1]:,} bytes, not {value_bytes:,}")
    letters = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz  ", k=16 * TEXT_CHARACTERS))
    signs = "".join(chr(draw.randrange(0x1F300, 0x1F5FF)) for _ in range(16 * TEXT_CHARACTERS))

    def optional(size: int) -> bytes:
        if size <= 0:
            return b"\0"
        wide = max(0, -(-(size - TEXT_CHARACTERS) // 3))
        at = draw.randrange(15 * TEXT_CHARACTERS)
        return b"\2" + _text(signs[at : at + wide] + letters[at : at + size - 4 * wide])

    tails = []
    for _ in range(TAILS // 8):
        room, sizes = value_bytes - HEAD_BYTES - 13, {}
        for name in ("description", "category", "merchant_name") if room > 100 else ("merchant_name",):
            prefix = 1 if room <= 64 else 2
            sizes[name] = min(room - prefix, TEXT_BYTES)
            room -= max(sizes[name], 0) + prefix
        merchant, category, description = (
            optional(sizes.get(name, 0)) for name in ("merchant_name", "category", "description")
        )
        tails.append(bytes(4) + merchant + bytes(2) + category + bytes(2) + description + bytes(2))
    return tails


def _grant(account: int, requested_at: int) -> bytes:
    policy = policy_of(account)
    minimum = policy.min_amount_minor
    purposes = [RECEIPT, BALANCE] if policy.has_balance else [RECEIPT]
    return b"".join((
        FRAME["consent_request"],
        _text(f"grant:{account:07d}"),
        _text(subject_of(account)),
        b"\2" + _text(user_of(account)),
        _long(GRANT),
        _long(requested_at),
        _long(BY_USER),
        b"\2" + _text(f"consent:{account:07d}"),
        _long(0),
        _long(len(purposes)) + b"".join(map(_long, purposes)) + b"\0",
        _long(policy.detail_level),
        _long(BOTH),
        _text(f"psid:{account:07d}"),
        _long(0),
        _long(requested_at + VALID_MS),
        b"\0",
        _text("notice-1"),
        _text("0" * 64),
        _text("de-DE"),
        _text("Europe/Berlin"),
        b"\0" if minimum is None else b"\2" + _long(minimum),
        b"\0\0",
        b"\0",
    ))  # fmt: skip


def _long(value: int) -> bytes:
    """Encode a long, int, enum or count as Avro does: zigzag, seven bits a byte."""
    rest = value << 1 ^ value >> 63
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _text(value: str) -> bytes:
    data = value.encode()
    return _long(len(data)) + data
