import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.core.codes import Channel, TransactionStatus
from streams.core.events import AccountBalance, BankTransaction
from streams.formats.berka import holders
from tests.formats.samples import BERKA, BERKA_HEADER, parsed, read, real_file, rejects

GOOD = '1;2;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;'


def test_a_row_is_a_transaction_and_the_balance_after_it(tmp_path: Path) -> None:
    second = parsed(read("berka", tmp_path, BERKA))[1]
    at = int(datetime(1993, 1, 31, tzinfo=UTC).timestamp()) * 1000
    assert second.line == 3
    assert second.events == (
        (
            "bank.transactions",
            BankTransaction(
                event_id="3356276",
                subject="berka:1787",
                occurred_at=at,
                status=TransactionStatus.POSTED,
                amount_minor=-100440,
                currency="CZK",
                category="SIPO",
                channel=Channel.TRANSFER,
                balance_after_minor=-30440,
            ),
        ),
        ("bank.balances", AccountBalance("3356276", "berka:1787", at, -30440, "CZK")),
    )


def test_credits_are_positive_and_both_debits_negative(tmp_path: Path) -> None:
    transactions = [row.events[0][1] for row in parsed(read("berka", tmp_path, BERKA))]
    assert [event.amount_minor for event in transactions if isinstance(event, BankTransaction)] == [
        70000,
        -100440,
        -30000,
    ]


def test_a_blank_symbol_is_no_category_and_cash_over_the_counter_no_channel(tmp_path: Path) -> None:
    transactions = [row.events[0][1] for row in parsed(read("berka", tmp_path, BERKA))]
    found = [(event.category, event.channel) for event in transactions if isinstance(event, BankTransaction)]
    assert found == [(None, None), ("SIPO", Channel.TRANSFER), (None, Channel.ATM)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (GOOD.replace("700.00;700", "700.005;700"), "amount is not an amount with at most two decimals"),
        (GOOD.replace("700.00;700", "seven;700"), "amount is not an amount with at most two decimals"),
        (GOOD.replace("700.00;700", "7e2;700"), "amount is not an amount with at most two decimals"),
        (GOOD.replace("700.00;700", "\u0667;700"), "amount is not an amount with at most two decimals"),
        (GOOD.replace("700.00;700", "-1;700"), "amount is negative; the sign comes from type"),
        (GOOD.replace('700.00;"', 'NaN;"'), "balance is not an amount with at most two decimals"),
        (GOOD.replace('700.00;"', '1234567890123;"'), "balance is not an amount with at most two decimals"),
        (GOOD.replace("930101", "930230"), "date does not exist"),
        (GOOD.replace("930101", "1993-01-01"), "date is not YYMMDD"),
        (GOOD.replace("PRIJEM", "PRIJ"), "type is none of PRIJEM, VYDAJ, VYBER"),
        (GOOD.replace("1;2;", ";2;"), "trans_id is not a number"),
        (GOOD.replace("1;2;", "1;x;"), "account_id is not a number"),
        (GOOD + ";", "11 fields instead of 10"),
        ("", "0 fields instead of 10"),
        ('1;2;930101;"PRIJE', "broken quotes, or the line ends inside a field"),
    ],
)
def test_a_broken_row_is_rejected_with_its_line(tmp_path: Path, row: str, reason: str) -> None:
    outcomes = read("berka", tmp_path, f"{BERKA_HEADER}\n{row}\n{GOOD}\n")
    assert rejects(outcomes) == [(2, reason)]
    assert [row.line for row in parsed(outcomes)] == [3]


def test_text_is_latin_1(tmp_path: Path) -> None:
    row = GOOD.replace('"";;', '"D\xdcCHOD";;')
    [only] = parsed(read("berka", tmp_path, f"{BERKA_HEADER}\n{row}\n".encode("latin-1")))
    event = only.events[0][1]
    assert isinstance(event, BankTransaction)
    assert event.category == "D\xdcCHOD"


def test_a_disponent_is_a_second_holder_and_the_owner_is_not_listed(tmp_path: Path) -> None:
    disp = tmp_path / "disp.asc"
    disp.write_text('"disp_id";"client_id";"account_id";"type"\n2;2;2;"OWNER"\n3;3;2;"DISPONENT"\nbroken;"\n')
    digest = hashlib.sha256(b"berka:2#3").hexdigest()
    assert holders(disp) == {"berka:2": (f"user:{digest[:16]}",)}


@pytest.mark.data
def test_the_real_file_has_49102_rows_and_a_broken_last_line(tmp_path: Path) -> None:
    outcomes = read("berka", tmp_path, real_file("berka/trans.asc").read_bytes())
    rows = parsed(outcomes)
    assert len(rows) == 49_102
    assert rejects(outcomes) == [(49_104, "broken quotes, or the line ends inside a field")]
    assert len({event.subject for row in rows for _topic, event in row.events}) == 1_229


@pytest.mark.data
def test_the_real_file_names_869_joint_accounts() -> None:
    found = holders(real_file("berka/disp.asc"))
    assert len(found) == 869
    assert {len(users) for users in found.values()} == {1}
