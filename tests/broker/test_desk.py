"""Dead letters, receipts, exports and erasures, with a worker and the operator's keys."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Message

from streams.wire.partition import partition_of
from tests.harness.cluster import TREE, Cluster, cluster, eventually, kafka_tool
from tests.harness.messages import (
    Position,
    Record,
    decided_to,
    decode,
    encode,
    fates,
    grant_all,
    headers_of,
    notifications,
    now_ms,
    request,
    sent,
    transaction,
)
from tests.harness.worker import Worker, notifier

BANK = "bank.transactions"
CANARY = "Canary4711Shop"


class Desk(NamedTuple):
    """A cluster with a worker that seals dead letters, and the operator's keys."""

    at: Cluster
    keys: Path

    def run(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json; return what it printed."""
        done = notifier(*arguments, "--json", "--kafka", self.at.bootstrap)
        assert done.returncode == code, done.stdout + done.stderr
        assert CANARY not in done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def send(self, *records: Record) -> list[Position]:
        """Send records and wait until they are decided."""
        places = sent(self.at.producer(), records)
        eventually(
            "they are decided",
            lambda: all(decided_to(self.at).get(place[:2], 0) > place.offset for place in places),
        )
        return places


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("desk")
    for use in ("dead-letters", "receipts"):
        assert notifier("keys", "create", use, "--out", str(home)).returncode == 0
    with (
        cluster(home / "kafka") as at,
        Worker(
            at.bootstrap,
            home / "worker.log",
            cwd=TREE,
            dead_letter_key=str(home / "dead-letters.public.json"),
        ) as worker,
    ):
        worker.wait_ready()
        grant_all(at, ["bank:desk-1", "bank:desk-2", "bank:desk-3"])
        yield Desk(at, home)
        assert CANARY not in worker.log.read_text()


def broken(subject: str, event_id: str) -> bytes:
    """Return a value that no reader of its schema takes, with a canary in it."""
    return transaction(subject, event_id, merchant_name=CANARY) + b"\x02"


def test_a_refused_value_is_left_sealed_and_opened_with_the_key_only(desk: Desk) -> None:
    known, unknown = desk.send(
        Record(BANK, "bank:desk-1", broken("bank:desk-1", "sealed")),
        Record(BANK, "bank:nobody", broken("bank:nobody", "closed")),
    )
    assert fates(desk.at)[unknown] == ["SUPPRESS NO_CONSENT"]
    [letter] = [one for one in desk.run("dlq", "list") if one["source"] == "/".join(map(str, known))]
    assert (letter["reason"], letter["has_value"], letter["replayed"]) == ("UNDECODABLE", True, False)
    raw = [message.value() or b"" for message in desk.at.read("notifier.dead-letters")]
    assert not any(CANARY.encode() in value for value in raw)
    shown = desk.run("dlq", "show", letter["source"])
    assert "value_hex" not in shown
    private = str(desk.keys / "dead-letters.private.json")
    opened = desk.run("dlq", "show", letter["letter"], "--key", private)
    assert bytes.fromhex(opened["value_hex"]) == broken_of(desk, known)
    accesses = [
        decode("consent_evidence", message.value() or b"") for message in desk.at.read("consent.evidence")
    ]
    assert [one["position"] for one in accesses if one["kind"] == "ACCESS"] == [letter["source"]]


def broken_of(desk: Desk, place: Position) -> bytes:
    """Return the value at a position."""
    return next(
        message.value() or b""
        for message in desk.at.read(place.topic)
        if (message.partition(), message.offset()) == place[1:]
    )


def test_a_misrouted_record_is_sent_again_once_to_where_it_belongs(desk: Desk) -> None:
    subject = "bank:desk-2"
    wrong = (partition_of(subject.encode(), 4) + 1) % 4
    [place] = desk.send(Record(BANK, subject, transaction(subject, "astray"), wrong))
    assert fates(desk.at)[place] == ["REJECT MISROUTED"]
    source = "/".join(map(str, place))
    planned = desk.run("dlq", "replay", source, "--dry-run")
    assert (planned["due"], planned["sent"]) == ([source], [])
    assert desk.run("dlq", "replay", source)["sent"] == [source]
    eventually(
        "it is told",
        lambda: [one for one in notifications(desk.at) if one["source_event_id"] == "astray"],
    )
    again = desk.run("dlq", "replay", source, code=1)
    assert (again["sent"], again["not_sent"]) == ([], {source: "it was sent again already"})
    assert sum(one["source_event_id"] == "astray" for one in notifications(desk.at)) == 1
    replayed = [one for one in desk.at.read(BANK) if headers_of(one).get("notifier.replay-of") == source]
    assert [one.partition() for one in replayed] == [partition_of(subject.encode(), 4)]


def test_what_is_refused_again_or_of_nobody_is_not_sent_again_unless_it_is_named(desk: Desk) -> None:
    known, erased = "bank:desk-2", "bank:desk-6"
    grant_all(desk.at, [erased])
    places = desk.send(
        Record(BANK, known, broken(known, "twice")), Record(BANK, erased, broken(erased, "nobody"))
    )
    first, nobody = ("/".join(map(str, place)) for place in places)
    desk.run("consent", "erase", erased)
    left = desk.run("dlq", "replay", nobody, code=1)["not_sent"]
    assert left == {nobody: "nobody has a consent for its subject"}
    assert desk.run("dlq", "replay", first)["sent"] == [first]
    [again] = [one for one in desk.at.read(BANK) if headers_of(one).get("notifier.replay-of") == first]
    second = f"{BANK}/{again.partition()}/{again.offset()}"
    eventually("it is refused again", lambda: second in {one["source"] for one in desk.run("dlq", "list")})
    planned = desk.run("dlq", "replay", "--reason", "UNDECODABLE")
    assert second not in planned["sent"]
    assert "name it" in planned["not_sent"][second]
    assert desk.run("dlq", "replay", second, "--dry-run")["due"] == [second]


def test_a_grant_is_never_sent_again_by_others(desk: Desk) -> None:
    subject = "bank:desk-4"
    wrong = (partition_of(subject.encode(), 4) + 1) % 4
    places = sent(
        desk.at.producer(),
        [
            Record("consent.requests", subject, request(subject, action, "user-4"), wrong)
            for action in ("GRANT", "REVOKE")
        ],
    )
    sources = ["/".join(map(str, place)) for place in places]
    eventually("they are refused", lambda: set(sources) <= {one["source"] for one in desk.run("dlq", "list")})
    planned = desk.run("dlq", "replay", *sources, code=1)
    assert planned["sent"] == sources[1:]
    assert "ask who made it" in planned["not_sent"][sources[0]]


def test_receipt_export_and_erasure_of_one_person(desk: Desk) -> None:
    subject, user = "bank:desk-3", "user-of-bank:desk-3"
    signing, public = str(desk.keys / "receipts.private.json"), str(desk.keys / "receipts.public.json")
    desk.send(Record(BANK, subject, transaction(subject, "told", merchant_name=CANARY)))
    receipt = desk.run("consent", "receipt", subject, "--user", user, "--key", signing)
    path = desk.keys / "receipt.jws"
    path.write_text(receipt["signed"])
    verified = notifier("consent", "verify", str(path), "--key", public)
    assert json.loads(verified.stdout) == receipt["receipt"]
    head, body, signature = receipt["signed"].split(".")
    path.write_text(f"{head}.{body[:-4]}AAAA.{signature}")
    assert notifier("consent", "verify", str(path), "--key", public).returncode == 1

    exported = desk.run("consent", "export", subject, "--user", user)
    assert [one["outcome"] for one in exported["decisions"]] == ["NOTIFY"]
    assert [one["merchant_name"] for one in exported["sent"]] == [CANARY]
    assert [one["action"] for one in exported["evidence"]] == [1]
    assert desk.run("consent", "export", subject, "--user", "somebody")["sent"] == []

    erased = desk.run("consent", "erase", subject, "--key", signing)
    assert erased["outcome"] == "ACCEPTED"
    times = {one["topic"]: one["latest"] for one in erased["receipt"]["topics"]}
    assert times.keys() >= {"messenger-delivery", "consent.state", "notifier.decisions"}
    assert all(times.values())
    left = desk.run("consent", "export", subject, "--user", user)
    assert (left["consents"], left["decisions"], left["sent"], left["evidence"]) == (None, [], [], [])
    desk.run("consent", "receipt", subject, "--user", user, "--key", signing, code=1)


def test_the_events_of_a_subject_are_explained_also_those_that_were_never_opened(desk: Desk) -> None:
    silent, told, refused = "bank:explained-not", "bank:desk-1", "bank:desk-1"
    places = desk.send(
        Record(BANK, silent, transaction(silent, "unopened")),
        Record(BANK, told, transaction(told, "explained")),
        Record(BANK, told, transaction(told, "explained")),
        Record(BANK, refused, broken(refused, "unread")),
        Record(BANK, told, transaction(told, "old", occurred_at=1)),
    )
    assert [one["outcome"] for one in desk.run("explain", "--subject", silent)] == ["not_opened"]
    found = desk.run("explain", "--subject", told, "--limit", "4", "--since", "1h")
    assert [one["position"] for one in found] == ["/".join(map(str, place)) for place in places[1:]]
    assert [one["outcome"] for one in found] == ["notified", "duplicate", "rejected", "suppressed"]
    assert {one["subject"] for one in found} == {told}
    assert found[0]["holders"][0]["holder"] == f"user-of-{told}"
    assert found[3]["holders"][0]["reason"] == "NOT_EFFECTIVE"
    recent = desk.run("explain", "--since", "1h", "--limit", "1000")
    assert {one["position"] for one in found} <= {one["position"] for one in recent}
    assert desk.run("explain", "--subject", "bank:without-events", code=1) == []
    assert desk.run("explain", "no-such-event", code=1)[0]["outcome"] == "unknown"


def test_a_replay_gives_the_same_bytes_and_twice_the_same(desk: Desk) -> None:
    subject = "bank:desk-2"
    desk.send(
        Record(BANK, subject, transaction(subject, "again", merchant_name="Shop 4111 1111 1111 1111")),
        Record(BANK, subject, transaction(subject, "again-2", lifecycle_id="life", status="PENDING")),
        Record(BANK, subject, transaction(subject, "again-3", lifecycle_id="life", amount_minor=-9_999)),
    )
    first = desk.run("replay", "--from", "1h")
    assert first["notifications"] + first["left_out"] == len(notifications(desk.at))
    assert (first["missing"], first["other"], first["digest"]) == (0, 0, first["delivered"])
    assert first["left_out"] == 1, "what was told to who was erased"
    assert desk.run("replay", "--dry-run")["digest"] == first["digest"]
    originals, copies = (desk.at.read(topic) for topic in ("messenger-delivery", "notifier.replay"))
    erased = {(one.key(), one.value()) for one in originals} - {(one.key(), one.value()) for one in copies}
    assert [key for key, _ in erased] == [b"user-of-bank:desk-3"]
    assert len(copies) == first["notifications"]
    nothing = desk.run("replay", "--from", "2020-01-01", "--to", "2020-01-02", "--dry-run")
    assert nothing["notifications"] == 0
    desk.run("replay", "--into", "bank.transactions", code=1)


def test_another_policy_is_compared_before_it_is_used(desk: Desk, tmp_path: Path) -> None:
    subject = "bank:desk-2"
    desk.send(
        Record(BANK, subject, transaction(subject, "young")),
        Record(BANK, subject, transaction(subject, "aged", occurred_at=now_ms() - 1)),
    )
    stricter, looser, broken_one = (
        tmp_path / name for name in ("stricter.toml", "looser.toml", "broken.toml")
    )
    stricter.write_text("max_age_receipt_s = 1\nfuture_tolerance_s = 0\n")
    looser.write_text("max_age_receipt_s = 999999\n")
    broken_one.write_text("advertising = true\n")
    assert desk.run("simulate", "--policy", str(looser))["more"] == {}
    found = desk.run("simulate", "--policy", str(stricter), "--since", "1h")
    assert not found["more"]
    assert found["same"] + sum(found["less"].values()) == len(notifications(desk.at))
    refused = notifier("simulate", "--policy", str(broken_one), "--kafka", desk.at.bootstrap)
    assert (refused.returncode, "advertising is no part of the policy" in refused.stderr) == (4, True)


def test_an_index_finds_what_reading_everything_finds(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFIER_HOME", str(tmp_path))
    subject = "bank:desk-1"
    [place] = desk.send(Record(BANK, subject, transaction(subject, "indexed")))
    position = "/".join(map(str, place))
    for asked in ("indexed", position):
        assert desk.run("explain", asked, "--index") == desk.run("explain", asked)
    desk.send(Record(BANK, subject, transaction(subject, "indexed later")))
    assert desk.run("explain", "indexed later", "--index")[0]["holders"][0]["holder"] == f"user-of-{subject}"
    assert desk.run("explain", "not indexed", "--index", code=1)[0]["outcome"] == "unknown"
    assert desk.run("explain", f"{BANK}/0/999999", "--index", code=1)[0]["outcome"] == "absent"
    files = b"".join(path.read_bytes() for path in (tmp_path / "index").iterdir())
    assert not [
        name for name in (b"indexed", subject.encode(), f"user-of-{subject}".encode()) if name in files
    ]


def test_the_independent_checker_takes_all_that_was_done_at_the_desk(desk: Desk) -> None:
    found = desk.run("verify")
    assert {name for name, one in found.items() if one["checked"]} >= {"I1", "I4", "I8"}


def test_a_grant_that_follows_an_erasure_at_once_begins_without_memory(desk: Desk) -> None:
    subject, user = "bank:desk-5", "user-of-bank:desk-5"
    grant_all(desk.at, [subject])
    value = transaction(subject, "remembered")
    first, second = desk.send(Record(BANK, subject, value), Record(BANK, subject, value))
    assert [fates(desk.at)[place] for place in (first, second)] == [["NOTIFY"], ["DUPLICATE"]]
    answered = len(desk.at.read("consent.results"))
    sent(
        desk.at.producer(),
        [
            Record("consent.requests", subject, request(subject, action, user))
            for action in ("ERASE", "GRANT")
        ],
    )
    eventually("both are folded", lambda: len(desk.at.read("consent.results")) == answered + 2)
    [place] = desk.send(Record(BANK, subject, transaction(subject, "remembered")))
    assert fates(desk.at)[place] == ["NOTIFY"]


def test_a_live_checker_counts_what_comes_after_a_revocation_and_finds_its_canaries(desk: Desk) -> None:
    subject, user = "bank:watched", "user-of-bank:watched"
    command = [sys.executable, "-m", "verifier", "watch", "--port", "0", "--canary-every", "0.5"]
    with subprocess.Popen(
        [*command, "--kafka", desk.at.bootstrap], cwd=TREE, stderr=subprocess.PIPE, text=True
    ) as checker:
        try:
            assert checker.stderr is not None
            url = checker.stderr.readline().split()[-1]
            grant_all(desk.at, [subject])
            [source] = desk.send(Record(BANK, subject, transaction(subject, "before")))
            [told] = [one for one in notifications(desk.at) if one["source_event_id"] == "before"]
            sent(desk.at.producer(), [Record("consent.requests", subject, request(subject, "REVOKE", user))])
            desk.send(Record(BANK, subject, transaction(subject, "after")))
            eventually(
                "it is silent", lambda: figure(url, "notifier_revocation_to_silence_seconds_count") == 1
            )
            assert figure(url, "notifier_notifications_after_revocation_total") == 0
            assert figure(url, "notifier_canaries_total") >= 3
            assert figure(url, 'notifier_canary_leaks_total{topic="messenger-delivery"}') == 0
            forged = {
                name: value for name, value in told.items() if name not in ("headers", "key", "appended_ms")
            }
            names = [event_id_of(message) for message in desk.at.read(BANK)]
            marker = next(name.rpartition("-")[0] for name in names if name.startswith("canary-"))
            producer = desk.at.producer()
            headers = [("notifier.source", "/".join(map(str, source)).encode()), ("x", marker.encode())]
            producer.produce("messenger-delivery", encode("notification", forged), user, headers=headers)
            assert producer.flush(10) == 0
            eventually(
                "both are found", lambda: figure(url, "notifier_notifications_after_revocation_total") == 1
            )
            assert figure(url, 'notifier_canary_leaks_total{topic="messenger-delivery"}') == 1
            [asked, *_] = [one for one in desk.at.read("consent.requests") if one.key() == subject.encode()]
            notice = f"consent.requests/{asked.partition()}/{asked.offset()}".encode()
            headers = [("notifier.source", notice)]
            producer.produce("messenger-delivery", encode("notification", forged), user, headers=headers)
            assert producer.flush(10) == 0
            eventually(
                "what is told of a consent is judged, too",
                lambda: figure(url, "notifier_notifications_after_revocation_total") == 2,
            )
        finally:
            checker.terminate()
            assert checker.wait(20) == 0


def test_a_signed_checkpoint_vouches_for_what_retention_leaves_of_the_chain(desk: Desk) -> None:
    signed, key = desk.keys / "checkpoints", desk.keys / "receipts.private.json"
    checking = (
        "verify",
        "--chain",
        "--checkpoints",
        str(signed),
        "--key",
        str(desk.keys / "receipts.public.json"),
    )
    made = desk.run("checkpoint", "--out", str(signed), "--key", str(key))["checkpoint"]
    found = desk.run(*checking)
    assert {one["partition"] for one in made["heads"]} == {
        int(partition) for partition, one in found["partitions"].items() if one["batches"]
    }
    assert all(one["signed_up_to"] is not None for one in found["partitions"].values() if one["batches"])
    at, after = made["heads"][0]["partition"], made["heads"][0]["offset"] + 1
    subject = next(
        one for one in map("bank:chain-{}".format, range(99)) if partition_of(one.encode(), 4) == at
    )
    desk.send(Record(BANK, subject, transaction(subject, "after the checkpoint")))
    delete = desk.keys / "delete.json"
    place = {"topic": "notifier.decisions", "partition": at, "offset": after}
    delete.write_text(json.dumps({"partitions": [place], "version": 1}))
    kafka_tool(desk.at, "org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", str(delete))
    assert desk.run("verify", "--chain")["violations"] == [], "nothing is asked of it"
    [violation] = desk.run(*checking, code=1)["violations"]
    assert violation.endswith("begins amid the chain, and no checkpoint vouches for it")
    desk.run("checkpoint", "--out", str(signed), "--key", str(key))
    assert desk.run(*checking)["violations"] == []
    said = notifier(*checking, "--kafka", desk.at.bootstrap).stdout
    assert f"notifier.decisions/{at}: 1 batches from {after} to" in said


def test_a_replay_begins_at_a_snapshot_where_the_logs_before_it_are_gone(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, erased = "bank:desk-1", "bank:desk-4"
    grant_all(desk.at, [erased])
    desk.send(Record(BANK, subject, transaction(subject, "shot-0", lifecycle_id="shot", status="PENDING")))
    monkeypatch.setenv("NOTIFIER_HOME", str(tmp_path / "home"))
    taken = desk.run("snapshot")
    assert (taken["partitions"], taken["forgotten"], taken["removed"]) == (4, 0, 0)
    begin = decided_to(desk.at)
    desk.send(
        Record(BANK, subject, transaction(subject, "shot-1", lifecycle_id="shot")),
        Record(BANK, subject, transaction(subject, "shot-2")),
        Record(BANK, erased, transaction(erased, "shot-3")),
    )
    since = ("--from", datetime.fromtimestamp(taken["taken_ms"] / 1000 + 0.001, UTC).isoformat())
    before = desk.run("replay", *since, "--dry-run")
    assert (before["notifications"], before["missing"], before["other"]) == (2, 0, 0), (
        "posted as it was pending"
    )
    assert before["digest"] == before["delivered"]
    delete_before(desk, begin, tmp_path)
    after = desk.run("replay", *since, "--dry-run")
    assert after == before
    desk.run("consent", "erase", erased, "--key", str(desk.keys / "receipts.private.json"))
    gone = desk.run("replay", *since, "--dry-run")
    assert (gone["notifications"], gone["missing"], gone["other"]) == (1, 0, 0), "nor is it missed"
    again = desk.run("snapshot", "--keep-days", "1")
    assert again["subjects"] == taken["subjects"] - 1
    monkeypatch.setenv("NOTIFIER_HOME", str(tmp_path / "elsewhere"))
    done = notifier("replay", *since, "--dry-run", "--kafka", desk.at.bootstrap)
    assert done.returncode == 1
    assert "is too short: partition" in done.stderr
    assert "`notifier snapshot`, once a day" in done.stderr


def delete_before(desk: Desk, places: dict[tuple[str, int], int], folder: Path) -> None:
    """Delete the events before these places, and as many consent requests as were folded."""
    first = [
        {"topic": topic, "partition": number, "offset": offset} for (topic, number), offset in places.items()
    ]
    (folder / "delete.json").write_text(json.dumps({"partitions": first, "version": 1}))
    tool = "org.apache.kafka.tools.DeleteRecordsCommand"
    kafka_tool(desk.at, tool, "--offset-json-file", str(folder / "delete.json"))


def event_id_of(message: Message) -> str:
    """Return the event_id of a transaction, an empty one of a value that cannot be read."""
    try:
        return str(decode("bank_transaction", message.value() or b"")["event_id"])
    except (AssertionError, ValueError, EOFError, IndexError):
        return ""


def figure(url: str, name: str) -> float:
    """Return one figure of a page of Prometheus' format."""
    with urllib.request.urlopen(url, timeout=5) as page:
        lines = page.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])
