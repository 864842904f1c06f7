"""`notifier explain`: why somebody was told, or not."""

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from streams.cli.shared import JsonOption, KafkaOption, ProgressLine, answer, news, settings_of
from streams.ops import explain as ops
from streams.ops.decision_index import index_of
from streams.ops.history import Span, of_span, of_subject
from streams.settings import Settings
from streams.wire.topics import CONSENT_REQUESTS, EVENT_TOPICS

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def explain(
    asked: Annotated[
        str | None,
        typer.Argument(
            metavar="[EVENT_ID | TOPIC/PARTITION/OFFSET]", help="The event to explain.", show_default=False
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="All events of this account or shop customer.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="From then on: 2026-11-28T12:00:00Z, or 90m, 24h, 7d ago.",
            show_default="24h",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Up to then.", show_default="now")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 100,
    index: Annotated[
        bool,
        typer.Option(
            "--index", help="Keep an index on this machine: the first time takes as long as reading all."
        ),
    ] = False,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why somebody was told of an event, or why not: one event, those of a subject, or of a span of time.

    Events of subjects without consent are never opened, so their id is not known: ask for them by position
    or by subject, or by id where the producer set `ce_id`. A notice that a consent is about to end has the id
    CONSENT_ID/VERSION/P30D (P7D, P1D), or ask by subject, or by position of the consent request. Exit code 1
    if nothing is known of the event.
    """
    if (asked is not None) + (subject is not None) > 1:
        raise typer.BadParameter("give an event, or --subject, not both.")
    if asked is not None and (since or until):
        raise typer.BadParameter("--since and --until go with --subject, or alone.")
    if asked is None and subject is None and not (since or until):
        raise typer.BadParameter("give an event id, a position, --subject, or --since.")
    position = ops.parse_position(asked or "")
    if position is not None and position.topic not in (*EVENT_TOPICS, CONSENT_REQUESTS):
        raise typer.BadParameter(
            f"{position.topic} is not an event topic; there are {', '.join(EVENT_TOPICS)}, and "
            f"{CONSENT_REQUESTS}."
        )
    settings = settings_of(kafka)
    progress = ProgressLine("reading decisions")
    try:
        found = asyncio.run(_found(settings, asked, subject, span_of(since, until), limit, index, progress))
    finally:
        progress.end()
    if not found:
        news("There is no event of that subject, or of that time.")
    if found or as_json:
        answer([ops.as_json(one) for one in found] if as_json else "\n".join(map(ops.in_words, found)))
    raise typer.Exit(1 if all(one.outcome in ("unknown", "absent") for one in found) else 0)


async def _found(
    settings: Settings,
    asked: str | None,
    subject: str | None,
    span: Span,
    limit: int,
    index: bool,
    progress: ProgressLine,
) -> list[ops.Explanation]:
    if asked is None:
        if subject is None:
            return await of_span(settings, span, limit, progress)
        return await of_subject(settings, subject, span, limit, progress)
    if not index:
        return await ops.explain(settings, asked, progress)
    with await index_of(settings) as known:
        await known.catch_up(settings, progress)
        return await ops.explain(settings, asked, progress, known)


def span_of(since: str | None, until: str | None) -> Span:
    """Return the span that two options state, by default the last 24 hours. Raises typer.BadParameter."""
    now = time.time_ns() // 1_000_000
    span = Span(
        _moment(since or "24h", now, "--since"), now if until is None else _moment(until, now, "--until")
    )
    if span.until_ms < span.since_ms:
        raise typer.BadParameter("ends before it begins.", param_hint="--until")
    return span


def _moment(text: str, now: int, option: str) -> int:
    """Return UTC milliseconds of a time, or of so long ago."""
    ago = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if ago is not None:
        return now - int(ago[1]) * _UNITS_MS[ago[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a time nor so long ago, as 24h.", param_hint=option
        ) from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
