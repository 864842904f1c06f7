"""What a worker outlasts by itself: a broker that goes away, and a result that Kafka refuses as a whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.harness.cluster import Cluster, cluster, eventually
from tests.harness.messages import (
    acknowledged,
    decode,
    grant_all,
    notifications,
    request,
    transaction,
    wait_decided,
)
from tests.harness.worker import Worker

SUBJECTS = [f"bank:recovery-{number}" for number in range(20)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recovery")


@pytest.fixture(scope="module")
def kafka(home: Path) -> Iterator[Cluster]:
    with cluster(home / "kafka") as running:
        yield running


@pytest.fixture(scope="module")
def worker(kafka: Cluster, home: Path) -> Iterator[Worker]:
    with Worker(kafka.bootstrap, home / "worker.log") as running:
        running.wait_ready()
        grant_all(kafka, SUBJECTS)
        yield running


def send(kafka: Cluster, first: int, count: int) -> None:
    """Send that many transactions, numbered from `first`."""
    numbers = range(first, first + count)
    records = (
        (SUBJECTS[number % 20], transaction(SUBJECTS[number % 20], f"r-{number}")) for number in numbers
    )
    acknowledged(kafka.producer(**{"linger.ms": 50}), "bank.transactions", records)


@pytest.mark.broker
def test_a_result_that_is_refused_as_a_whole_passes_in_parts(kafka: Cluster, worker: Worker) -> None:
    limit = ConfigEntry("max.message.bytes", "9000", incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    resource = ConfigResource("topic", "notifier.decisions", incremental_configs=[limit])
    admin.incremental_alter_configs([resource])[resource].result(30)
    send(kafka, 0, 2000)
    assert wait_decided(kafka, 2000, 100)["NOTIFY"] == 2000
    assert worker.metric("notifier_transactions_total", outcome="unknown") > 0


@pytest.mark.broker
def test_a_worker_outlasts_a_broker_restart(kafka: Cluster, worker: Worker) -> None:
    pid = worker.process.pid
    kafka.running.kill()
    kafka.start_again()
    send(kafka, 2000, 500)
    wait_decided(kafka, 2500, 100)
    assert worker.process.poll() is None
    assert worker.process.pid == pid
    told = [note["source_event_id"] for note in notifications(kafka)]
    assert sorted(told) == sorted(f"r-{number}" for number in range(2500))


@pytest.mark.broker
def test_a_request_that_comes_again_after_a_restart_brings_nothing_back(home: Path, kafka: Cluster) -> None:
    subject = "bank:replayed"
    grant = request(subject, "GRANT", "anna")

    def ask(value: bytes) -> None:
        acknowledged(kafka.producer(), "consent.requests", [(subject, value)])

    def answers() -> list[str]:
        found = (decode("consent_result", one.value() or b"") for one in kafka.read("consent.results"))
        return [one["reason"] or one["outcome"] for one in found if one["subject"] == subject]

    with Worker(kafka.bootstrap, home / "before.log") as first:
        first.wait_ready()
        ask(grant)
        ask(request(subject, "REVOKE", None))
        eventually("both are answered", lambda: len(answers()) == 2)
        assert first.terminate() == 0
    with Worker(kafka.bootstrap, home / "after.log") as second:
        second.wait_ready()
        ask(grant)
        eventually("it is answered", lambda: len(answers()) == 3)
        assert second.terminate() == 0
    assert answers() == ["ACCEPTED", "ACCEPTED", "REPLAYED"]
