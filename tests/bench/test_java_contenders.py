"""Java contenders compile and run on the pip-installed runtime, and the judge finds their output right."""

import time
from collections.abc import Iterator

import pytest

from bench.cluster import Cluster
from bench.contender import Stage
from bench.contenders import ALL
from bench.judge import Judge
from bench.rounds import Plan, run_round
from bench.workload import PARTITIONS, Workload
from streams.kafka.broker import start_broker
from streams.wire.topics import BANK_TRANSACTIONS, CONSENT_REQUESTS, TOPICS

pytestmark = [pytest.mark.broker, pytest.mark.interop, pytest.mark.timeout(240)]
WORK = Workload(6_000, time.time_ns() // 10**6, subjects=2_000)
PLAN = Plan(events=WORK.events, warmup_events=1, rounds=1, limit_s=60.0)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("java-contenders")
    with start_broker(home / "broker", fresh=True, partitions=PARTITIONS) as broker:
        cluster = Cluster(broker.bootstrap)
        cluster.create({topic.name: topic.config for topic in TOPICS})
        cluster.fill(CONSENT_REQUESTS, WORK.grants(), lambda _: None)
        cluster.fill(BANK_TRANSACTIONS, WORK.messages(), lambda _: None)
        yield Stage(cluster, home)


@pytest.mark.parametrize(
    "name", ["kafka-streams-exactly-once-v2", "kafka-streams-at-least-once-idiomatic-rocksdb"]
)
def test_kafka_streams_tells_each_expected_notification_once(stage: Stage, name: str) -> None:
    contender = next(one for one in ALL if one.name == name)
    found = run_round(contender, stage, PLAN, Judge(WORK), lambda *_: None)
    assert found.faults == ()
    assert stage.cluster.progress(contender.group, BANK_TRANSACTIONS) == WORK.events
    assert sum(stage.cluster.ends(contender.output_topic)) > 0
