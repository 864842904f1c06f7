"""Headers of what we write: CloudEvents and our positions on notifications, errors on dead letters. None
holds personal data.

Imports the codes. Source: CloudEvents 1.0 Kafka binding (binary mode), W3C Trace Context 1, KIP-1034 for the
names of error headers.
"""

import re
from datetime import UTC, datetime

from streams.core.codes import Reason

Headers = list[tuple[str, bytes]]

EVENT_TYPE = "notifier.v1.Notification"

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_MESSAGES: dict[Reason, str] = {
    Reason.NO_KEY: "the record has no key, so it is of no subject",
    Reason.MISROUTED: "the key belongs to another partition: the producer's partitioner is not murmur2",
    Reason.SUBJECT_MISMATCH: "the value's subject, or channel, is not the record key",
    Reason.UNDECODABLE: "the value is not framed Avro of its schema",
    Reason.UNKNOWN_SCHEMA: "the value names a schema that is not one of its topic's",
    Reason.TOO_LARGE: "the value is over 1 MiB",
    Reason.INVALID: "a field of the value breaks its limits",
    Reason.FUTURE: "the event's time is more than 5 minutes ahead",
    Reason.TOMBSTONE: "the record has no value",
}


class NotificationHeaders:
    """Headers of the notifications of one batch; what does not change within it is made once.

    `decided_at` is UTC milliseconds; `consent_next_offset` is the offset in consent.requests below which all
    was folded. `constant` are those that all of them have.
    """

    def __init__(
        self, app_id: str, partition: int, consent_next_offset: int, policy_version: str, decided_at: int
    ) -> None:
        self._partition = partition
        self.constant: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_source", f"/notifier/{app_id}/{partition}".encode()),
            ("ce_type", EVENT_TYPE.encode()),
            ("ce_time", rfc3339(decided_at).encode()),
            ("notifier.consent", str(consent_next_offset).encode()),
            ("notifier.policy", policy_version.encode()),
        ]

    def of(self, notification_id: str, topic: str, offset: int, traceparent: bytes | None) -> Headers:
        """Return the headers of one notification; `traceparent`, the input's, is passed on if it is valid."""
        headers = [
            *self.constant,
            ("ce_id", notification_id.encode()),
            ("notifier.source", f"{topic}/{self._partition}/{offset}".encode()),
        ]
        if traceparent is not None and _TRACEPARENT.fullmatch(traceparent):
            headers.append(("traceparent", traceparent))
        return headers


def dead_letter_headers(topic: str, partition: int, offset: int, reason: Reason) -> Headers:
    """Return the headers of a dead letter: where the record is, and why it was refused. Never raises."""
    return [
        ("__streams.errors.topic", topic.encode()),
        ("__streams.errors.partition", str(partition).encode()),
        ("__streams.errors.offset", str(offset).encode()),
        ("__streams.errors.exception", b"RejectedRecord"),
        ("__streams.errors.message", _MESSAGES.get(reason, reason.name).encode()),
        ("notifier.error.code", reason.name.encode()),
    ]


def rfc3339(ms: int) -> str:
    """Return UTC milliseconds as RFC 3339 with milliseconds. Raises ValueError after the year 9999."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
