from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.core.codes import ShipmentStatus
from streams.core.events import ShipmentUpdate
from streams.formats.format import Outcome
from streams.formats.registry import FORMATS
from tests.formats.samples import OLIST, OLIST_CUSTOMERS, OLIST_HEADER, parsed, read, real_file, rejects

WRONG_ID = "empty or longer than 100 characters"


def steps(outcomes: list[Outcome]) -> list[ShipmentUpdate]:
    events = [event for row in parsed(outcomes) for _topic, event in row.events]
    return [event for event in events if isinstance(event, ShipmentUpdate)]


def order(status: str, *times: str, order_id: str = "o", customer_id: str = "c") -> str:
    """A file of one order; times: purchase, approval, carrier, delivery, estimate."""
    return f"{OLIST_HEADER}\n{order_id},{customer_id},{status},{','.join(times)},second,x\n"


def test_an_order_is_one_shipment_whose_times_become_utc(tmp_path: Path) -> None:
    (tmp_path / "customers_union.csv").write_text(OLIST_CUSTOMERS)
    first = steps(read("olist", tmp_path, OLIST))[0]
    assert first == ShipmentUpdate(
        event_id="o1:PRE_TRANSIT",
        subject="olist:person-1",
        shipment_id="o1",
        status=ShipmentStatus.PRE_TRANSIT,
        # Sao Paulo is two hours behind UTC in January 2017: summer time
        status_at=int(datetime(2017, 1, 5, 14, tzinfo=UTC).timestamp()) * 1000,
        order_ref="o1",
        eta_at=int(datetime(2017, 1, 20, 2, tzinfo=UTC).timestamp()) * 1000,
    )


def test_steps_of_all_orders_come_by_time(tmp_path: Path) -> None:
    outcomes = read("olist", tmp_path, OLIST)
    assert [event.event_id for event in steps(outcomes)] == [
        "o1:PRE_TRANSIT",
        "o2:PRE_TRANSIT",
        "o2:CANCELLED",
        "o1:IN_TRANSIT",
        "o1:DELIVERED",
    ]
    assert [row.line for row in parsed(outcomes)] == [2, 3, 3, 2, 2]


def test_a_customer_without_a_known_person_stands_for_themselves(tmp_path: Path) -> None:
    (tmp_path / "customers_union.csv").write_text(OLIST_CUSTOMERS)
    assert {event.subject for event in steps(read("olist", tmp_path, OLIST))} == {
        "olist:person-1",
        "olist:c2",
    }


def test_cancelled_has_the_last_time_that_the_order_knows(tmp_path: Path) -> None:
    late = "2017-06-01 10:00:00"
    text = order("canceled", "2017-06-01 08:00:00", late, "2017-06-01 09:00:00", "", "")
    found = {event.status: event.status_at for event in steps(read("olist", tmp_path, text))}
    assert found[ShipmentStatus.CANCELLED] == found[ShipmentStatus.PRE_TRANSIT]
    assert found[ShipmentStatus.CANCELLED] == int(datetime(2017, 6, 1, 13, tzinfo=UTC).timestamp()) * 1000


def test_unavailable_is_an_exception_and_other_states_add_nothing(tmp_path: Path) -> None:
    bought = ("2017-06-01 08:00:00", "2017-06-01 09:00:00", "", "", "")
    statuses = {
        name: [
            ShipmentStatus(event.status).name
            for event in steps(read("olist", tmp_path, order(name, *bought)))
        ]
        for name in ("unavailable", "shipped", "processing", "invoiced")
    }
    assert statuses == {
        "unavailable": ["PRE_TRANSIT", "EXCEPTION"],
        "shipped": ["PRE_TRANSIT"],
        "processing": ["PRE_TRANSIT"],
        "invoiced": ["PRE_TRANSIT"],
    }


def test_delivered_without_a_date_keeps_its_other_steps_and_rejects_this_one(tmp_path: Path) -> None:
    outcomes = read("olist", tmp_path, order("delivered", "", "2017-06-01 09:00:00", "", "", ""))
    assert [event.status for event in steps(outcomes)] == [ShipmentStatus.PRE_TRANSIT]
    assert rejects(outcomes) == [
        (2, "order_delivered_customer_date is missing, so this step has no usable time")
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (order("canceled", "", "", "", "", ""), "no usable time for canceled"),
        (order("shipped", "", "yesterday", "", "", ""), "order_approved_at is not YYYY-MM-DD HH:MM:SS"),
        (order("shipped", "", "2017-02-30 00:00:00", "", "", ""), "order_approved_at does not exist"),
        (order("shipped", "", "", "", "", "", order_id=""), f"order_id is {WRONG_ID}"),
        (order("shipped", "", "", "", "", "", customer_id="c" * 101), f"customer_id is {WRONG_ID}"),
        (f"{OLIST_HEADER}\no,c,shipped\n", "3 fields instead of 10"),
        (f'{OLIST_HEADER}\no,"c\n', "broken quotes, or the line ends inside a field"),
    ],
)
def test_a_broken_order_is_rejected_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    outcomes = read("olist", tmp_path, text)
    assert rejects(outcomes) == [(2, reason)]
    assert parsed(outcomes) == []


def test_a_file_without_its_columns_is_rejected_at_its_header(tmp_path: Path) -> None:
    [(line, reason)] = rejects(read("olist", tmp_path, "order_id,customer_id\na,b\n"))
    assert line == 1
    assert reason.startswith("the header lacks order_status, order_purchase_timestamp")


@pytest.mark.data
def test_the_real_file_has_its_known_edge_cases() -> None:
    outcomes = list(FORMATS["olist"].read(real_file("olist/orders_union.csv")))
    found: dict[str, dict[str, ShipmentUpdate]] = {}
    for event in steps(outcomes):
        found.setdefault(event.shipment_id, {})[ShipmentStatus(event.status).name] = event
    at = {order_id: {name: step.status_at for name, step in each.items()} for order_id, each in found.items()}
    both = [each for each in at.values() if {"PRE_TRANSIT", "IN_TRANSIT"} <= each.keys()]
    assert sum(each["IN_TRANSIT"] < each["PRE_TRANSIT"] for each in both) == 219
    arrived = [each for each in at.values() if {"IN_TRANSIT", "DELIVERED"} <= each.keys()]
    assert sum(each["DELIVERED"] < each["IN_TRANSIT"] for each in arrived) == 5
    assert sum({"CANCELLED", "DELIVERED"} <= each.keys() for each in at.values()) == 6
    assert len(rejects(outcomes)) == 8
    assert len(found) == 17_341 - 5  # five orders were only created
    times = [event.status_at for event in steps(outcomes)]
    assert times == sorted(times)
