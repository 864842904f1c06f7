"""Asks the workers: a request stored in one topic, its answer read from another.

Imports kafka, ops and wire. Read next: `consent_desk.py`, `link_desk.py`.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from aiokafka import AIOKafkaProducer

from streams.kafka.admin import require_topics
from streams.kafka.connection import client_options, our_errors
from streams.ops.topic_reader import open_reader
from streams.settings import Settings
from streams.wire.partition import partition_of

ANSWER_WAIT_S = 10.0
Answer = TypeVar("Answer")


class Question(NamedTuple):
    """A request as it is stored: its topic, the topic of its answers, key and value."""

    requests: str
    results: str
    key: bytes
    value: bytes


async def ask(
    settings: Settings, question: Question, read: Callable[[bytes], Answer | None], *, waits: bool
) -> tuple[str, Answer | None]:
    """Store a request, acknowledged by all replicas; wait up to 10 s for the answer if asked to.

    Return the position of the request, and the answer, None without one. `read` gives the answer in a value,
    None if it is another's.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    info = await require_topics(settings, [question.requests, question.results])
    partition = partition_of(question.key, info.topics[question.requests].partitions)
    async with open_reader(settings, [question.results], [partition]) as answers:
        await answers.to_end()
        await answers.next(0)  # the place is asked for now: an answer must not come before it
        offset = await _send(settings, question, partition)
        found: Answer | None = None
        deadline = time.monotonic() + (ANSWER_WAIT_S if waits else 0)
        while found is None and time.monotonic() < deadline:
            for record in await answers.next():
                answer = read(record.value or b"")
                found = answer if answer is not None else found
    return f"{question.requests}/{partition}/{offset}", found


async def _send(settings: Settings, question: Question, partition: int) -> int:
    async with our_errors(settings):
        producer = AIOKafkaProducer(**client_options(settings), acks="all", enable_idempotence=True)
        try:
            await producer.start()
            stored = await producer.send_and_wait(
                question.requests, question.value, question.key, partition=partition
            )
        finally:
            await producer.stop()
    offset: int = stored.offset
    return offset
