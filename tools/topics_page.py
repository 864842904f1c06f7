"""Writes `docs/topics.md` from the table in `streams.wire.topics`: `python -m tools.topics_page`."""

from pathlib import Path

from streams.wire.topics import TOPICS, Topic

PAGE = Path(__file__).parents[1] / "docs" / "topics.md"
HEAD = """# Topics

Made by `python -m tools.topics_page` from the table `TOPICS` in `streams/wire/topics.py`; change it there.

`notifier up` and `notifier topics apply` create what is missing, `notifier topics list` says what is wrong
with what is there; none of them changes a topic. Every topic is created with `NOTIFIER_PARTITIONS`
partitions, fixed for life: a record's partition is murmur2 of its key modulo that number. One task decides
partition P of all topics of the key space *subject*, another one partition P of those of the key space
*channel*. A record of `notifier.decisions` lies in the partition whose decisions it holds.

Values are Avro in the Confluent frame (a zero byte, four bytes of schema id), described in
[schemas.md](schemas.md). Dead letters carry no value, only headers that say which record was refused and why.
Internal topics are for nobody but the notifier.

| topic | key space | key | values | kept | internal |
|---|---|---|---|---|---|
"""
MIDDLE = """
## Settings

Set at creation; what is not named is the broker's default.

| topic | setting | value |
|---|---|---|
"""
_SPANS_MS = ((86_400_000, "d"), (3_600_000, "h"))
_MIB = 1 << 20


def page() -> str:
    """Return the whole page."""
    settings = (
        f"| `{topic.name}` | `{name}` | {_value(name, value)} |\n"
        for topic in TOPICS
        for name, value in topic.config.items()
    )
    return HEAD + "".join(map(_row, TOPICS)) + MIDDLE + "".join(settings)


def _row(topic: Topic) -> str:
    values = ", ".join(f"[{name}](schemas.md#{name})" for name in topic.schemas) or "none"
    internal = "yes" if topic.is_internal else ""
    return f"| `{topic.name}` | {topic.space} | {topic.key} | {values} | {kept(topic)} | {internal} |\n"


def kept(topic: Topic) -> str:
    """Return how long a topic keeps a record, in words."""
    if topic.config["cleanup.policy"] == "compact":
        return "the last of each key"
    return _span(int(topic.config["retention.ms"]))


def _value(name: str, value: str) -> str:
    if name.endswith(".ms"):
        return f"`{value}` ({_span(int(value))})"
    if name.endswith(".bytes"):
        return f"`{value}` ({int(value) // _MIB} MiB)"
    return f"`{value}`"


def _span(span_ms: int) -> str:
    unit_ms, unit = next(one for one in _SPANS_MS if span_ms % one[0] == 0)
    return f"{span_ms // unit_ms} {unit}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
