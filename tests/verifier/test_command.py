"""`python -m verifier conservation` on a real worker's run, and on its decisions with one taken out."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.harness.cluster import ROOT, Cluster, cluster
from tests.harness.worker import Worker
from tests.model.desk import Ask
from tests.model.driver import Driver
from tests.model.sources import Send, Source
from tests.model.waiting import wait_until_decided
from tests.verifier.test_conservation import encoded
from verifier.avro import Reader, load_schema
from verifier.topics import DECISIONS

SUBJECTS = [f"bank:account-{number:04d}" for number in range(30)]
TAMPERED = "notifier.decisions.tampered"
ALL = [f"I{number}" for number in (*range(1, 12), 14, 15)]


def sends(name: str) -> list[Send]:
    """Three payments of every subject: one sound, one that cannot be read, one seen before."""
    found = []
    for number, subject in enumerate(SUBJECTS):
        fields = {"event_id": f"{name}-{number}", "status": "POSTED", "amount_minor": -100, "currency": "EUR"}
        one = Send("bank.transactions", subject, fields)
        broken = {**fields, "event_id": f"{name}-{number}-broken"}
        found += [one, Send("bank.transactions", subject, broken, damage="undecodable"), one]
    return found


@contextmanager
def following(kafka: Cluster, found: dict[str, Any], *options: str) -> Iterator[None]:
    """Run `notifier verify --follow` beside what is done within, end it, and take what it found."""
    command = [
        sys.executable,
        "-m",
        "streams.cli",
        "verify",
        "--follow",
        "--json",
        "--kafka",
        kafka.bootstrap,
        *options,
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as verify:
        try:
            yield
            verify.send_signal(signal.SIGINT)
            answer, _ = verify.communicate(timeout=60)
        finally:
            verify.kill()
    found |= json.loads(answer)
    assert verify.returncode == 0


def checked(kafka: Cluster, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "verifier", "conservation", "--kafka", kafka.bootstrap, "--json"]
    command += arguments
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


def copy_without_one_decision(kafka: Cluster) -> None:
    """Publish every batch once more under another topic's name, one of them short of one NOTIFY."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(TAMPERED, kafka.partitions, 1)])[TAMPERED].result(30)
    reader, producer, has_dropped = Reader(load_schema("decision_batch")), kafka.producer(), False
    for message in kafka.read(DECISIONS):
        value = message.value() or b""
        batch = reader.read(value[5:])
        notified = [row for row in batch["decisions"] if row["outcome"] == "NOTIFY"]
        if notified and not has_dropped:
            batch["decisions"].remove(notified[0])
            value, has_dropped = value[:5] + encoded(batch), True
        producer.produce(TAMPERED, value, message.key(), message.partition() or 0)
    assert producer.flush(30) == 0
    assert has_dropped


@pytest.mark.broker
@pytest.mark.timeout(240)
def test_a_decision_taken_out_of_the_topic_is_noticed(tmp_path: Path) -> None:
    with cluster(tmp_path / "broker") as kafka:
        driver = Driver(kafka.bootstrap, kafka.partitions)
        source = Source({}, [*sends("a"), *sends("b")])
        grants = [
            Ask(subject, "GRANT", f"user:{subject}", {"consent_id": "c-1"}) for subject in SUBJECTS[:10]
        ]
        found: dict[str, Any] = {}
        log, page, canaries, pauses = (
            tmp_path / name for name in ("worker.log", "page", "canaries", "pauses")
        )
        page.touch()
        canaries.write_text(f"{SUBJECTS[0]}\nuser:{SUBJECTS[0]}\n")
        pauses.write_text("[]")
        options = (
            "--metrics",
            page,
            "--canaries",
            canaries,
            "--texts",
            log,
            "--texts",
            page,
            "--pauses",
            pauses,
        )
        with (
            Worker(kafka.bootstrap, log) as worker,
            following(kafka, found, *map(str, options)),
        ):
            worker.wait_ready()
            driver.run(source, [grants, [], [], [Ask(SUBJECTS[25], "REVOKE", None, {})]])
            wait_until_decided(kafka.bootstrap, 60)
            page.write_text(worker.get("/metrics")[1])
        assert {name: one["violations"] for name, one in found.items()} == dict.fromkeys(ALL, 0), found
        assert all(one["checked"] for one in found.values()), found
        code, report = checked(kafka)
        assert (code, report["conserved"], report["violations"]) == (0, True, [])
        assert report["notifications"] == {"RECEIPT": 20}
        assert report["suppressed"] == {"NO_CONSENT": 120}
        assert report["dead_letters"] == {"UNDECODABLE": 20}
        assert (report["events"], report["duplicates"], report["undecided"]) == (180, 20, 0)
        copy_without_one_decision(kafka)
        code, report = checked(kafka, "--decisions-topic", TAMPERED)
        assert (code, report["conserved"]) == (1, False)
        checks = Counter(violation.split(":")[0] for violation in report["violations"])
        assert set(checks) >= {"coverage", "counts", "notification", "chain"}


@pytest.mark.broker
def test_a_broker_that_is_not_there_ends_with_3(free_port: int) -> None:
    command = [sys.executable, "-m", "verifier", "conservation", "--kafka", f"127.0.0.1:{free_port}"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert f"cannot read 127.0.0.1:{free_port}" in done.stderr
