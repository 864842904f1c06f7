"""`notifier produce`: read a file of an outside format, publish its events."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streams.cli.shared import JsonOption, KafkaOption, ProgressLine, answer, news, settings_of
from streams.errors import CheckFailedError, ConfigurationError
from streams.formats.grants import GrantRule
from streams.formats.production import Production
from streams.formats.registry import FORMATS
from streams.formats.retime import parse_speed
from streams.kafka.publish import publish

SHOWN_REJECTS = 20


def produce(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The file to read.")
    ],
    format_name: Annotated[str, typer.Option("--format", help=f"Its format: {', '.join(FORMATS)}.")],
    kafka: KafkaOption = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="At most so many events per second.", show_default="no limit"),
    ] = None,
    retime: Annotated[
        Literal["now"] | None,
        typer.Option(
            help="now: the first event happens at the start of the run.", show_default="times of the file"
        ),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            help="With --retime: gaps are divided by it; max: each event happens when it is sent.",
            show_default="1",
        ),
    ] = None,
    grant_share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Grant made-up consents for this share of the subjects first.",
            show_default="0",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the subjects of --grant-share.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check the file; exit code 1 if a line is bad.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish the events of a file, acknowledged by Kafka. Bad lines are named and left out."""
    if format_name not in FORMATS:
        raise typer.BadParameter(f"{format_name!r} is none of {', '.join(FORMATS)}.", param_hint="--format")
    if speed is not None and retime is None:
        raise typer.BadParameter("--speed needs --retime now.", param_hint="--speed")
    pace = parse_speed(speed or "1") if retime else None
    rule = GrantRule(grant_share, seed) if grant_share else None
    try:
        production = Production(FORMATS[format_name], file, speed=None if dry_run else pace, rule=rule)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or file} cannot be read: {error.strerror}.") from error
    summary = _checked(production) if dry_run else _published(production, kafka, rate)
    for line, reason in production.rejected[:SHOWN_REJECTS]:
        news(f"{file}, line {line}: {reason}")
    _answer(summary, as_json)
    if dry_run and production.rejected_count:
        raise CheckFailedError(f"{production.rejected_count} lines of {file} cannot be published.")


def _checked(production: Production) -> dict[str, Any]:
    found = production.survey
    return {"events": dict(found.events), "subjects": len(found.subjects), **_rejects(production)}


def _published(production: Production, kafka: str | None, rate: float | None) -> dict[str, Any]:
    total = sum(production.survey.events.values())
    line = ProgressLine("publishing")
    try:
        report = asyncio.run(
            publish(settings_of(kafka), production, rate=rate, progress=lambda sent: line(sent, total))
        )
    finally:
        line.end()
    published = {topic: count for topic, count in report.published.items() if topic in production.topics}
    summary = {"published": published, "grants": report.grants, "seconds": round(report.seconds, 3)}
    return {**summary, **_rejects(production)}


def _rejects(production: Production) -> dict[str, Any]:
    lines = [{"line": line, "reason": reason} for line, reason in production.rejected]
    return {"rejected_count": production.rejected_count, "rejected": lines}


def _answer(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        answer(summary)
        return
    for topic, count in summary.get("published", summary.get("events", {})).items():
        answer(f"{topic}: {count}")
    for name in ("subjects", "grants", "seconds"):
        if name in summary:
            answer(f"{name}: {summary[name]}")
    answer(f"rejected lines: {summary['rejected_count']}")
