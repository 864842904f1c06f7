"""`notifier up` and `notifier down`: the embedded broker."""

import asyncio
from typing import Annotated

import typer

from streams.cli.shared import JsonOption, answer, broker_home, news, settings_of
from streams.kafka.admin import apply_topics
from streams.kafka.broker import broker_status, start_broker, stop_broker


def up(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Port for clients; otherwise the last one, or a free one."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the data of the last time.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a Kafka broker on this machine with all topics; print its address.

    It keeps running, with its data, until `notifier down`. The first time, about 45 MB are fetched.
    """
    settings = settings_of()
    running = start_broker(
        broker_home(settings), port=port, fresh=fresh, partitions=settings.partitions, progress=news
    )
    applied = asyncio.run(apply_topics(settings_of(running.bootstrap)))
    for problem in applied.problems:
        news(str(problem))
    made = {"bootstrap": running.bootstrap, "pid": running.pid, "home": str(running.home)}
    answer({**made, "topics_created": list(applied.created)} if as_json else running.bootstrap)


def down(as_json: JsonOption = False) -> None:
    """Stop the broker that `notifier up` started; its data stay."""
    home = broker_home(settings_of())
    running = broker_status(home)
    was_running = stop_broker(home)
    if as_json:
        answer({"was_running": was_running, "bootstrap": running.bootstrap if running else None})
    else:
        news("The broker is stopped; its data stay." if was_running else "No broker was running.")
