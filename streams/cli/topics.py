"""`notifier topics`: the topics as the table states them, and whether the cluster has them so."""

import asyncio
from typing import Any

import typer

from streams.cli.shared import JsonOption, KafkaOption, answer, news, settings_of
from streams.errors import CheckFailedError
from streams.kafka.admin import apply_topics, check_topics, describe
from streams.settings import Settings
from streams.wire.topics import TOPICS

app = typer.Typer(help="List the topics, or create what is missing.", no_args_is_help=True)


@app.command("list")
def list_topics(kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """Show every topic of the notifier, its partitions in the cluster, and what is wrong with it."""
    settings = settings_of(kafka)
    rows = asyncio.run(_rows(settings))
    if as_json:
        answer(rows)
        return
    widths = [max(len(str(row[column])) for row in rows) for column in ("topic", "key")]
    for row in rows:
        problems = "; ".join(row["problems"]) or "ok"
        name, key = str(row["topic"]).ljust(widths[0]), str(row["key"]).ljust(widths[1])
        answer(f"{name}  {row['partitions'] or '-':>3}  {key}  {problems}")


async def _rows(settings: Settings) -> list[dict[str, Any]]:
    info = await describe(settings)
    problems = await check_topics(settings)
    return [
        {
            "topic": topic.name,
            "partitions": info.topics[topic.name].partitions if topic.name in info.topics else None,
            "space": topic.space,
            "key": topic.key,
            "schemas": list(topic.schemas),
            "config": dict(topic.config),
            "problems": [f"{one.what} {one.cure}" for one in problems if one.topic == topic.name],
        }
        for topic in TOPICS
    ]


@app.command("apply")
def apply(kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """Create the topics that are missing; change no other. Exit code 1 if an existing one is wrong."""
    applied = asyncio.run(apply_topics(settings_of(kafka)))
    if as_json:
        problems = [{"topic": one.topic, "what": one.what, "cure": one.cure} for one in applied.problems]
        answer({"created": list(applied.created), "existing": list(applied.existing), "problems": problems})
    else:
        news(f"{len(applied.created)} topics created, {len(applied.existing)} were there.")
    if applied.problems:
        raise CheckFailedError("\n".join(map(str, applied.problems)))
