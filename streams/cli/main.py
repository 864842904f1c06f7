"""The command `notifier`: which commands there are, and how errors become messages and exit codes.

    0 fine   1 a check failed   2 usage   3 Kafka not reachable   4 configuration   130 interrupted

Read next: `shared.py`.
"""

import sys
from typing import Annotated

import typer

from streams import __version__
from streams.cli import (
    broker,
    checkpoint,
    config,
    consent,
    demo,
    dlq,
    doctor,
    explain,
    keys,
    produce,
    replay,
    schema,
    snapshot,
    tail,
    topics,
    verify,
    worker,
)
from streams.errors import NotifierError

app = typer.Typer(
    name="notifier",
    help="Consented notifications about bank and shop events, from Kafka to a messenger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(broker.up)
app.command()(broker.down)
app.command()(worker.worker)
app.command()(demo.demo)
app.command()(produce.produce)
app.add_typer(consent.app, name="consent")
app.command()(tail.tail)
app.command()(explain.explain)
app.command()(replay.replay)
app.command()(replay.simulate)
app.add_typer(dlq.app, name="dlq")
app.add_typer(keys.app, name="keys")
app.add_typer(topics.app, name="topics")
app.add_typer(schema.app, name="schema")
app.command()(config.config)
app.command()(doctor.doctor)
app.command()(verify.verify)
app.command()(checkpoint.checkpoint)
app.command()(snapshot.snapshot)


def _version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"notifier {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit with its code; a NotifierError becomes its message, without traceback."""
    try:
        app(prog_name="notifier")
    except NotifierError as error:
        sys.stderr.write(f"notifier: {error.message}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
