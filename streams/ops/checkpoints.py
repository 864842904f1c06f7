"""Checkpoints of the decisions' hash chain: each partition's last batch, to be signed and kept elsewhere.

Each hash covers everything before it, so one signed head vouches for all that retention has left of the
chain below it, and for nothing having been taken from its end. Imports topic_reader and wire. Read next:
`keys.py`, `verifier/chain.py`. Source: docs/privacy.md.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streams.errors import CheckFailedError, ConfigurationError
from streams.kafka.admin import describe
from streams.ops.receipts import instant
from streams.ops.topic_reader import Record, TopicReader, open_reader
from streams.settings import Settings
from streams.wire.codec import decode_decision_batch
from streams.wire.topics import DECISIONS

CHECKPOINT_TYPE = "chain-checkpoint+jws"
FIRST_LOOK = 64
"""Offsets from the end that are read first: a transaction leaves one of them without a record."""
MOST_LOOK = 1 << 20


async def checkpoint(settings: Settings, now_ms: int) -> dict[str, Any]:
    """Return the head of every partition that has one, as JSON values.

    Raises:
        CheckFailedError: at_least_once keeps no chain, nothing was decided yet, or a batch cannot be read.
        KafkaUnreachableError, TopicError: as `open_reader`.
    """
    if settings.guarantee != "exactly_once":
        raise CheckFailedError("at_least_once may repeat batches and keeps no chain: nothing to sign.")
    cluster = await describe(settings)
    async with open_reader(settings, [DECISIONS]) as reader:
        last = await _last_records(reader)
    if not last:
        raise CheckFailedError(f"Nothing was decided yet: {DECISIONS} is empty.")
    return {
        "issued_at": instant(now_ms),
        "cluster_id": cluster.cluster_id,
        "topic": DECISIONS,
        "heads": [_head(record) for _, record in sorted(last.items())],
    }


async def _last_records(reader: TopicReader) -> dict[int, Record]:
    """Return the last record of each partition that holds any."""
    ends = {partition: end for (_, partition), end in (await reader.ends()).items()}
    holding = {number for number, first in (await reader.starts()).items() if first < ends[number]}
    look, last = FIRST_LOOK, dict[int, Record]()
    while holding - last.keys() and look <= MOST_LOOK:
        await reader.back_from_end(look)
        async for record in reader.rest():
            last[record.partition] = record
        look *= 16
    return last


def _head(record: Record) -> Mapping[str, Any]:
    try:
        batch = decode_decision_batch(record.value or b"")
    except ValueError as error:
        raise CheckFailedError(f"{DECISIONS}/{record.partition}/{record.offset} cannot be read.") from error
    return {
        "partition": record.partition,
        "offset": record.offset,
        "hash": batch.hash,
        "decided_at": instant(batch.decided_at),
    }


def keep(path: Path, token: str) -> None:
    """Append a signed checkpoint to a file, one a line, and have it on the disk before returning.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        with path.open("a", encoding="ascii") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
