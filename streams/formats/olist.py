"""Olist: orders of Brazilian web shops (`orders_union.csv`, with `customers_union.csv` beside it).

A row is one order with the times at which it was approved, handed to the carrier and delivered; each becomes
a step of one shipment. `canceled` and `unavailable` have no time of their own: they get the last time that
the row knows. Rows are by order, so the steps of all orders are held and sorted by time, else the gaps
between them would mean nothing. Source: DESIGN section 10. Read next: `registry.py`.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from streams.core.codes import ShipmentStatus
from streams.core.events import ShipmentUpdate
from streams.formats.format import Outcome, Parsed, Rejected, text_lines
from streams.wire.topics import SHIPPING_EVENTS

ENCODING = "utf-8"
ZONE = ZoneInfo("America/Sao_Paulo")
MAX_STEPS = 1_000_000  # about 1 GiB; the public data set of all orders has 300,000
CUSTOMERS = "customers_union.csv"

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_PURCHASE = "order_purchase_timestamp"
_ETA = "order_estimated_delivery_date"
_STEPS = {
    "order_approved_at": ShipmentStatus.PRE_TRANSIT,
    "order_delivered_carrier_date": ShipmentStatus.IN_TRANSIT,
    "order_delivered_customer_date": ShipmentStatus.DELIVERED,
}
_ENDS = {"canceled": ShipmentStatus.CANCELLED, "unavailable": ShipmentStatus.EXCEPTION}
_DUE_TIME = {"approved": "order_approved_at", "delivered": "order_delivered_customer_date"}
_COLUMNS = ("order_id", "customer_id", "order_status", _PURCHASE, *_STEPS, _ETA)


class _Step(NamedTuple):
    line: int
    event: ShipmentUpdate


class _RowError(Exception):
    """A row that cannot be published; the text is the reason. Does not leave this module."""


class Olist:
    """`orders_union.csv`, with the `customers_union.csv` beside it for the customer behind an order."""

    name = "olist"

    def read(self, file: Path) -> Iterator[Outcome]:
        """Yield first the rejects by line, then one step of a shipment each, by time; see `Format.read`.

        A delivered order without its date yields the steps it has, and a reject for the one that it lacks.
        """
        customers = _customers(file.with_name(CUSTOMERS))
        steps: list[_Step] = []
        for line, row in _rows(file, _COLUMNS):
            if len(steps) >= MAX_STEPS:
                yield Rejected(line, f"more than {MAX_STEPS} steps; this and later lines are not read")
                break
            if isinstance(row, str):
                yield Rejected(line, row)
                continue
            try:
                steps.extend(_Step(line, event) for event in _steps(row, customers))
            except _RowError as error:
                yield Rejected(line, str(error))
                continue
            due = _DUE_TIME.get(row["order_status"])
            if due is not None and not row[due]:
                yield Rejected(line, f"{due} is missing, so this step has no usable time")
        steps.sort(key=lambda step: step.event.status_at)
        for step in steps:
            yield Parsed(step.line, ((SHIPPING_EVENTS, step.event),))

    def joint_holders(self, file: Path) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG002  the contract's
        """Return nothing: an order has one customer. Never raises."""
        return {}


def _steps(row: Mapping[str, str], customers: Mapping[str, str]) -> list[ShipmentUpdate]:
    order_id, customer_id = row["order_id"], row["customer_id"]
    for name in ("order_id", "customer_id"):
        if not 1 <= len(row[name]) <= 100:
            raise _RowError(f"{name} is empty or longer than 100 characters")
    times = {column: _utc_ms(column, row[column]) for column in (_PURCHASE, *_STEPS, _ETA)}
    found = [(status, times[column]) for column, status in _STEPS.items()]
    if end := _ENDS.get(row["order_status"]):
        known = [time for column in (_PURCHASE, *_STEPS) if (time := times[column]) is not None]
        if not known:
            raise _RowError(f"no usable time for {row['order_status']}")
        found.append((end, max(known)))
    return [
        ShipmentUpdate(
            event_id=f"{order_id}:{status.name}",
            subject=f"olist:{customers.get(customer_id, customer_id)}",
            shipment_id=order_id,
            status=status,
            status_at=at,
            order_ref=order_id,
            eta_at=times[_ETA],
        )
        for status, at in found
        if at is not None
    ]


def _customers(file: Path) -> dict[str, str]:
    """Return the person (customer_unique_id) behind each customer_id; empty when the file is absent."""
    if not file.exists():
        return {}
    rows = _rows(file, ("customer_id", "customer_unique_id"))
    return {
        row["customer_id"]: row["customer_unique_id"]
        for _line, row in rows
        if not isinstance(row, str) and 1 <= len(row["customer_unique_id"]) <= 100
    }


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Yield (line, the wanted columns) or (line, reason); without a usable header only its reason."""
    positions: dict[str, int] | None = None
    width = 0
    with file.open("rb") as stream:
        for item in text_lines(stream, ENCODING):
            if isinstance(item, Rejected):
                yield item.line, item.reason
                continue
            line, text = item
            try:
                fields = next(csv.reader([text], strict=True), [])
            except csv.Error:
                yield line, "broken quotes, or the line ends inside a field"
                continue
            if positions is None:
                if missing := [column for column in columns if column not in fields]:
                    yield line, f"the header lacks {', '.join(missing)}; nothing was read"
                    return
                positions = {column: fields.index(column) for column in columns}
                width = len(fields)
            elif len(fields) != width:
                yield line, f"{len(fields)} fields instead of {width}"
            else:
                yield line, {column: fields[at] for column, at in positions.items()}


def _utc_ms(name: str, text: str) -> int | None:
    """Return the UTC milliseconds of a local time, the first of two when clocks went back; None if empty."""
    if not text:
        return None
    if not _TIME.fullmatch(text):
        raise _RowError(f"{name} is not YYYY-MM-DD HH:MM:SS")
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()) * 1000
    except (ValueError, OverflowError):
        raise _RowError(f"{name} does not exist") from None
