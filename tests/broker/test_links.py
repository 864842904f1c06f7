"""Links with a worker: what an unlink takes with it, who is refused, and what the desk makes of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from streams.wire.partition import partition_of
from tests.harness.cluster import Cluster, cluster, eventually
from tests.harness.messages import (
    Record,
    acknowledged,
    consent,
    decode,
    decoded_all,
    headers_of,
    link_request,
    notifications,
    request,
    sent,
    transaction,
)
from tests.harness.worker import Worker, notifier


class Stage(NamedTuple):
    """A cluster and its worker."""

    at: Cluster
    worker: Worker

    def ask(self, channel: str, action: str, user: str | None = None, *subjects: str) -> dict[str, Any]:
        """Send a link request; return its answer."""
        value = link_request(channel, action, user, subjects)
        [place] = sent(self.at.producer(), [Record("link.requests", channel, value)])

        def answer() -> dict[str, Any] | None:
            found = self.at.read("link.results")
            at = [one for one in found if one.partition() == place.partition]
            read = [decode("link_result", one.value() or b"") for one in at]
            return next((one for one in read if one["request_offset"] == place.offset), None)

        result: dict[str, Any] = eventually("the link request is answered", answer)
        return result

    def grant(self, channel: str, user: str, *subjects: str) -> None:
        """Grant everything without asking for a link."""
        given = consent(channel_ref=channel)
        asked = [(subject, request(subject, "GRANT", user, consent=given)) for subject in subjects]
        before = len(self.at.read("consent.results"))
        acknowledged(self.at.producer(), "consent.requests", asked)
        eventually(
            "grants are folded", lambda: len(self.at.read("consent.results")) >= before + len(subjects)
        )

    def links(self) -> dict[str, dict[str, Any]]:
        """Return every link as the log has it."""
        found: dict[str, dict[str, Any]] = {}
        for message in self.at.read("link.state"):
            key = (message.key() or b"").decode()
            found.pop(key, None)
            if message.value() is not None and not key.startswith("\0"):
                found[key] = decode("link_state", message.value() or b"")
        return found

    def revocations(self, *subjects: str) -> list[tuple[str, str]]:
        """Return subject and user of every revocation by the channel, of these subjects."""
        return sorted(
            (one["subject"], one["user_id"])
            for one in decoded_all(self.at, "consent_request", "consent.requests")
            if one["action"] == "REVOKE" and one["requested_by"] == "CHANNEL" and one["subject"] in subjects
        )

    def run(self, *arguments: str, code: int = 0) -> tuple[Any, str]:
        """Run a command with --json; return what it printed, and what it said."""
        done = notifier(*arguments, "--json", "--kafka", self.at.bootstrap)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("links")
    with cluster(home / "kafka") as at, Worker(at.bootstrap, home / "worker.log") as worker:
        assert set(worker.wait_ready()["details"]["link_partitions"]) == {"0", "1", "2", "3"}
        yield Stage(at, worker)
        assert worker.terminate() == 0


def test_an_unlink_revokes_all_that_was_linked_and_nothing_of_anybody_else(stage: Stage) -> None:
    mine = [f"bank:unlink-{number}" for number in range(9)]
    joint, late, bens = mine[0], mine[-1], "bank:bens"
    assert len({partition_of(one.encode(), 4) for one in mine}) == 4, "the unlink goes everywhere"
    assert stage.ask("psid:anna", "LINK", "anna", *mine[:-1])["outcome"] == "ACCEPTED"
    assert stage.ask("psid:anna", "LINK", "anna", late)["outcome"] == "ACCEPTED"
    assert stage.ask("psid:ben", "LINK", "ben", joint, bens)["outcome"] == "ACCEPTED"
    assert stage.links()["psid:anna"]["subjects"] == mine
    stage.grant("psid:anna", "anna", *mine)
    stage.grant("psid:ben", "ben", joint, bens)
    before = stage.worker.metric("notifier_link_revocations_total")
    answer = stage.ask("psid:anna", "UNLINK")
    assert (answer["outcome"], answer["reason"], answer["revoked"]) == ("ACCEPTED", None, len(mine))
    assert stage.revocations(*mine, bens) == [(subject, "anna") for subject in mine]
    assert set(stage.links()) >= {"psid:ben"}
    assert "psid:anna" not in stage.links()
    assert stage.worker.metric("notifier_link_revocations_total") == before + len(mine)
    events = [Record("bank.transactions", one, transaction(one, f"after-{one}")) for one in (*mine, bens)]
    sent(stage.at.producer(), events)
    eventually("the last is told", lambda: (bens, "ben") in told(stage))
    eventually("the joint one is told", lambda: (joint, "ben") in told(stage))
    assert told(stage) == {(bens, "ben"), (joint, "ben")}


def told(stage: Stage) -> set[tuple[str, str]]:
    """Return of which subject who was told."""
    return {
        (one["source_event_id"].removeprefix("after-"), one["recipient"]) for one in notifications(stage.at)
    }


def test_a_channel_belongs_to_one_person_until_it_is_unlinked(stage: Stage) -> None:
    stage.ask("psid:taken", "LINK", "anna", "bank:t-1")
    refused = stage.ask("psid:taken", "LINK", "ben", "bank:t-2")
    assert (refused["outcome"], refused["reason"]) == ("REFUSED", "LINKED_TO_ANOTHER")
    assert stage.links()["psid:taken"]["subjects"] == ["bank:t-1"]
    assert stage.ask("psid:taken", "UNLINK")["revoked"] == 1
    assert stage.ask("psid:taken", "LINK", "ben", "bank:t-2")["outcome"] == "ACCEPTED"
    assert stage.ask("psid:never-linked", "UNLINK")["revoked"] == 0


def test_what_is_no_request_of_its_channel_is_answered_counted_and_a_dead_letter(stage: Stage) -> None:
    channel, value = "psid:odd", link_request("psid:odd", "UNLINK")
    away = (partition_of(channel.encode(), 4) + 1) % 4
    refused = stage.worker.metric("notifier_link_requests_total", outcome="REFUSED")
    places = sent(
        stage.at.producer(),
        [
            Record("link.requests", channel, b"broken"),
            Record("link.requests", channel, link_request("psid:other", "UNLINK")),
            Record("link.requests", channel, value, away),
            Record("link.requests", None, value, 0),
        ],
    )
    stage.ask(channel, "UNLINK")

    def letters() -> dict[str, str]:
        heads = [headers_of(message) for message in stage.at.read("notifier.dead-letters")]
        names = ("topic", "partition", "offset")
        where = ["/".join(head[f"__streams.errors.{name}"] for name in names) for head in heads]
        return dict(zip(where, (head["notifier.error.code"] for head in heads), strict=True))

    wanted = ["UNDECODABLE", "SUBJECT_MISMATCH", "MISROUTED", "NO_KEY"]
    expected = {"/".join(map(str, place)): reason for place, reason in zip(places, wanted, strict=True)}
    eventually("all are dead letters", lambda: letters().items() >= expected.items())
    answers = decoded_all(stage.at, "link_result", "link.results")
    found = [one["reason"] for one in answers if one["channel_ref"] == channel and one["reason"]]
    assert sorted(found) == ["CHANNEL_MISMATCH", "MISROUTED", "UNREADABLE"]
    assert stage.worker.metric("notifier_link_requests_total", outcome="REFUSED") == refused + 3
    said = stage.worker.log.read_text()
    assert f"{'/'.join(map(str, places[2]))}: refused (MISROUTED)" in said


def test_the_desk_links_before_it_grants_and_unlinks(stage: Stage) -> None:
    grant = ("consent", "grant", "bank:desk", "--user", "dora", "--purposes", "receipt")
    granted, _ = stage.run(*grant, "--channel-ref", "psid:dora")
    assert granted["outcome"] == "ACCEPTED"
    assert stage.links()["psid:dora"]["subjects"] == ["bank:desk"]
    asked = [one.timestamp()[1] for one in stage.at.read("link.requests") if one.key() == b"psid:dora"]
    stored = [one.timestamp()[1] for one in stage.at.read("consent.requests") if one.key() == b"bank:desk"]
    assert min(asked) <= min(stored)
    foreign = ("consent", "grant", "bank:desk-2", "--user", "emil", "--purposes", "receipt")
    refused, said = stage.run(*foreign, "--channel-ref", "psid:dora", code=1)
    assert refused["reason"] == "LINKED_TO_ANOTHER"
    assert "the channel is linked to another person" in said
    assert not [one for one in stage.at.read("consent.requests") if one.key() == b"bank:desk-2"]
    moved, _ = stage.run("consent", "change", "bank:desk", "--user", "dora", "--channel-ref", "psid:dora-2")
    assert moved["outcome"] == "ACCEPTED"
    assert stage.links()["psid:dora-2"]["user_id"] == "dora"
    unlinked, _ = stage.run("consent", "unlink", "psid:dora")
    assert (unlinked["outcome"], unlinked["revoked"]) == ("ACCEPTED", 1)
    plain = notifier("consent", "unlink", "psid:dora-2", "--kafka", stage.at.bootstrap)
    assert "Unlinked; subjects revoked: 1." in plain.stderr


def test_an_erasure_leaves_no_link_behind(stage: Stage) -> None:
    for subject in ("bank:gone", "bank:stays"):
        grant = ("consent", "grant", subject, "--user", "frida", "--purposes", "receipt")
        stage.run(*grant, "--channel-ref", "psid:frida")
    exported, _ = stage.run("consent", "export", "bank:gone", "--user", "frida")
    [link] = exported["links"]
    assert (link["channel_ref"], link["subject"]) == ("psid:frida", "bank:gone")
    stage.run("consent", "erase", "bank:gone", "--user", "frida")
    assert stage.links()["psid:frida"]["subjects"] == ["bank:stays"]
    assert stage.run("consent", "export", "bank:gone", "--user", "frida")[0]["links"] == []
    stage.run("consent", "erase", "bank:stays")
    assert "psid:frida" not in stage.links()
    assert stage.revocations("bank:gone", "bank:stays") == []


def test_producing_asks_for_the_link_of_every_made_up_grant(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events = [
        {"record": "AccountBalance", "event_id": f"p-{number}", "subject": f"made-up:{number}", "as_of": 1}
        for number in range(5)
    ]
    lines = [json.dumps({**event, "booked_minor": 5, "currency": "EUR"}) for event in events]
    file.write_text("\n".join(lines) + "\n")
    stage.run("produce", str(file), "--format", "jsonl", "--grant-share", "1")

    def linked() -> set[str]:
        return {subject for one in stage.links().values() for subject in one["subjects"]}

    eventually("all are linked", lambda: linked() >= {event["subject"] for event in events})
