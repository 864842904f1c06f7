"""A worker that cannot start says why and what to do; one that stops leaves nothing behind."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from tests.harness.cluster import TREE, Cluster, cluster, eventually
from tests.harness.messages import (
    Record,
    conserved,
    decided_to,
    grant_all,
    notifications,
    sent,
    transaction,
)
from tests.harness.worker import Worker, notifier

BANK = "bank.transactions"
SUBJECTS = [f"start:{number:04d}" for number in range(40)]
STOP_LIMIT_S = 20
UNREACHABLE, MISCONFIGURED = 3, 4


class Place(NamedTuple):
    """A cluster, its admin client, and where logs go."""

    at: Cluster
    admin: AdminClient
    home: Path

    def worker(self, name: str, **settings: str) -> Worker:
        return Worker(self.at.bootstrap, self.home / f"{name}.log", cwd=TREE, **settings)

    def refusal(self, name: str, **settings: str) -> tuple[int, str]:
        """Return exit code and words of a worker that does not start."""
        with self.worker(name, **settings) as worker:
            code = worker.ended()
            return code, worker.log.read_text()

    def decide(self, name: str) -> None:
        """Have one event of every subject decided."""
        records = [Record(BANK, subject, transaction(subject, f"{name}-{subject}")) for subject in SUBJECTS]
        ends = {(place.topic, place.partition): place.offset for place in sent(self.at.producer(), records)}
        eventually(
            "the events are decided",
            lambda: all(decided_to(self.at).get(place, 0) > end for place, end in ends.items()),
        )

    def apply_topics(self) -> None:
        """Create what is missing, as the cures say."""
        done = notifier("topics", "apply", "--kafka", self.at.bootstrap)
        assert done.returncode == 0, done.stdout + done.stderr

    def delete(self, *topics: str) -> None:
        for future in self.admin.delete_topics(list(topics)).values():
            future.result(20)
        eventually(
            "the topics are gone", lambda: not set(topics) & set(self.admin.list_topics(timeout=10).topics)
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("start")
    with cluster(home / "kafka") as at:
        found = Place(at, AdminClient({"bootstrap.servers": at.bootstrap}), home)
        with found.worker("granting") as worker:
            worker.wait_ready()
            grant_all(at, SUBJECTS)
            found.decide("first")
            assert worker.terminate() == 0
        yield found


def told(at: Cluster) -> Counter[str]:
    return Counter(one["source_event_id"] for one in notifications(at))


def expected(*names: str) -> Counter[str]:
    return Counter(f"{name}-{subject}" for name in names for subject in SUBJECTS)


def test_no_broker_is_named_with_its_cure(free_port: int, tmp_path: Path) -> None:
    with Worker(f"127.0.0.1:{free_port}", tmp_path / "worker.log") as worker:
        assert worker.ended() == UNREACHABLE
        words = worker.log.read_text()
    assert f"No Kafka at 127.0.0.1:{free_port}" in words
    assert "notifier up" in words
    assert "Traceback" not in words


def test_login_that_kafka_does_not_know_is_named_with_its_cure(place: Place) -> None:
    code, words = place.refusal(
        "login", security_protocol="SASL_PLAINTEXT", sasl_username="somebody", sasl_password="a-secret"
    )
    assert code == MISCONFIGURED
    assert "refused the login as 'somebody'" in words
    assert "NOTIFIER_SASL_USERNAME" in words
    assert "a-secret" not in words
    assert "Traceback" not in words


def test_missing_topic_is_named_with_its_cure(place: Place) -> None:
    place.delete("notifier.dead-letters")
    code, words = place.refusal("missing")
    assert code == MISCONFIGURED
    assert "no topic notifier.dead-letters" in words
    assert "notifier topics apply" in words
    assert "Traceback" not in words
    place.apply_topics()
    with place.worker("not-missing") as worker:
        worker.wait_ready()


def test_topic_with_other_partitions_is_named_with_its_cure(place: Place) -> None:
    more = NewPartitions("consent.results", place.at.partitions + 2)
    place.admin.create_partitions([more])["consent.results"].result(20)
    code, words = place.refusal("partitions")
    assert code == MISCONFIGURED
    assert "6 partitions: consent.results" in words
    assert "notifier topics apply" in words
    assert "Traceback" not in words
    place.delete("consent.results")
    place.apply_topics()
    with place.worker("right-partitions") as worker:
        worker.wait_ready()


def test_sigterm_ends_in_time_and_leaves_no_member_in_the_group(place: Place) -> None:
    with place.worker("stopped") as worker:
        worker.wait_ready()
        started = time.monotonic()
        assert worker.terminate() == 0
        assert time.monotonic() - started < STOP_LIMIT_S
    group = place.admin.describe_consumer_groups(["notifier"])["notifier"].result(20)
    assert not group.members
    assert "Traceback" not in worker.log.read_text()


@pytest.mark.parametrize("accident", ["deleted", "reset"])
def test_group_offsets_lost_repeat_nothing(place: Place, accident: str) -> None:
    before = told(place.at)
    if accident == "deleted":
        place.admin.delete_consumer_groups(["notifier"])["notifier"].result(20)
    else:
        starts = [TopicPartition(BANK, partition, 0) for partition in range(place.at.partitions)]
        request = ConsumerGroupTopicPartitions("notifier", starts)
        place.admin.alter_consumer_group_offsets([request])["notifier"].result(20)
    with place.worker(accident) as worker:
        worker.wait_ready()
        place.decide(accident)
        assert worker.terminate() == 0
    assert told(place.at) == before + expected(accident)
    report = conserved(place.at)
    assert not report["violations"], report["violations"][:5]


def test_topic_created_anew_is_refused_until_the_cure_was_followed(place: Place) -> None:
    with place.worker("running") as worker:
        worker.wait_ready()
        place.delete("shipping.events")
        place.apply_topics()
        assert worker.ended() == MISCONFIGURED
        assert "topic shipping.events was deleted" in worker.log.read_text()
    code, words = place.refusal("anew")
    assert code == MISCONFIGURED
    assert "topic shipping.events was deleted and created anew" in words
    assert "NOTIFIER_APP_ID" in words
    assert "Traceback" not in words
    place.delete("notifier.state", "consent.state")
    place.apply_topics()
    with place.worker("cured", app_id="another") as worker:
        worker.wait_ready()
        place.decide("cured")
        assert worker.terminate() == 0
    assert told(place.at) >= expected("cured")
