"""The topics, stated once: names, key spaces, schemas and settings. Creation, checks, access lists and docs
are made from this table.

Imports nothing. Read next: `partition.py`. Source: docs/rules.md and the schemas; the numbers are explained
where they stand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

BANK_TRANSACTIONS = "bank.transactions"
BANK_BALANCES = "bank.balances"
BANK_SECURITY = "bank.security"
SHIPPING_EVENTS = "shipping.events"
CONSENT_REQUESTS = "consent.requests"
CONSENT_STATE = "consent.state"
CONSENT_RESULTS = "consent.results"
CONSENT_EVIDENCE = "consent.evidence"
LINK_REQUESTS = "link.requests"
LINK_STATE = "link.state"
LINK_RESULTS = "link.results"
NOTIFIER_STATE = "notifier.state"
DELIVERY = "messenger-delivery"
DECISIONS = "notifier.decisions"
DEAD_LETTERS = "notifier.dead-letters"

EVENT_TOPICS: tuple[str, ...] = (BANK_TRANSACTIONS, BANK_BALANCES, BANK_SECURITY, SHIPPING_EVENTS)
"""The event topics in the order in which one transaction decides them; the same order as
`core.events.EVENT_TYPES`.
"""

Space = Literal["subject", "channel", "recipient"]
"""Topics of one space have the same number of partitions, and partition P of each belongs to one task."""

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    `schemas` are names of schemas/*.avsc, empty where values have none; `is_internal`: nobody but the
    notifier reads or writes it.
    """

    name: str
    space: Space
    key: str
    schemas: tuple[str, ...]
    config: Mapping[str, str]
    is_internal: bool = False

    @property
    def schema(self) -> str | None:
        """The first schema of its values, or None."""
        return self.schemas[0] if self.schemas else None


def _config(**settings: str | int) -> Mapping[str, str]:
    return MappingProxyType({name.replace("_", "."): str(value) for name, value in settings.items()})


def _event_topic(name: str, schema: str) -> Topic:
    # Twice the value limit of 1 MiB: a value over the limit must reach us to be rejected with a reason.
    return Topic(
        name,
        "subject",
        "subject",
        (schema,),
        _config(cleanup_policy="delete", retention_ms=7 * _DAY_MS, max_message_bytes=2 * _MIB),
    )


# A changelog is compacted within a day, so that what was erased does not stay; small segments let the
# compactor at it and keep a restore short. A tombstone outlives every frozen copy of the table (they are
# discarded at half of this).
_CHANGELOG = _config(
    cleanup_policy="compact",
    max_compaction_lag_ms=_DAY_MS,
    delete_retention_ms=_DAY_MS,
    segment_bytes=32 * _MIB,
    max_message_bytes=2 * _MIB,
)

TOPICS: tuple[Topic, ...] = (
    _event_topic(BANK_TRANSACTIONS, "bank_transaction"),
    _event_topic(BANK_BALANCES, "account_balance"),
    _event_topic(BANK_SECURITY, "security_alert"),
    _event_topic(SHIPPING_EVENTS, "shipment_update"),
    # The broker's clock says when a request counts. 35 days: a month and a margin to rebuild the state from.
    Topic(
        CONSENT_REQUESTS,
        "subject",
        "subject",
        ("consent_request",),
        _config(cleanup_policy="delete", retention_ms=35 * _DAY_MS, message_timestamp_type="LogAppendTime"),
    ),
    Topic(CONSENT_STATE, "subject", "subject", ("consent_state",), _CHANGELOG, is_internal=True),
    # As long as the requests: what was answered is read back from it, and no answered request counts twice.
    Topic(
        CONSENT_RESULTS,
        "subject",
        "subject",
        ("consent_result",),
        _config(cleanup_policy="delete", retention_ms=35 * _DAY_MS),
    ),
    # CFPB 1033.441 asks for three years after the most recent authorisation.
    Topic(
        CONSENT_EVIDENCE,
        "subject",
        "pseudonym of the subject",
        ("consent_evidence",),
        _config(
            cleanup_policy="delete", retention_ms=3 * 365 * _DAY_MS, message_timestamp_type="LogAppendTime"
        ),
    ),
    # As consent requests: an unlink counts from the broker's clock, and what was answered counts once.
    Topic(
        LINK_REQUESTS,
        "channel",
        "channel",
        ("link_request",),
        _config(cleanup_policy="delete", retention_ms=35 * _DAY_MS, message_timestamp_type="LogAppendTime"),
    ),
    Topic(
        LINK_STATE,
        "channel",
        "channel, or a reserved key for the position marker",
        ("link_state", "position_marker"),
        _CHANGELOG,
        is_internal=True,
    ),
    Topic(
        LINK_RESULTS,
        "channel",
        "channel",
        ("link_result",),
        _config(cleanup_policy="delete", retention_ms=35 * _DAY_MS),
    ),
    Topic(
        NOTIFIER_STATE,
        "subject",
        "subject, or a reserved key for the position marker",
        ("subject_state", "position_marker"),
        _CHANGELOG,
        is_internal=True,
    ),
    Topic(
        DELIVERY,
        "recipient",
        "recipient",
        ("notification", "recall"),
        _config(cleanup_policy="delete", retention_ms=_DAY_MS, message_timestamp_type="LogAppendTime"),
    ),
    # One record holds a whole transaction's decisions.
    Topic(
        DECISIONS,
        "subject",
        "partition number",
        ("decision_batch",),
        _config(cleanup_policy="delete", retention_ms=30 * _DAY_MS, max_message_bytes=8 * _MIB),
    ),
    Topic(
        DEAD_LETTERS,
        "subject",
        "key of the record that was refused",
        (),
        _config(cleanup_policy="delete", retention_ms=7 * _DAY_MS, max_message_bytes=2 * _MIB),
    ),
)

TOPIC_BY_NAME: Mapping[str, Topic] = MappingProxyType({topic.name: topic for topic in TOPICS})
