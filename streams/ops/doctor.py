"""Looks for everything that keeps a notifier from working, and names the cure of each.

Changes nothing that a reader sees: the clock is read from an aborted transaction. Imports `topic_reader`,
kafka and wire. Read next: `streams/cli/doctor.py`.
"""

import importlib
import time
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.errors import NotifierError
from streams.kafka.admin import broker_settings, check_topics, describe
from streams.kafka.connection import check_connection, client_options, our_errors
from streams.ops.topic_reader import open_reader
from streams.settings import Settings
from streams.wire.partition import partition_of
from streams.wire.topics import DELIVERY, EVENT_TOPICS

MAX_SKEW_MS = (
    5_000  # well under the 5 minutes by which an event may be ahead, and the 15 that alerts may be old
)
SAMPLE_RECORDS = 200
REQUEST_TIMEOUT_MS = 15_000
LIMITS = ("group.min.session.timeout.ms", "group.max.session.timeout.ms", "transaction.max.timeout.ms")
CODECS = ("gzip", "lz4", "snappy", "zstd")


class Finding(NamedTuple):
    """What one check found: `is_ok` None where it could not run; `cure` where something is wrong."""

    check: str
    is_ok: bool | None
    found: str
    cure: str | None = None


class Diagnosis(NamedTuple):
    """All findings in the order of the checks; `exit_code` is 0 when nothing is wrong, else the command's."""

    findings: tuple[Finding, ...]
    exit_code: int


async def examine(settings: Settings) -> Diagnosis:
    """Run every check that can run. Never raises for what a check is about."""
    findings = [_codecs()]
    try:
        await check_connection(settings)
    except NotifierError as error:
        what, _, cure = error.message.partition(". ")
        findings.append(Finding("kafka", False, f"{what}.", cure or None))
        later = ("topics", "timeouts", "transactions", "clock", "partitioner")
        findings += [Finding(check, None, "Not checked: Kafka is not there.") for check in later]
        return Diagnosis(tuple(findings), error.exit_code)
    info = await describe(settings)
    findings.append(Finding("kafka", True, f"Kafka answers at {settings.kafka}, cluster {info.cluster_id}."))
    findings += await _topics(settings)
    findings += await _timeouts(settings)
    if DELIVERY in info.topics:
        findings += await _transactions(settings)
    else:
        missing = f"Not checked: the topic {DELIVERY} is missing."
        findings += [Finding(check, None, missing) for check in ("transactions", "clock")]
    findings.append(await _partitioner(settings, [name for name in EVENT_TOPICS if name in info.topics]))
    is_ok = all(finding.is_ok is not False for finding in findings)
    return Diagnosis(tuple(findings), 0 if is_ok else 1)


def _codecs() -> Finding:
    try:
        cramjam = importlib.import_module("cramjam")
    except ImportError:
        what = "The package cramjam is missing: records compressed with lz4, snappy or zstd cannot be read."
        return Finding("codecs", False, what, "Install it: pip install cramjam.")
    missing = [name for name in CODECS if not hasattr(cramjam, name)]
    if missing:
        what = f"This cramjam cannot {', '.join(missing)}."
        return Finding("codecs", False, what, "Install another: pip install -U cramjam.")
    return Finding("codecs", True, f"{', '.join(CODECS)} can be read.")


async def _topics(settings: Settings) -> list[Finding]:
    problems = await check_topics(settings)
    findings = [Finding("topics", False, f"{one.topic}: {one.what}", one.cure) for one in problems]
    return findings or [
        Finding("topics", True, "All topics are there, with the partitions and settings they need.")
    ]


async def _timeouts(settings: Settings) -> list[Finding]:
    limits = await broker_settings(settings, LIMITS)
    session, transaction = settings.session_timeout_ms, settings.transaction_timeout_ms
    rules = (
        (
            "NOTIFIER_SESSION_TIMEOUT_MS",
            session,
            "group.min.session.timeout.ms",
            "group.max.session.timeout.ms",
        ),
        ("NOTIFIER_TRANSACTION_TIMEOUT_MS", transaction, None, "transaction.max.timeout.ms"),
    )
    findings = []
    for variable, value, least, most in rules:
        low, high = limits.get(least or "", 0), limits.get(most, value)
        if low <= value <= high:
            findings.append(
                Finding("timeouts", True, f"{variable} {value} is within what the cluster allows.")
            )
        else:
            what = f"{variable} is {value}, the cluster allows {low} to {high}."
            cure = f"Set {variable} within that, or change {least if value < low else most} of the brokers."
            findings.append(Finding("timeouts", False, what, cure))
    return findings


async def _transactions(settings: Settings) -> list[Finding]:
    """Open a transaction as a worker would and abort it; its record carries the broker's time back."""
    producer = AIOKafkaProducer(
        **client_options(settings),
        transactional_id=f"{settings.app_id}.doctor",
        transaction_timeout_ms=settings.transaction_timeout_ms,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
    try:
        async with our_errors(settings):
            await producer.start()
            await producer.begin_transaction()
            sent_ms = time.time_ns() // 1_000_000
            appended = await producer.send_and_wait(DELIVERY, b"", b"doctor", partition=0)
            answered_ms = time.time_ns() // 1_000_000
            await producer.abort_transaction()
    except (KafkaError, NotifierError) as error:
        what = f"A transaction could not be opened ({type(error).__name__})."
        cure = f"Give this user the right to use transactional ids that start with {settings.app_id}."
        return [Finding("transactions", False, what, cure), Finding("clock", None, "Not checked.")]
    finally:
        await producer.stop()
    opened = Finding("transactions", True, "A transaction can be opened and aborted.")
    return [opened, _clock(appended.timestamp - (sent_ms + answered_ms) // 2)]


def _clock(skew_ms: int) -> Finding:
    direction = "ahead of" if skew_ms > 0 else "behind"
    what = f"The broker's clock is {abs(skew_ms)} ms {direction} ours."
    if abs(skew_ms) <= MAX_SKEW_MS:
        return Finding("clock", True, what)
    return Finding("clock", False, what, "Set both clocks by NTP: consents count from the broker's time.")


async def _partitioner(settings: Settings, topics: list[str]) -> Finding:
    checked, misrouted = 0, dict[str, int]()
    if topics:
        info = await describe(settings)
        async with open_reader(settings, topics) as reader:
            await reader.back_from_end(SAMPLE_RECORDS)
            async for record in reader.rest():
                if record.key:
                    checked += 1
                    right = partition_of(record.key, info.topics[record.topic].partitions)
                    if right != record.partition:
                        misrouted[record.topic] = misrouted.get(record.topic, 0) + 1
    if misrouted:
        where = ", ".join(f"{count} in {topic}" for topic, count in misrouted.items())
        what = f"Of the {checked} newest records some are in a partition that is not their key's: {where}."
        cure = "Their producer must hash keys with murmur2; with librdkafka set partitioner=murmur2_random."
        return Finding("partitioner", False, what, cure)
    if not checked:
        hint = "No events yet. Producers on librdkafka must set partitioner=murmur2_random."
        return Finding("partitioner", True, hint)
    return Finding("partitioner", True, f"The {checked} newest records are in the partitions of their keys.")
