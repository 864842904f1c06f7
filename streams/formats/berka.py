"""Berka: the bank file of the PKDD'99 challenge (`trans.asc`), real Czech accounts of the 1990s.

Each row is one transaction and the balance after it. Times are the row's date at 00:00 UTC, because the file
has no time of day. Source: DESIGN section 10; the columns are described in the data set's own documentation.
Read next: `registry.py`.
"""

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from streams.core.codes import Channel, TransactionStatus
from streams.core.events import AccountBalance, BankTransaction
from streams.formats.format import Outcome, Parsed, Rejected, text_lines
from streams.wire.topics import BANK_BALANCES, BANK_TRANSACTIONS

ENCODING = "latin-1"
CURRENCY = "CZK"
TRANS_COLUMNS = (
    "trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol", "bank", "account",
)  # fmt: skip
DISP_COLUMNS = ("disp_id", "client_id", "account_id", "type")
SIGNS = {"PRIJEM": 1, "VYDAJ": -1, "VYBER": -1}
# VYBER is cash over the counter and VKLAD cash paid in: neither is one of our channels.
CHANNELS = {
    "PREVOD NA UCET": Channel.TRANSFER,
    "PREVOD Z UCTU": Channel.TRANSFER,
    "VYBER KARTOU": Channel.ATM,
}
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_DATE = re.compile(r"[0-9]{6}", re.ASCII)
_MONEY = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,2}))?", re.ASCII)


class _LineError(Exception):
    """A row that cannot be published; the text is the reason. Does not leave this module."""


class _Row(NamedTuple):
    trans_id: str
    account_id: str
    date: str
    type: str
    operation: str
    amount: str
    balance: str
    k_symbol: str
    bank: str
    account: str


class Berka:
    """`trans.asc`, with the `disp.asc` beside it for joint holders."""

    name = "berka"

    def read(self, file: Path) -> Iterator[Outcome]:
        """Yield a BankTransaction and an AccountBalance per row, in file order; see `Format.read`."""
        with file.open("rb") as stream:
            for item in text_lines(stream, ENCODING):
                if isinstance(item, Rejected):
                    yield item
                    continue
                line, text = item
                if line == 1 and text.replace('"', "").split(";") == list(TRANS_COLUMNS):
                    continue
                try:
                    yield _parsed(line, text)
                except _LineError as error:
                    yield Rejected(line, str(error))

    def joint_holders(self, file: Path) -> Mapping[str, tuple[str, ...]]:
        """Return the second holders from `disp.asc` beside `file`; none when it is absent."""
        disp = file.with_name("disp.asc")
        return holders(disp) if disp.exists() else {}


def subject_of(account_id: str) -> str:
    """Return the subject of an account. Never raises."""
    return f"berka:{account_id}"


def holders(disp: Path) -> dict[str, tuple[str, ...]]:
    """Return by subject the user ids of those who may dispose of it besides its owner (type DISPONENT).

    A row that cannot be read names nobody: less is told, not more. Raises OSError if `disp` cannot be read.
    """
    found: dict[str, tuple[str, ...]] = {}
    with disp.open("rb") as stream:
        for item in text_lines(stream, ENCODING):
            if isinstance(item, Rejected):
                continue
            try:
                fields = _fields(item[1], len(DISP_COLUMNS))
            except _LineError:
                continue
            disp_id, _client_id, account_id, kind = fields
            if kind == "DISPONENT":
                subject = subject_of(account_id)
                digest = hashlib.sha256(f"{subject}#{disp_id}".encode()).hexdigest()
                found[subject] = (*found.get(subject, ()), f"user:{digest[:16]}")
    return found


def _parsed(line: int, text: str) -> Parsed:
    row = _Row(*_fields(text, len(TRANS_COLUMNS)))
    for name in ("trans_id", "account_id"):
        if not _ID.fullmatch(getattr(row, name)):
            raise _LineError(f"{name} is not a number")
    if row.type not in SIGNS:
        raise _LineError(f"type is none of {', '.join(SIGNS)}")
    amount = _minor("amount", row.amount)
    if amount < 0:
        raise _LineError("amount is negative; the sign comes from type")
    balance = _minor("balance", row.balance)
    subject, at = subject_of(row.account_id), _midnight(row.date)
    transaction = BankTransaction(
        event_id=row.trans_id,
        subject=subject,
        occurred_at=at,
        status=TransactionStatus.POSTED,
        amount_minor=SIGNS[row.type] * amount,
        currency=CURRENCY,
        category=row.k_symbol.strip() or None,
        channel=CHANNELS.get(row.operation),
        balance_after_minor=balance,
    )
    after = AccountBalance(row.trans_id, subject, at, balance, CURRENCY)
    return Parsed(line, ((BANK_TRANSACTIONS, transaction), (BANK_BALANCES, after)))


def _fields(text: str, count: int) -> list[str]:
    try:
        fields = next(csv.reader([text], delimiter=";", strict=True), [])
    except csv.Error:
        raise _LineError("broken quotes, or the line ends inside a field") from None
    if len(fields) != count:
        raise _LineError(f"{len(fields)} fields instead of {count}")
    return fields


def _minor(name: str, text: str) -> int:
    match = _MONEY.fullmatch(text)
    if match is None:
        raise _LineError(f"{name} is not an amount with at most two decimals")
    sign, whole, decimals = match.groups()
    return int(f"{sign}{whole}{(decimals or '').ljust(2, '0')}")


def _midnight(text: str) -> int:
    """Return the UTC milliseconds of a YYMMDD date of the 1900s at 00:00."""
    if not _DATE.fullmatch(text):
        raise _LineError("date is not YYMMDD")
    try:
        day = datetime(1900 + int(text[:2]), int(text[2:4]), int(text[4:]), tzinfo=UTC)
    except ValueError:
        raise _LineError("date does not exist") from None
    return int(day.timestamp()) * 1000
