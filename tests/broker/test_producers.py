"""Producers that do it wrong, or slowly: nothing is told that must not be, and no record is lost."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
from confluent_kafka import Producer

from tests.harness.cluster import Cluster, as_json, cluster, eventually
from tests.harness.messages import (
    Position,
    Record,
    balance,
    conserved,
    fates,
    grant_all,
    notifications,
    request,
    sent,
    transaction,
)
from tests.harness.worker import Worker, notifier
from verifier.model.partitions import partition_of

BANK, BALANCES, REQUESTS = "bank.transactions", "bank.balances", "consent.requests"
SUBJECTS = 40
CRC32_RECORDS = 600
HELD_S = 1.5


class Stage(NamedTuple):
    """A cluster and a worker at work on it."""

    at: Cluster
    worker: Worker

    def granted(self, name: str, count: int = SUBJECTS) -> list[str]:
        """Grant everything for `count` new subjects."""
        subjects = [f"{name}:{number:04d}" for number in range(count)]
        grant_all(self.at, subjects)
        return subjects

    def decided(self, places: list[Position]) -> list[str]:
        """Wait until these records met their fates, and return them."""
        eventually("the records are decided", lambda: set(places) <= set(fates(self.at)))
        met = fates(self.at)
        assert all(len(met[place]) == 1 for place in places)
        return [met[place][0] for place in places]

    def waits_for(self, partition: int) -> str:
        """Return what the worker says that a partition number waits for."""
        return str(as_json(self.worker.get("/readyz")[1])["details"]["partitions"][str(partition)])

    def transactional(self, name: str) -> Producer:
        """Return a producer whose transaction is open."""
        producer = self.at.producer(**{"transactional.id": name, "transaction.timeout.ms": 30_000})
        producer.init_transactions(30)
        producer.begin_transaction()
        return producer


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("producers")
    with cluster(home / "kafka") as at, Worker(at.bootstrap, home / "worker.log") as worker:
        worker.wait_ready()
        yield Stage(at, worker)
        assert worker.terminate() == 0
        report = conserved(at)
        assert not report["violations"], report["violations"][:5]


def told(at: Cluster) -> Counter[str]:
    return Counter(one["source_event_id"] for one in notifications(at))


def event(subject: str, event_id: str) -> Record:
    return Record(BANK, subject, transaction(subject, event_id))


def home(at: Cluster, subject: str) -> int:
    return partition_of(subject.encode(), at.partitions)


def test_value_of_another_subject_than_its_key_tells_nobody(stage: Stage) -> None:
    subjects = stage.granted("mixed-up")
    pairs = pairwise(subjects)
    records = [Record(BANK, key, transaction(other, f"mixed-up-{key}")) for key, other in pairs]
    met = stage.decided(sent(stage.at.producer(), records))
    assert met == ["REJECT SUBJECT_MISMATCH"] * len(records)
    assert not [one for one in told(stage.at) if one.startswith("mixed-up")]


def test_every_misplaced_record_of_a_crc32_producer_is_misrouted(stage: Stage) -> None:
    granted = set(stage.granted("crc32", CRC32_RECORDS // 2))
    subjects = [f"crc32:{number:04d}" for number in range(CRC32_RECORDS)]
    producer = stage.at.producer(partitioner="consistent_random")
    places = sent(producer, [event(subject, f"crc-{subject}") for subject in subjects])
    met = stage.decided(places)
    found: Counter[str] = Counter()
    for subject, place, fate in zip(subjects, places, met, strict=True):
        is_misplaced = place.partition != home(stage.at, subject)
        due = "NOTIFY" if subject in granted else "SUPPRESS NO_CONSENT"
        assert fate == ("REJECT MISROUTED" if is_misplaced else due), f"{subject} on {place}"
        found[fate] += 1
    assert found["REJECT MISROUTED"] > CRC32_RECORDS / 2
    assert found["NOTIFY"]
    assert found["SUPPRESS NO_CONSENT"]
    assert stage.worker.metric("notifier_misrouted_records_total") >= found["REJECT MISROUTED"]
    doctor = notifier("doctor", "--kafka", stage.at.bootstrap)
    assert doctor.returncode == 1
    assert "partitioner=murmur2_random" in doctor.stdout + doctor.stderr


def test_aborted_transaction_is_never_seen(stage: Stage) -> None:
    subjects = stage.granted("aborted")
    producer = stage.transactional("bank-that-aborts")
    aborted = sent(producer, [event(subject, f"aborted-{subject}") for subject in subjects])
    plain = sent(stage.at.producer(), [event(subject, f"plain-{subject}") for subject in subjects])
    producer.abort_transaction(30)
    producer.begin_transaction()
    committed = sent(producer, [event(subject, f"committed-{subject}") for subject in subjects])
    producer.commit_transaction(30)
    assert stage.decided(plain + committed) == ["NOTIFY"] * 2 * SUBJECTS
    assert not set(aborted) & set(fates(stage.at))
    ours = {name: count for name, count in told(stage.at).items() if name.partition("-")[2] in subjects}
    assert ours == {f"{kind}-{subject}": 1 for kind in ("plain", "committed") for subject in subjects}


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_batch_waits_for_an_open_transaction_on_consent_requests(stage: Stage, end: str) -> None:
    subject, neighbour = _neighbours(stage, f"open-request-{end}")
    partition = home(stage.at, subject)
    elsewhere = next(one for one in stage.granted(f"else-{end}") if home(stage.at, one) != partition)
    producer = stage.transactional(f"linking-{end}")
    sent(producer, [Record(REQUESTS, subject, request(subject, "REVOKE", None))])
    places = sent(
        stage.at.producer(), [event(subject, f"open-{subject}"), event(neighbour, f"open-{neighbour}")]
    )
    assert stage.decided(sent(stage.at.producer(), [event(elsewhere, f"else-{end}")])) == ["NOTIFY"]
    time.sleep(HELD_S)
    assert not set(places) & set(fates(stage.at)), "decided although a request below the mark is open"
    assert stage.waits_for(partition).startswith("consent requests up to offset")
    assert stage.worker.get("/readyz")[0] == 200
    getattr(producer, f"{end}_transaction")(30)
    met = stage.decided(places)
    assert met == ["SUPPRESS REVOKED" if end == "commit" else "NOTIFY", "NOTIFY"]
    eventually("nothing is waited for", lambda: stage.waits_for(partition) == "nothing")


def test_events_wait_behind_an_open_transaction_of_their_partition_only(stage: Stage) -> None:
    subject, neighbour = _neighbours(stage, "open-event")
    producer = stage.transactional("bank-that-waits")
    first = sent(producer, [event(subject, "open-event-1")])
    behind = sent(stage.at.producer(), [event(neighbour, "open-event-2")])
    aside = sent(stage.at.producer(), [Record(BALANCES, neighbour, balance(neighbour, "open-event-3"))])
    elsewhere = next(one for one in stage.granted("aside") if home(stage.at, one) != behind[0].partition)
    aside += sent(stage.at.producer(), [event(elsewhere, "open-event-4")])
    assert stage.decided(aside) == ["NOTIFY", "NOTIFY"]
    time.sleep(HELD_S)
    assert not set(first + behind) & set(fates(stage.at))
    producer.commit_transaction(30)
    assert stage.decided(first + behind) == ["NOTIFY", "NOTIFY"]


def _neighbours(stage: Stage, name: str) -> tuple[str, str]:
    """Grant for two subjects of one partition and return them."""
    first, *others = stage.granted(name)
    return first, next(other for other in others if home(stage.at, other) == home(stage.at, first))
