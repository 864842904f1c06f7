import asyncio
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.errors import TopicError
from streams.kafka.admin import apply_topics, check_topics, describe, find_problems, require_topics
from streams.kafka.broker import RunningBroker
from streams.kafka.metadata import ClusterInfo, TopicInfo
from streams.settings import Settings
from streams.wire.topics import BANK_BALANCES, CONSENT_REQUESTS, CONSENT_STATE, DELIVERY, TOPICS

RIGHT = {topic.name: TopicInfo("id", 4) for topic in TOPICS}
CONFIGS = {topic.name: dict(topic.config) for topic in TOPICS}


def problems(
    topics: dict[str, TopicInfo] | None = None, configs: dict[str, dict[str, str]] | None = None
) -> list[tuple[str, str]]:
    """What is found when these topics or configurations replace the right ones."""
    info = ClusterInfo("cluster", RIGHT | (topics or {}))
    return [(each.topic, each.what) for each in find_problems(info, CONFIGS | (configs or {}))]


def test_topics_as_the_table_states_have_no_problem() -> None:
    assert problems() == []


def test_a_missing_topic_is_named_with_its_cure() -> None:
    info = ClusterInfo("cluster", {name: each for name, each in RIGHT.items() if name != CONSENT_STATE})
    [problem] = find_problems(info, CONFIGS)
    assert (problem.topic, problem.what) == (CONSENT_STATE, "The topic is missing.")
    assert "notifier topics apply" in problem.cure


def test_another_partition_count_than_the_rest_of_the_space_is_a_problem() -> None:
    assert problems({BANK_BALANCES: TopicInfo("id", 6)}) == [
        (BANK_BALANCES, "It has 6 partitions, others of its key space 4.")
    ]


def test_key_spaces_may_have_different_counts() -> None:
    assert problems({topic.name: TopicInfo("id", 8) for topic in TOPICS if topic.space == "recipient"}) == []


def test_partitions_without_a_leader_are_a_problem() -> None:
    assert problems({DELIVERY: TopicInfo("id", 4, leaderless=2)}) == [
        (DELIVERY, "2 of its partitions have no leader.")
    ]


@pytest.mark.parametrize(
    ("topic", "name", "value", "what"),
    [
        (CONSENT_REQUESTS, "message.timestamp.type", "CreateTime",
         "message.timestamp.type is CreateTime, not LogAppendTime."),
        (CONSENT_REQUESTS, "cleanup.policy", "compact", "cleanup.policy is compact, not delete."),
        (CONSENT_STATE, "cleanup.policy", "delete", "cleanup.policy is delete, not compact."),
        (BANK_BALANCES, "max.message.bytes", "1048588", "max.message.bytes is 1048588, less than 2097152."),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_a_problem(topic: str, name: str, value: str, what: str) -> None:
    assert problems(configs={topic: CONFIGS[topic] | {name: value}}) == [(topic, what)]


def test_a_larger_message_limit_is_no_problem() -> None:
    assert problems(configs={BANK_BALANCES: CONFIGS[BANK_BALANCES] | {"max.message.bytes": "9999999"}}) == []


@pytest.mark.broker
def test_applying_twice_creates_once_and_leaves_nothing_to_complain_of(broker: RunningBroker) -> None:
    settings = Settings(kafka=broker.bootstrap, partitions=4)
    asyncio.run(apply_topics(settings))
    again = asyncio.run(apply_topics(settings))
    assert again.created == ()
    assert set(again.existing) == {topic.name for topic in TOPICS}
    assert again.problems == ()
    assert asyncio.run(check_topics(settings)) == []


@pytest.mark.broker
def test_a_topic_made_again_has_another_id(broker: RunningBroker) -> None:
    settings = Settings(kafka=broker.bootstrap)
    name = f"again-{uuid.uuid4().hex}"

    async def settled(is_there: bool) -> ClusterInfo:
        for _ in range(100):
            info = await describe(settings)
            if (name in info.topics) is is_there:
                return info
            await asyncio.sleep(0.05)
        raise TimeoutError(name)

    async def made() -> ClusterInfo:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, 3, 1)])
            info = await settled(is_there=True)
            await admin.delete_topics([name])
            await settled(is_there=False)
        finally:
            await admin.close()
        return info

    first, second = asyncio.run(made()), asyncio.run(made())
    assert first.cluster_id == second.cluster_id != ""
    assert first.topics[name].partitions == second.topics[name].partitions == 3
    assert first.topics[name].topic_id != second.topics[name].topic_id
    assert len(first.topics[name].topic_id) == 22


@pytest.mark.broker
def test_a_topic_that_is_absent_is_named_and_not_created(broker: RunningBroker) -> None:
    settings = Settings(kafka=broker.bootstrap)
    for _ in range(2):
        with pytest.raises(TopicError, match=r"no topic not\.there.*notifier topics apply"):
            asyncio.run(require_topics(settings, ["not.there"]))


@pytest.mark.broker
def test_more_copies_than_brokers_are_refused_with_the_setting_to_change(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = TOPICS[0].__class__(f"t-{uuid.uuid4().hex}", "subject", "subject", (), {})
    monkeypatch.setattr("streams.kafka.admin.TOPICS", (only,))
    with pytest.raises(TopicError, match="NOTIFIER_REPLICATION_FACTOR"):
        asyncio.run(apply_topics(Settings(kafka=broker.bootstrap, replication_factor=3)))
