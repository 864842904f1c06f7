"""Topics and the cluster: create what `wire/topics.py` states, name every difference with its cure.

Imports `wire`, `connection` and `metadata`. Read next: `publish.py`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import TopicAlreadyExistsError, for_code

from streams.errors import TopicError
from streams.kafka.connection import check_connection, client_options, our_errors
from streams.kafka.metadata import ClusterInfo, MetadataRequest, TopicInfo, cluster_info
from streams.settings import Settings
from streams.wire.topics import EVENT_TOPICS, TOPICS, Topic

__all__ = [
    "AppliedTopics",
    "ClusterInfo",
    "Problem",
    "TopicInfo",
    "apply_topics",
    "broker_settings",
    "check_topics",
    "create_topic",
    "describe",
    "find_problems",
    "require_topics",
    "topic_settings",
]

READY_TIMEOUT_S = (
    15.0  # a broker gives a new partition its leader within a second; a busy cluster takes longer
)
_READY_POLL_S = 0.05
_REQUEST_TIMEOUT_MS = 15_000
_EXACT_CONFIG = ("cleanup.policy", "message.timestamp.type")
_LEAST_CONFIG = "max.message.bytes"
_TIME_CONFIG = ("retention.ms", "max.compaction.lag.ms", "delete.retention.ms")
_APPLY = "Run `notifier topics apply`."


@dataclass(frozen=True, slots=True)
class Problem:
    """One difference between a topic and the table: `what` it is and its `cure`, both whole sentences."""

    topic: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} {self.cure}"


@dataclass(frozen=True, slots=True)
class AppliedTopics:
    """What `apply_topics` did: topics it created, topics that were there, and what is wrong with those."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    problems: tuple[Problem, ...]


async def describe(settings: Settings) -> ClusterInfo:
    """Return the cluster's id and every topic with its id and partition count. Creates nothing.

    Raises:
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
    """
    await check_connection(settings)
    async with our_errors(settings):
        client = AIOKafkaClient(**client_options(settings), request_timeout_ms=_REQUEST_TIMEOUT_MS)
        try:
            await client.bootstrap()
            return cluster_info(await client.send(client.get_random_node(), MetadataRequest()))
        finally:
            await client.close()


async def apply_topics(settings: Settings, partitions: int | None = None) -> AppliedTopics:
    """Create the missing topics of the table and wait until they can be written to; change no other.

    A missing topic gets the partitions that its key space already has, else `partitions`, else the setting.

    Raises:
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
        TopicError: the cluster refused a topic, or its partitions have no leader in time.
    """
    before = await describe(settings)
    missing = [topic for topic in TOPICS if topic.name not in before.topics]
    if missing:
        await _create(settings, missing, before, partitions or settings.partitions)
    after = await _settled(settings, missing)
    existing = [topic for topic in TOPICS if topic.name in before.topics]
    return AppliedTopics(
        created=tuple(topic.name for topic in missing),
        existing=tuple(topic.name for topic in existing),
        problems=tuple(find_problems(after, await _configs(settings, [topic.name for topic in existing]))),
    )


async def create_topic(settings: Settings, name: str, partitions: int, config: Mapping[str, str]) -> None:
    """Create one topic that is not of the table, if it is not there.

    Raises:
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
        TopicError: the cluster refused it.
    """
    if name in (await describe(settings)).topics:
        return
    wanted = NewTopic(name, partitions, settings.replication_factor, topic_configs=dict(config))
    async with _admin(settings) as admin:
        response = await admin.create_topics([wanted], timeout_ms=_REQUEST_TIMEOUT_MS)
    for _name, code, message in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicError(f"Kafka refused to create {name}: {message or for_code(code).__name__}.")


async def check_topics(settings: Settings) -> list[Problem]:
    """Return how the cluster's topics differ from the table; an empty list is a pass. Changes nothing.

    Raises:
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
    """
    info = await describe(settings)
    present = [topic.name for topic in TOPICS if topic.name in info.topics]
    return find_problems(info, await _configs(settings, present))


async def require_topics(settings: Settings, names: Iterable[str]) -> ClusterInfo:
    """Return the cluster's description if it has all the topics of `names`.

    Raises:
        TopicError: one is missing; the message names all.
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
    """
    info = await describe(settings)
    if missing := sorted(set(names) - info.topics.keys()):
        raise TopicError(f"Kafka at {settings.kafka} has no topic {', '.join(missing)}. {_APPLY}")
    return info


def find_problems(info: ClusterInfo, configs: Mapping[str, Mapping[str, str]]) -> list[Problem]:
    """Return what differs from the table, in the table's order. Never raises.

    A topic without an entry in `configs` is compared by its partitions only.
    """
    usual = _usual_partitions(info)
    problems = []
    for topic in TOPICS:
        found = info.topics.get(topic.name)
        if found is None:
            problems.append(Problem(topic.name, "The topic is missing.", _APPLY))
            continue
        if found.partitions != usual[topic.space]:
            what = f"It has {found.partitions} partitions, others of its key space {usual[topic.space]}."
            cure = "Delete it and run `notifier topics apply`; adding partitions would move keys."
            problems.append(Problem(topic.name, what, cure))
        if found.leaderless:
            what = f"{found.leaderless} of its partitions have no leader."
            problems.append(Problem(topic.name, what, "Bring back the brokers that hold them."))
        problems.extend(_config_problems(topic, configs.get(topic.name, {})))
    return problems


def _config_problems(topic: Topic, config: Mapping[str, str]) -> list[Problem]:
    problems = []
    for name in _EXACT_CONFIG:
        if name in topic.config and config.get(name, topic.config[name]) != topic.config[name]:
            what = f"{name} is {config[name]}, not {topic.config[name]}."
            problems.append(Problem(topic.name, what, _set_config(topic, name)))
    if topic.name not in EVENT_TOPICS:  # how long events are kept is their producers' matter
        for name in _TIME_CONFIG:
            problems.extend(_time_problem(topic, name, config.get(name)))
    if _LEAST_CONFIG in topic.config and _LEAST_CONFIG in config:
        least = int(topic.config[_LEAST_CONFIG])
        if int(config[_LEAST_CONFIG]) < least:
            what = f"{_LEAST_CONFIG} is {config[_LEAST_CONFIG]}, less than {least}."
            problems.append(Problem(topic.name, what, _set_config(topic, _LEAST_CONFIG)))
    return problems


def _time_problem(topic: Topic, name: str, found: str | None) -> Iterator[Problem]:
    """Yield a problem where a topic forgets later, or earlier, than the table promises."""
    wanted = topic.config.get(name)
    if wanted is None or found is None or found == wanted:
        return
    is_longer = int(found) < 0 or int(found) > int(wanted)
    why = "what was erased or has run out stays longer" if is_longer else "what must be kept goes earlier"
    what = f"{name} is {found}, not {wanted}: {why} than promised."
    yield Problem(topic.name, what, _set_config(topic, name))


def _set_config(topic: Topic, name: str) -> str:
    return (
        f"Set it with kafka-configs --alter --entity-type topics --entity-name {topic.name} "
        f"--add-config {name}={topic.config[name]}."
    )


def _usual_partitions(info: ClusterInfo) -> dict[str, int]:
    """Return by key space the partition count of most of its topics, of two such counts the larger."""
    counts: dict[str, Counter[int]] = {}
    for topic in TOPICS:
        counter = counts.setdefault(topic.space, Counter())
        if topic.name in info.topics:
            counter[info.topics[topic.name].partitions] += 1
    return {
        space: max(counter, key=lambda count: (counter[count], count), default=0)
        for space, counter in counts.items()
    }


async def _create(settings: Settings, missing: list[Topic], before: ClusterInfo, partitions: int) -> None:
    usual = _usual_partitions(before)
    wanted = [
        NewTopic(
            topic.name,
            usual[topic.space] or partitions,
            settings.replication_factor,
            topic_configs=dict(topic.config),
        )
        for topic in missing
    ]
    async with _admin(settings) as admin:
        response = await admin.create_topics(wanted, timeout_ms=_REQUEST_TIMEOUT_MS)
    refused = [
        f"{name}: {message or for_code(code).__name__}"
        for name, code, message in response.topic_errors
        if code not in (0, TopicAlreadyExistsError.errno)
    ]
    if refused:
        raise TopicError(
            f"Kafka at {settings.kafka} refused to create {'; '.join(refused)}. Check NOTIFIER_PARTITIONS, "
            "NOTIFIER_REPLICATION_FACTOR and the right to create topics."
        )


async def _settled(settings: Settings, created: list[Topic]) -> ClusterInfo:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_TIMEOUT_S
    while True:
        info = await describe(settings)
        waiting = [
            topic.name
            for topic in created
            if topic.name not in info.topics or info.topics[topic.name].leaderless
        ]
        if not waiting:
            return info
        if loop.time() > deadline:
            raise TopicError(
                f"Kafka at {settings.kafka} created {', '.join(waiting)}, but not all their partitions have "
                f"a leader after {READY_TIMEOUT_S:.0f} s. Look at its brokers, then run this again."
            )
        await asyncio.sleep(_READY_POLL_S)


async def topic_settings(
    settings: Settings, topics: Iterable[str], names: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Return the settings `names` of each of `topics` that is there, as the cluster has them.

    Raises:
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
    """
    asked = dict.fromkeys(names, "")
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic, asked) for topic in topics]
    if not resources:
        return {}
    async with _admin(settings) as admin:
        responses = await admin.describe_configs(resources)
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for response in responses
        for code, _message, _kind, name, entries in response.resources
        if code == 0
    }


async def broker_settings(settings: Settings, names: Iterable[str]) -> dict[str, int]:
    """Return the whole numbers among the settings `names` of one of the brokers.

    Raises:
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
    """
    async with _admin(settings) as admin:
        node: int = (await admin.describe_cluster())["brokers"][0]["node_id"]
        asked = ConfigResource(ConfigResourceType.BROKER, str(node), dict.fromkeys(names, ""))
        responses = await admin.describe_configs([asked])
    entries = [entry for response in responses for resource in response.resources for entry in resource[4]]
    return {entry[0]: int(entry[1]) for entry in entries if entry[1] is not None}


async def _configs(settings: Settings, names: list[str]) -> dict[str, dict[str, str]]:
    return await topic_settings(settings, names, (*_EXACT_CONFIG, _LEAST_CONFIG, *_TIME_CONFIG))


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    async with our_errors(settings):
        admin = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=_REQUEST_TIMEOUT_MS)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()
