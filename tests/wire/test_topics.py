"""The topic table."""

from streams.core.events import EVENT_TYPES
from streams.wire.event_codec import EVENT_SCHEMAS
from streams.wire.topics import (
    CONSENT_EVIDENCE,
    CONSENT_REQUESTS,
    CONSENT_STATE,
    DEAD_LETTERS,
    DECISIONS,
    DELIVERY,
    EVENT_TOPICS,
    LINK_REQUESTS,
    LINK_RESULTS,
    LINK_STATE,
    NOTIFIER_STATE,
    TOPIC_BY_NAME,
    TOPICS,
)
from tests.wire.avro_values import NAMES


def test_event_topics_stand_in_the_order_of_the_event_types() -> None:
    assert [TOPIC_BY_NAME[name].schema for name in EVENT_TOPICS] == [
        EVENT_SCHEMAS[cls] for cls in EVENT_TYPES
    ]
    assert EVENT_TOPICS == ("bank.transactions", "bank.balances", "bank.security", "shipping.events")


def test_every_topic_is_named_once_and_every_schema_of_a_topic_exists() -> None:
    assert len(TOPIC_BY_NAME) == len(TOPICS)
    assert {schema for topic in TOPICS for schema in topic.schemas} <= set(NAMES)
    assert {topic.name for topic in TOPICS if topic.schema is None} == {DEAD_LETTERS}


def test_the_brokers_clock_counts_where_time_is_a_promise() -> None:
    by_broker = {
        topic.name for topic in TOPICS if topic.config.get("message.timestamp.type") == "LogAppendTime"
    }
    assert by_broker == {CONSENT_REQUESTS, LINK_REQUESTS, CONSENT_EVIDENCE, DELIVERY}


def test_only_changelogs_are_compacted_and_nobody_else_writes_them() -> None:
    compacted = {topic.name for topic in TOPICS if topic.config["cleanup.policy"] == "compact"}
    assert compacted == {topic.name for topic in TOPICS if topic.is_internal}
    assert compacted == {CONSENT_STATE, LINK_STATE, NOTIFIER_STATE}
    for name in compacted:
        config = TOPIC_BY_NAME[name].config
        assert config["max.compaction.lag.ms"] == config["delete.retention.ms"] == "86400000"


def test_retentions_and_sizes_are_those_of_the_design() -> None:
    for name in (CONSENT_REQUESTS, LINK_REQUESTS, LINK_RESULTS):
        assert TOPIC_BY_NAME[name].config["retention.ms"] == str(35 * 86_400_000)
    assert TOPIC_BY_NAME[DELIVERY].config["retention.ms"] == str(86_400_000)
    assert TOPIC_BY_NAME[DECISIONS].config["max.message.bytes"] == "8388608"
    assert {TOPIC_BY_NAME[name].config["max.message.bytes"] for name in EVENT_TOPICS} == {"2097152"}


def test_only_delivery_is_keyed_by_recipient() -> None:
    assert {topic.name for topic in TOPICS if topic.space == "recipient"} == {DELIVERY}


def test_links_have_a_key_space_of_their_own() -> None:
    links = {topic.name for topic in TOPICS if topic.space == "channel"}
    assert links == {LINK_REQUESTS, LINK_STATE, LINK_RESULTS}
