"""Shapes that flexible versions of Kafka's requests and answers share; aiokafka spells them out each time.

Imports the Kafka client only. Read next: `transaction_protocol.py`. Source: KIP-482; Kafka 4.3 protocol.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aiokafka.protocol.types import CompactArray, CompactString, Int32, TaggedFields

TAGS = ("tags", TaggedFields)
NO_TAGS: Mapping[int, bytes] = MappingProxyType({})
TEXT = CompactString("utf-8")
NUMBERS = CompactArray(Int32)


def each(*fields: tuple[str, Any]) -> CompactArray:
    """Return an array of records of these fields, a name and a type each."""
    return CompactArray(*fields, TAGS)


def by_topic(partitions: CompactArray, name: str = "topics") -> tuple[str, CompactArray]:
    """Return a field: an array of topics, each with its array of partitions."""
    return name, each(("topic", TEXT), ("partitions", partitions))
