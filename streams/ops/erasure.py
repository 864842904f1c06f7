"""When what was erased is gone for good: the latest time at which each topic has removed it.

An erasure deletes consents, memory and salt at once. What topics still hold goes with their retention or
compaction, as the cluster is set; here those settings become times. Pure but for asking the cluster. Imports
`receipts`, kafka and wire. Read next: `streams/cli/consent.py`. Source: Kafka's topic and broker settings
(retention, segments, log cleaner); KIP-354 (max.compaction.lag.ms), KIP-534 (delete horizon).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from streams.kafka.admin import broker_settings, describe, topic_settings
from streams.ops.receipts import instant
from streams.ops.replay import SIDE_TOPIC
from streams.settings import Settings
from streams.wire.topics import CONSENT_EVIDENCE, DELIVERY, NOTIFIER_STATE, TOPIC_BY_NAME, TOPICS, Topic

TOPIC_SETTINGS = (
    "retention.ms",
    "segment.ms",
    "max.compaction.lag.ms",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "message.timestamp.after.max.ms",
    "message.timestamp.type",
)
BROKER_SETTINGS = (
    "log.retention.check.interval.ms",
    "log.initial.task.delay.ms",
    "log.cleaner.backoff.ms",
)
NEVER_MS = 2**53
"""Stands for no limit."""


class Removal(NamedTuple):
    """When one topic has forgotten what was appended before, UTC milliseconds, and by what."""

    topic: str
    latest_ms: int
    by: str


async def removals(settings: Settings, now_ms: int) -> list[Removal]:
    """Return by when every topic has removed what it holds at `now_ms`, as the cluster is set.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `admin.topic_settings`.
    """
    there = [topic for topic in TOPICS if topic.name != CONSENT_EVIDENCE]
    if SIDE_TOPIC in (await describe(settings)).topics:
        there.append(replace(TOPIC_BY_NAME[DELIVERY], name=SIDE_TOPIC))
    topics = await topic_settings(settings, [topic.name for topic in there], TOPIC_SETTINGS)
    brokers = await broker_settings(settings, BROKER_SETTINGS)
    check_ms = max(brokers.get("log.retention.check.interval.ms", 300_000), 0)
    check_ms += max(brokers.get("log.initial.task.delay.ms", 30_000), 0)  # a broker may have been restarted
    backoff_ms = max(brokers.get("log.cleaner.backoff.ms", 15_000), 0)
    backoff_ms += settings.compaction_tick_s * 1000  # a log that stands still is not compacted
    return [removal(topic, topics.get(topic.name, {}), check_ms, backoff_ms, now_ms) for topic in there]


def removal(topic: Topic, config: Mapping[str, str], check_ms: int, backoff_ms: int, now_ms: int) -> Removal:
    """Return by when a topic of these settings has removed what it holds at `now_ms`.

    `check_ms` is how often brokers look for segments to delete, `backoff_ms` how long after one is due they
    compact it at the latest.
    """
    delay_ms = _time(config, "file.delete.delay.ms", 60_000)
    if topic.config["cleanup.policy"] == "compact":
        lag, kept = _time(config, "max.compaction.lag.ms"), _time(config, "delete.retention.ms")
        # a value: its segment is closed and compacted within the lag; its tombstone: the same once more,
        # after the time for which tombstones are kept
        latest = now_ms + 2 * lag + kept + 2 * backoff_ms + delay_ms
        return Removal(topic.name, min(latest, NEVER_MS), "compaction")
    ahead = (
        0
        if config.get("message.timestamp.type") == "LogAppendTime"
        else _time(config, "message.timestamp.after.max.ms", 3_600_000)
    )
    kept = _time(config, "retention.ms")
    latest = now_ms + ahead + _time(config, "segment.ms") + kept + check_ms + delay_ms
    return Removal(topic.name, min(latest, NEVER_MS), "retention")


def erasure_receipt(
    subject: str,
    user_id: str | None,
    outcome: Mapping[str, Any],
    removed: list[Removal],
    controller: str,
    receipt_id: str,
    now_ms: int,
    *,
    is_shared: bool,
) -> dict[str, Any]:
    """Return the receipt of an erasure that a worker accepted, as JSON values.

    `outcome` is what `consent_desk.submit` returned; `is_shared`: the subject has other holders still.
    """
    at_once, memory = "consents, memory of what was told, and the salt of the pseudonyms, in every worker", []
    if is_shared:
        at_once = "the person's consents, and the salt of the pseudonyms, in every worker"
        memory = [
            {
                "topic": NOTIFIER_STATE,
                "what": "hashes of what was told, among those of other holders, until they run out",
            }
        ]
    return {
        "receipt_metadata": {"receipt_id": receipt_id, "issued_at": instant(now_ms)},
        "controller": controller,
        "erased": {"subject": subject, "user_id": user_id, "request": outcome["position"]},
        "at_once": at_once,
        "topics": [
            {
                "topic": one.topic,
                "removed_by": one.by,
                "latest": instant(one.latest_ms),
            }
            for one in removed
        ],
        "kept": [
            {
                "topic": CONSENT_EVIDENCE,
                "what": "pseudonyms, versions and times of consent requests, which law requires",
            },
            *memory,
        ],
    }


def _time(config: Mapping[str, str], name: str, usual: int = NEVER_MS) -> int:
    """Return a setting in milliseconds; a negative one is no limit."""
    value = int(config.get(name) or usual)
    return NEVER_MS if value < 0 else value
