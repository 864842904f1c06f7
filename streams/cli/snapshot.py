"""`notifier snapshot`: what workers remember now, so that a replay can begin here."""

import asyncio
from typing import Annotated

import typer

from streams.cli.shared import JsonOption, KafkaOption, ProgressLine, answer, settings_of
from streams.kafka.publish import wall_ms
from streams.ops.snapshots import SnapshotFolder, Taken
from streams.settings import Settings

KEEP_DAYS = 31
"""Decisions are kept for 30."""


def snapshot(
    keep_days: Annotated[
        int, typer.Option(metavar="DAYS", min=1, max=3650, help="Delete older snapshots.")
    ] = KEEP_DAYS,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep what workers remember now on this machine, so that `replay` and `simulate` can begin here.

    Run it daily: compacted topics forget how they were. It is encrypted, with a key beside it, in
    NOTIFIER_HOME; who was erased since leaves the older ones. Whoever deletes it loses nothing but how far
    back a replay can begin.
    """
    settings = settings_of(kafka)
    progress = ProgressLine("reading what workers remember")
    try:
        taken = asyncio.run(_taken(settings, keep_days, progress))
    finally:
        progress.end()
    if as_json:
        answer(taken._asdict())
    else:
        answer(f"{taken.subjects} subjects of {taken.partitions} partitions")
        answer(f"from older snapshots: {taken.forgotten} entries of erased people deleted")
        answer(f"too old and deleted: {taken.removed} snapshots")


async def _taken(settings: Settings, keep_days: int, progress: ProgressLine) -> Taken:
    return await (await SnapshotFolder.of(settings)).take(settings, keep_days, wall_ms, progress)
