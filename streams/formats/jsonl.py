"""JSON lines: our own schemas as JSON, one object a line, events and consent requests mixed as you like.

    {"record": "BankTransaction", "event_id": "t1", "subject": "bank:7", "occurred_at":
    "2026-01-05T10:00:00Z",
     "status": "POSTED", "amount_minor": -1250, "currency": "EUR"}        (on one line)

Which record a line is, is said by the first of these that it has: `record` or `schema` (a record's name, with
or without namespace, or its schema file's name), `topic`, or `type` with a record's name (a SecurityAlert has
a `type` of its own and so needs `record`). Without any, the required fields decide if only one record has
them all. Fields are described in `schemas/` and their spelling in `json_values.py`. Empty lines are passed
over.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from streams.core.consent import ConsentRequest
from streams.core.events import EVENT_TYPES
from streams.formats.format import Outcome, Parsed, Rejected, text_lines
from streams.formats.json_values import FieldError, record_of
from streams.wire.schemas import our_schemas
from streams.wire.topics import CONSENT_REQUESTS, EVENT_TOPICS, TOPIC_BY_NAME

ENCODING = "utf-8"
_BYTE_ORDER_MARK = "\ufeff"
_NAMING_KEYS = ("record", "schema")
_TOPICS = (*EVENT_TOPICS, CONSENT_REQUESTS)
_RECORD_NAMES = tuple(record.__name__ for record in (*EVENT_TYPES, ConsentRequest))


def _schemas() -> dict[str, Any]:
    files = [TOPIC_BY_NAME[topic].schemas[0] for topic in _TOPICS]
    return {topic: our_schemas().current(file).avro for topic, file in zip(_TOPICS, files, strict=True)}


def _spellings() -> dict[str, str]:
    """Return the topic for every way to spell its record's name."""
    spellings: dict[str, str] = {}
    for topic, name in zip(_TOPICS, _RECORD_NAMES, strict=True):
        spellings |= dict.fromkeys((name, f"notifier.v1.{name}", TOPIC_BY_NAME[topic].schemas[0]), topic)
    return spellings


_SCHEMA_OF = _schemas()
_TOPIC_OF = _spellings()
_REQUIRED = {
    topic: frozenset(field["name"] for field in schema["fields"] if "default" not in field)
    for topic, schema in _SCHEMA_OF.items()
}


class Jsonl:
    """One JSON object per line, UTF-8."""

    name = "jsonl"

    def read(self, file: Path) -> Iterator[Outcome]:
        """Yield the event or consent request of each line, in file order; see `Format.read`."""
        with file.open("rb") as stream:
            for item in text_lines(stream, ENCODING):
                if isinstance(item, Rejected):
                    yield item
                    continue
                line, text = item
                text = text.removeprefix(_BYTE_ORDER_MARK) if line == 1 else text
                if not text.strip():
                    continue
                try:
                    yield _parsed(line, text)
                except FieldError as error:
                    yield Rejected(line, str(error))

    def joint_holders(self, file: Path) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG002  the contract's
        """Return nothing: holders are named by the file's own consent requests. Never raises."""
        return {}


def _parsed(line: int, text: str) -> Parsed:
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise FieldError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise FieldError("not JSON: nested too deep") from None
    except ValueError:
        raise FieldError("not JSON: a number with too many digits") from None
    if not isinstance(value, dict):
        raise FieldError("line is not an object")
    topic = _topic_of(value)
    return Parsed(line, ((topic, record_of(_SCHEMA_OF[topic], value)),))


def _topic_of(value: dict[str, Any]) -> str:
    stated = _stated_topic(value)
    topic = value.get("topic")
    if topic is not None:
        if topic not in _TOPICS:
            raise FieldError("topic is none that is published to")
        if stated is not None and stated != topic:
            raise FieldError("topic carries another record than the line names")
        return str(topic)
    if stated is not None:
        return stated
    fitting = [topic for topic in _TOPICS if _REQUIRED[topic] <= value.keys()]
    if len(fitting) != 1:
        raise FieldError("which record is this? Name it in `record`, or give all its required fields")
    return fitting[0]


def _stated_topic(value: dict[str, Any]) -> str | None:
    for key in _NAMING_KEYS:
        if key in value:
            name = value[key]
            if not isinstance(name, str) or name not in _TOPIC_OF:
                raise FieldError(f"{key} names none of our records")
            return _TOPIC_OF[name]
    name = value.get("type")
    if isinstance(name, str) and name in _TOPIC_OF:
        # Used up as the record's name: an alert's own type must not silently become "SecurityAlert".
        del value["type"]
        return _TOPIC_OF[name]
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise FieldError("a key appears twice")
    return value


def _refuse_constant(_name: str) -> NoReturn:
    raise FieldError("not JSON: NaN or Infinity")
