"""`notifier dlq`: dead letters listed, opened and sent again."""

import asyncio
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.shared import JsonOption, KafkaOption, ProgressLine, answer, news, settings_of
from streams.core.codes import Reason
from streams.errors import CheckFailedError
from streams.ops import dead_letters as ops
from streams.ops.explain import Position, parse_position
from streams.ops.keys import read_key

app = typer.Typer(help="List, open and send again what was refused.", no_args_is_help=True)

KeyOption = Annotated[
    Path | None,
    typer.Option("--key", help="Private key of the dead letters (`notifier keys create dead-letters`)."),
]
ReasonOption = Annotated[
    list[str] | None,
    typer.Option("--reason", help="Only those refused for it, as UNDECODABLE; may be repeated."),
]
Places = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TOPIC/PARTITION/OFFSET]...", help="Letters, or refused records; default: all."),
]


@app.command(name="list")
def list_letters(reason: ReasonOption = None, kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """List the dead letters that are kept: which record was refused, why and when. Never a key or a value."""
    settings, choice = settings_of(kafka), ops.Choice(reasons=_reasons(reason))
    progress = ProgressLine("reading dead letters")
    try:
        found = asyncio.run(ops.letters(settings, progress))
    finally:
        progress.end()
    found = [letter for letter in found if choice.takes(letter)]
    if as_json:
        answer([letter.as_json() for letter in found])
        return
    for letter in found:
        marks = " [has a sealed value]" if letter.has_value else ""
        marks += " [sent again]" if letter.is_replayed else ""
        answer(f"{_time(letter.appended_ms)} {letter.source} {letter.reason}: {letter.message}{marks}")
    news(f"{len(found)} dead letters.")


@app.command()
def show(
    place: Annotated[
        str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="The letter, or its record.")
    ],
    key: KeyOption = None,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter; with the key its value too, of which evidence is left on consent.evidence.

    A value is there only if the worker had a key to seal it with, and only of subjects whose consent let it
    be opened.
    """
    settings, at = settings_of(kafka), _place(place)
    letter = asyncio.run(ops.one_letter(settings, at))
    value = None
    if key is not None:
        private = read_key("dead-letters", key, is_private=True)
        value = asyncio.run(ops.opened(settings, letter, private, getpass.getuser()))
        if value is None:
            raise CheckFailedError("This letter has no value: see `notifier dlq show --help`.")
    shown: dict[str, Any] = letter.as_json()
    if value is not None:
        shown |= {"key": (letter.key or b"").decode("utf-8", "replace"), "value_hex": value.hex()}
    if as_json:
        answer(shown)
        return
    answer("\n".join(f"{name.replace('_', ' ')}: {text}" for name, text in shown.items()))


@app.command()
def replay(
    places: Places = None,
    reason: ReasonOption = None,
    key: KeyOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send refused records to their topics again, each once, where they are decided like any other.

    Misrouted ones go to the right partition now. Nothing is sent twice, however often this runs, and nothing
    of a subject that nobody has a consent for. Exit code 1 if a record that was asked for by its position
    cannot be sent.
    """
    settings, asked = settings_of(kafka), [_place(place) for place in places or []]
    choice = ops.Choice(frozenset(asked), _reasons(reason))
    private = read_key("dead-letters", key, is_private=True) if key is not None else None
    progress = ProgressLine("reading refused records")
    try:
        plans = asyncio.run((ops.plan if dry_run else ops.replay)(settings, choice, private, progress))
    finally:
        progress.end()
    missing = [at for at in asked if not any(at in (one.letter.at, one.letter.source) for one in plans)]
    _tell(plans, missing, dry_run=dry_run, as_json=as_json)
    if asked and (missing or any(one.refused for one in plans)):
        raise typer.Exit(1)


def _tell(plans: list[ops.Plan], missing: list[Position], *, dry_run: bool, as_json: bool) -> None:
    refused = {str(one.letter.source): one.refused for one in plans if one.refused is not None}
    refused |= {str(at): "no dead letter is about it" for at in missing}
    due = [str(one.letter.source) for one in plans if one.refused is None]
    if as_json:
        answer({"dry_run": dry_run, "sent": [] if dry_run else due, "due": due, "not_sent": refused})
        return
    for place in due:
        answer(f"{place}: {'would be sent' if dry_run else 'sent'} again")
    for place, why in refused.items():
        answer(f"{place}: not sent: {why}")
    news(f"{len(due)} {'would be sent' if dry_run else 'sent'} again, {len(refused)} not.")


def _reasons(names: list[str] | None) -> frozenset[str]:
    wanted = frozenset({name.upper() for name in names or []})
    for name in wanted - set(Reason.__members__):
        raise typer.BadParameter(f"{name!r} is no reason; see docs/rules.md.", param_hint="--reason")
    return wanted


def _place(text: str) -> Position:
    position = parse_position(text)
    if position is None:
        raise typer.BadParameter(f"{text!r} is not TOPIC/PARTITION/OFFSET.")
    return position


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
