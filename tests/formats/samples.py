"""Small files of every format, and where the real ones are."""

from pathlib import Path

import pytest

from streams.formats.format import Format, Outcome, Parsed, Rejected
from streams.formats.registry import FORMATS

DATA = Path(__file__).parents[3] / "shared" / "data"

BERKA_HEADER = (
    '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"'
)
BERKA = BERKA_HEADER + (
    '\r\n695247;2378;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;'
    '\r\n3356276;1787;930131;"VYDAJ";"PREVOD NA UCET";1004.4;-304.40;"SIPO";"OP";45795475'
    '\r\n77;1787;930228;"VYBER";"VYBER KARTOU";300;-604.40;" ";;\r\n'
)

OLIST_HEADER = (
    "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,"
    "order_delivered_customer_date,order_estimated_delivery_date,precision,source"
)
OLIST = OLIST_HEADER + (
    "\no1,c1,delivered,2017-01-05 10:00:00,2017-01-05 12:00:00,2017-01-07 09:00:00,2017-01-10 16:30:00,"
    "2017-01-20 00:00:00,second,x"
    "\no2,c2,canceled,2017-01-06 08:00:00,2017-01-06 09:00:00,,,2017-01-25 00:00:00,minute,x\n"
)
OLIST_CUSTOMERS = "customer_id,customer_unique_id,customer_city\nc1,person-1,franca\n"

JSONL = (
    '{"record": "BankTransaction", "event_id": "t1", "subject": "bank:7", "occurred_at": 1700000000000, '
    '"status": "POSTED", "amount_minor": -1250, "currency": "EUR"}\n'
    '{"event_id": "s1", "subject": "shop:1", "shipment_id": "p", "status": "DELIVERED", '
    '"status_at": "2023-11-14T22:13:20Z"}\n'
    '{"request_id": "r", "subject": "bank:7", "action": "GRANT", "requested_at": 1, "requested_by": "USER", '
    '"consent": {"consent_id": "c", "version": 0, "purposes": ["RECEIPT"], "detail_level": "FULL", '
    '"direction": "OUT", "channel_ref": "ch", "effective_at": 1, "valid_until": 2, "notice_id": "n", '
    '"notice_hash": "h", "locale": "de", "timezone": "Europe/Berlin", "preferences": {"currency": "EUR"}}}\n'
)

SAMPLES = {"berka": BERKA, "olist": OLIST, "jsonl": JSONL}


def read(file_format: Format | str, folder: Path, content: str | bytes) -> list[Outcome]:
    """What the format says of a file with this content."""
    named = FORMATS[file_format] if isinstance(file_format, str) else file_format
    file = folder / "input"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(named.read(file))


def rejects(outcomes: list[Outcome]) -> list[tuple[int, str]]:
    return [(each.line, each.reason) for each in outcomes if isinstance(each, Rejected)]


def parsed(outcomes: list[Outcome]) -> list[Parsed]:
    return [each for each in outcomes if isinstance(each, Parsed)]


def real_file(name: str) -> Path:
    """A file of the real input; skips the test where it is absent."""
    file = DATA / name
    if not file.exists():
        pytest.skip("real input is absent: ../shared/data")
    return file
