"""What every command shares: settings with `--kafka`, answers to stdout, news to stderr.

Imports settings and the embedded broker's status. Read next: any command.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.kafka.broker import broker_status
from streams.settings import Settings

KafkaOption = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="HOST:PORT",
        show_default=False,
        help="Kafka to use; otherwise NOTIFIER_KAFKA, the broker of `notifier up`, or 127.0.0.1:9092.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def settings_of(kafka: str | None = None, **overrides: Any) -> Settings:
    """Return the settings of the environment; without an address, that of the running embedded broker.

    Raises:
        ConfigurationError: the environment or an option cannot work.
    """
    settings = Settings.from_env(os.environ, kafka=kafka, **overrides)
    if kafka is None and "NOTIFIER_KAFKA" not in os.environ:
        running = broker_status(broker_home(settings))
        if running is not None:
            return Settings.from_env(os.environ, kafka=running.bootstrap, **overrides)
    return settings


def broker_home(settings: Settings) -> Path:
    """Return the folder of the embedded broker."""
    return settings.home / "broker"


def answer(value: Any) -> None:
    """Print data on stdout: text as it is, anything else as one line of JSON."""
    sys.stdout.write((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def news(text: str) -> None:
    """Print a line for the person on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class ProgressLine:
    """One line on stderr that says how far it is, on a terminal only; `end` wipes it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_shown = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if self._is_shown and total:
            sys.stderr.write(f"\r{self._what}: {100 * done // total} %")
            sys.stderr.flush()

    def end(self) -> None:
        """Leave no trace of it."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
