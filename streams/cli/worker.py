"""`notifier worker`: run the agents until SIGTERM or Ctrl-C."""

from typing import Annotated, Literal

import typer

from streams.cli.shared import KafkaOption, settings_of


def worker(
    kafka: KafkaOption = None,
    guarantee: Annotated[
        Literal["exactly_once", "at_least_once"] | None,
        typer.Option(help="What a crash may do to outputs.", show_default="exactly_once"),
    ] = None,
    ops_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Port of /livez, /readyz and /metrics; 0 takes a free one.",
            show_default="6066",
        ),
    ] = None,
) -> None:
    """Decide events and send notifications, until SIGTERM or Ctrl-C.

    Start several, up to the number of partitions: they share the work. /readyz says when one is ready.
    """
    settings = settings_of(kafka, guarantee=guarantee, ops_port=ops_port)
    from streams.agents.worker import run_worker  # Faust takes a second to import: no other command needs it

    raise typer.Exit(run_worker(settings))
