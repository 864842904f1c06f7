"""A reader beside a run: notes each record of `messenger-delivery` as it comes, as others read it.

Reads committed records only, from the start, and never goes back: what it notes was readable at that moment.
Imports confluent-kafka, `recording` and `topics`. Read next: `invariants.py`.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from verifier.invariants import Seen
from verifier.recording import digest_of
from verifier.topics import CONNECT_S, DELIVERY, UnreachableError, reader

POLL_S = 0.2
RECORDS = 10_000
QUIET_S = 5.0
SOON = {"reconnect.backoff.ms": 100, "reconnect.backoff.max.ms": 500}
"""After a broker's restart librdkafka else waits for up to 10 s, longer than it is quiet at the end."""
LONGEST_END_S = 30.0


def follow(
    bootstrap: str, out: Path, is_ended: Callable[[], bool], options: dict[str, Any] | None = None
) -> None:
    """Write a line per record to `out` until it is ended; then read on to the end, for 30 s at most.

    A broker that is away is waited for. Raises UnreachableError when there is none at the start.
    """
    consumer = reader(
        bootstrap, SOON | (options or {}), auto_offset_reset="error", enable_partition_eof=False
    )
    found = consumer.list_topics(DELIVERY, timeout=CONNECT_S).topics[DELIVERY]
    if found.error is not None:
        raise UnreachableError(f"topic {DELIVERY} at {bootstrap}: {found.error.str()}")
    consumer.assign([TopicPartition(DELIVERY, number, OFFSET_BEGINNING) for number in found.partitions])
    ended_at: float | None = None
    with out.open("w", encoding="ascii") as notes:
        while True:
            was_ended = is_ended()
            ended_at = time.monotonic() if was_ended and ended_at is None else ended_at
            messages = [
                one
                for one in consumer.consume(RECORDS, timeout=QUIET_S if was_ended else POLL_S)
                if not one.error()
            ]
            for message in messages:
                seen = Seen(
                    DELIVERY, message.partition() or 0, message.offset() or 0,
                    digest_of(message.key() or b"", message.value() or b""),
                )  # fmt: skip
                notes.write(json.dumps(seen) + "\n")
            notes.flush()
            if ended_at is not None and (not messages or time.monotonic() - ended_at > LONGEST_END_S):
                break
    consumer.close()


def read_notes(path: Path) -> Iterator[Seen]:
    """Yield what was noted; a last line that was cut by a kill is left out."""
    for line in path.read_text(encoding="ascii").splitlines():
        if line.endswith("]"):
            yield Seen(*json.loads(line))
