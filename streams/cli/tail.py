"""`notifier tail`: notifications as they come, in words or as JSON."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from streams.cli.shared import JsonOption, KafkaOption, answer, news, settings_of
from streams.core.codes import (
    DeclineReason,
    DetailLevel,
    Kind,
    Purpose,
    Push,
    Severity,
    ShipmentStatus,
    TransactionStatus,
)
from streams.core.decision import Notification
from streams.delivery.render import render
from streams.ops.topic_reader import Record, open_reader
from streams.settings import Settings
from streams.wire.codec import UndecodableError, decode_notification
from streams.wire.topics import DELIVERY

_CODES = {
    "kind": Kind,
    "purpose": Purpose,
    "detail_level": DetailLevel,
    "push": Push,
    "status": TransactionStatus,
    "decline_reason": DeclineReason,
    "shipment_status": ShipmentStatus,
    "severity": Severity,
}


def tail(
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest one kept.")
    ] = False,
    max_count: Annotated[
        int | None, typer.Option("--max", min=1, help="End after so many.", show_default=False)
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="End after so many seconds without a new one.", show_default=False),
    ] = None,
) -> None:
    """Follow messenger-delivery: one line per notification, until Ctrl-C.

    Text lines have the time, the recipient and the words; JSON lines have every field, the text, the headers
    and the position. Only committed notifications are shown.
    """
    asyncio.run(_tail(settings_of(kafka), as_json, from_beginning, max_count, timeout))


async def _tail(
    settings: Settings, as_json: bool, from_beginning: bool, max_count: int | None, timeout_s: float | None
) -> None:
    shown = 0
    async with aclosing(_records(settings, from_beginning, timeout_s)) as records:
        async for record in records:
            notification = _read(record)
            if notification is None:
                continue
            answer(as_fields(record, notification) if as_json else as_line(record, notification))
            shown += 1
            if shown == max_count:
                return


async def _records(
    settings: Settings, from_beginning: bool, timeout_s: float | None
) -> AsyncGenerator[Record, None]:
    async with open_reader(settings, [DELIVERY]) as reader:
        if not from_beginning:
            await reader.to_end()
        last = time.monotonic()
        while timeout_s is None or time.monotonic() - last < timeout_s:
            for record in await reader.next():
                last = time.monotonic()
                yield record


def _read(record: Record) -> Notification | None:
    try:
        return decode_notification(record.value or b"")
    except UndecodableError:
        news(f"{record.topic}/{record.partition}/{record.offset} is no notification that can be read.")
        return None


def as_line(record: Record, notification: Notification) -> str:
    """Return one line of text: append time (UTC), recipient, words."""
    at = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    return f"{at}  {notification.recipient}  {render(notification)}"


def as_fields(record: Record, notification: Notification) -> dict[str, Any]:
    """Return every field, codes by name, with text, headers, position and append time (UTC milliseconds)."""
    fields = notification._asdict()
    for name, codes in _CODES.items():
        if fields[name] is not None:
            fields[name] = codes(fields[name]).name
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    where = {"partition": record.partition, "offset": record.offset, "appended_at": record.timestamp_ms}
    return {**fields, "text": render(notification), "headers": headers, **where}
