"""`notifier config`: every setting with its value, secrets masked."""

from streams.cli.shared import JsonOption, KafkaOption, answer, settings_of
from streams.settings import SETTINGS


def config(kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """Print every setting as NOTIFIER_NAME=value, secrets masked."""
    settings = settings_of(kafka)
    shown = {item.variable: settings.shown(item) for item in SETTINGS}
    answer(shown if as_json else "\n".join(f"{name}={value}" for name, value in shown.items()))
