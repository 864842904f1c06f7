"""`notifier explain`: why somebody was told, or not."""

import asyncio
from typing import Annotated

import typer

from streams.cli.shared import JsonOption, KafkaOption, ProgressLine, answer, settings_of
from streams.ops import explain as ops
from streams.wire.topics import EVENT_TOPICS


def explain(
    asked: Annotated[
        str, typer.Argument(metavar="EVENT_ID | TOPIC/PARTITION/OFFSET", help="The event to explain.")
    ],
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why somebody was told of an event, or why not.

    Events of subjects without consent are never opened, so their id is not known: ask for them by position.
    Exit code 1 if nothing is known of the event.
    """
    position = ops.parse_position(asked)
    if position is not None and position.topic not in EVENT_TOPICS:
        raise typer.BadParameter(
            f"{position.topic} is not an event topic; there are {', '.join(EVENT_TOPICS)}."
        )
    settings = settings_of(kafka)
    progress = ProgressLine("reading decisions")
    try:
        found = asyncio.run(ops.explain(settings, asked, progress))
    finally:
        progress.end()
    answer([ops.as_json(one) for one in found] if as_json else "\n".join(map(ops.in_words, found)))
    raise typer.Exit(1 if all(one.outcome in ("unknown", "absent") for one in found) else 0)
