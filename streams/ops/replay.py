"""Makes the notifications of a span of time again, byte for byte, into a topic of their own.

Imports `rerun`, kafka and wire. Read next: `streams/cli/replay.py`.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from streams.errors import CheckFailedError
from streams.kafka.admin import create_topic, describe
from streams.kafka.policy_settings import policy_of
from streams.kafka.publish import Publisher
from streams.kernel.batch_result import Output
from streams.ops.history import Span
from streams.ops.rerun import partitions_of, rerun
from streams.ops.topic_reader import open_reader
from streams.settings import Settings
from streams.wire.topics import DELIVERY, TOPIC_BY_NAME

SIDE_TOPIC = "notifier.replay"
SOURCE_HEADER = "notifier.source"


class Replayed(NamedTuple):
    """What a replay made.

    `digest` is that of all records, whatever their order over partitions; `delivered` that of the
    notifications that are still on messenger-delivery of the same events, None if none is; `missing` and
    `other` count what is on one side only, of events whose notifications are still there.
    """

    notifications: int
    digest: str
    delivered: str | None
    missing: int
    other: int


async def replay(
    settings: Settings, span: Span, into: str | None, progress: Callable[[int, int], None] | None = None
) -> Replayed:
    """Make again what was decided in a span, and compare it with what is still on messenger-delivery.

    Args:
        settings: where Kafka is, and the policy.
        span: of decision times.
        into: the topic to write to, created if it is not there; None: nothing is written.
        progress: told how many partition numbers of how many are done.

    Raises:
        CheckFailedError: a topic is too short, or another policy decided.
        ConfigurationError: `into` is one of our own topics.
    """
    if into in TOPIC_BY_NAME:
        raise CheckFailedError(f"{into} is one of the notifier's own topics; name another.")
    policy = policy_of(settings)
    partitions = await partitions_of(settings)
    made: list[Output] = []
    for partition in range(partitions):
        async for one in rerun(settings, partition, partitions, [policy]):
            if not span.since_ms <= one.batch.decided_at <= span.until_ms:
                continue
            if one.batch.policy_version != policy.version:
                raise CheckFailedError(
                    f"Partition {partition} was decided by policy {one.batch.policy_version}, these settings "
                    f"are {policy.version}: use those of then."
                )
            made += one.results[0].outputs
        if progress is not None:
            progress(partition + 1, partitions)
    if into is not None:
        await _write(settings, into, made)
    return await _compared(settings, made)


async def _write(settings: Settings, into: str, made: Iterable[Output]) -> None:
    deliveries = (await describe(settings)).topics[DELIVERY].partitions
    await create_topic(settings, into, deliveries, TOPIC_BY_NAME[DELIVERY].config)
    async with Publisher(settings, [into]) as publisher:
        for output in made:
            await publisher.send_bytes(into, output.key, output.value, tuple(output.headers))


async def _compared(settings: Settings, made: list[Output]) -> Replayed:
    ours = {_digest(one.key, one.value, one.headers): dict(one.headers)[SOURCE_HEADER] for one in made}
    theirs: dict[bytes, bytes] = {}
    async with open_reader(settings, [DELIVERY]) as reader:
        async for record in reader.rest():
            source = dict(record.headers).get(SOURCE_HEADER)
            if source is not None:
                headers = list(record.headers)
                theirs[_digest(record.key or b"", record.value or b"", headers)] = source
    sources = set(ours.values())
    kept = {digest: source for digest, source in theirs.items() if source in sources}
    comparable = {digest for digest, source in ours.items() if source in set(theirs.values())}
    return Replayed(
        len(made),
        _total(ours),
        _total(kept) if kept else None,
        len(comparable - kept.keys()),
        len(kept.keys() - ours.keys()),
    )


def _digest(key: bytes, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    parts = [key, value]
    for name, content in sorted(headers, key=lambda header: header[0]):
        parts += name.encode(), content or b""
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def _total(digests: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()
