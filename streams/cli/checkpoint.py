"""`notifier checkpoint`: signs what the hash chain of the decisions has come to."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.shared import JsonOption, KafkaOption, answer, settings_of
from streams.errors import ConfigurationError
from streams.kafka.publish import wall_ms
from streams.ops import checkpoints as ops
from streams.ops.keys import read_key, sign


def checkpoint(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Append the checkpoint here, one a line.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Private key that signs.", show_default="NOTIFIER_RECEIPT_KEY"),
    ] = None,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign the last decision of every partition number, so that nobody can change what came before it.

    Run it daily, and keep the file where whoever can write to Kafka cannot. `notifier verify --chain`
    compares: each hash covers everything before it, also where retention has deleted the beginning.
    """
    settings = settings_of(kafka)
    path = key or settings.receipt_key
    if path is None:
        raise ConfigurationError(
            "There is no key to sign with: --key or NOTIFIER_RECEIPT_KEY; "
            "`notifier keys create receipts` makes one."
        )
    private = read_key("receipts", path, is_private=True)
    made = asyncio.run(ops.checkpoint(settings, wall_ms()))
    token = sign(private, ops.CHECKPOINT_TYPE, made)
    ops.keep(out, token)
    if as_json:
        answer({"checkpoint": made, "signed": token})
    else:
        answer(f"{len(made['heads'])} partitions signed, appended to {out}")
