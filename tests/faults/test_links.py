"""Unlinks under faults: all or nothing, once, whoever dies and whatever offsets are lost."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import Cluster, cluster, eventually, figures, kafka_tool
from tests.harness.messages import Record, decode, decoded_all, link_request, sent
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(180)

GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
SUBJECTS = [f"bank:linked-{number}" for number in range(7)]
CHANNELS = [f"psid:{number}" for number in range(24)]
TAKEOVER_LIMIT_S = 15.0


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "kafka") as running:
        yield running


def ask(at: Cluster, channel: str, action: str, *subjects: str, user: str | None = None) -> None:
    value = link_request(channel, action, user, subjects)
    sent(at.producer(), [Record("link.requests", channel, value)])


def answers(at: Cluster, channel: str) -> list[tuple[str, str, int]]:
    found = decoded_all(at, "link_result", "link.results")
    return [(one["action"], one["outcome"], one["revoked"]) for one in found if one["channel_ref"] == channel]


def revocations(at: Cluster) -> list[dict[str, Any]]:
    found = decoded_all(at, "consent_request", "consent.requests")
    return [one for one in found if one["action"] == "REVOKE"]


def is_linked(at: Cluster, channel: str) -> bool:
    values = [one.value() for one in at.read("link.state") if one.key() == channel.encode()]
    return bool(values) and values[-1] is not None


@pytest.mark.parametrize(
    ("point", "is_done"), [("after_produce", False), ("before_commit", False), ("after_commit", True)]
)
def test_death_in_an_unlink_leaves_all_of_it_or_nothing_and_it_is_done_once(
    at: Cluster, tmp_path: Path, point: str, is_done: bool
) -> None:
    with Worker(at.bootstrap, tmp_path / "links.log") as first:
        first.wait_ready()
        ask(at, "psid:1", "LINK", *SUBJECTS, user="anna")
        eventually("it is linked", lambda: is_linked(at, "psid:1"))
        assert first.terminate() == 0
    with Worker(at.bootstrap, tmp_path / "dies.log", failpoints=f"{point}:kill:nth=1") as dying:
        dying.wait_ready()
        ask(at, "psid:1", "UNLINK")
        assert dying.ended() == -9
    left = ([one["subject"] for one in revocations(at)], is_linked(at, "psid:1"), len(answers(at, "psid:1")))
    done: tuple[list[str], bool, int] = (left[0], False, 2)
    assert left == (done if is_done else ([], True, 1))
    assert not is_done or sorted(left[0]) == SUBJECTS
    with Worker(at.bootstrap, tmp_path / "goes-on.log") as worker:
        worker.wait_ready()
        eventually("it is unlinked", lambda: not is_linked(at, "psid:1"))
        ask(at, "psid:1", "UNLINK")
        eventually("the next is answered", lambda: len(answers(at, "psid:1")) == 3)
        assert worker.terminate() == 0
    assert answers(at, "psid:1") == [
        ("LINK", "ACCEPTED", 0),
        ("UNLINK", "ACCEPTED", len(SUBJECTS)),
        ("UNLINK", "ACCEPTED", 0),
    ]
    assert sorted(one["subject"] for one in revocations(at)) == SUBJECTS


def test_group_offsets_that_are_lost_repeat_nothing_and_come_back(at: Cluster, tmp_path: Path) -> None:
    with Worker(at.bootstrap, tmp_path / "before.log") as first:
        first.wait_ready()
        ask(at, "psid:1", "LINK", *SUBJECTS, user="anna")
        ask(at, "psid:1", "UNLINK")
        eventually("both are answered", lambda: len(answers(at, "psid:1")) == 2)
        assert first.terminate() == 0
    kafka_tool(at, GROUPS, "--delete", "--group", "notifier.channel")
    with Worker(at.bootstrap, tmp_path / "after.log") as worker:
        worker.wait_ready()
        ask(at, "psid:1", "LINK", "bank:new", user="ben")
        eventually("the next is answered", lambda: len(answers(at, "psid:1")) == 3)
        assert worker.terminate() == 0
    assert [one[0] for one in answers(at, "psid:1")] == ["LINK", "UNLINK", "LINK"]
    assert len(revocations(at)) == len(SUBJECTS)


def test_a_link_that_comes_again_after_a_restart_brings_nothing_back(at: Cluster, tmp_path: Path) -> None:
    link = Record("link.requests", "psid:1", link_request("psid:1", "LINK", "anna", SUBJECTS))
    with Worker(at.bootstrap, tmp_path / "before.log") as first:
        first.wait_ready()
        sent(at.producer(), [link])
        ask(at, "psid:1", "UNLINK")
        eventually("both are answered", lambda: len(answers(at, "psid:1")) == 2)
        assert first.terminate() == 0
    with Worker(at.bootstrap, tmp_path / "after.log") as second:
        second.wait_ready()
        sent(at.producer(), [link])
        eventually("it is answered", lambda: len(answers(at, "psid:1")) == 3)
        assert second.terminate() == 0
    assert answers(at, "psid:1")[-1] == ("LINK", "REFUSED", 0)
    assert not is_linked(at, "psid:1")


def test_two_workers_share_the_links_and_the_death_of_one_loses_and_repeats_nothing(
    at: Cluster, tmp_path: Path
) -> None:
    logs = tmp_path / "one.log", tmp_path / "two.log"
    with Worker(at.bootstrap, logs[0]) as one, Worker(at.bootstrap, logs[1]) as two:
        workers = (one, two)

        def shares() -> list[int]:
            return [len(worker.wait_ready()["details"]["link_partitions"]) for worker in workers]

        eventually("both have links", lambda: sorted(shares()) == [2, 2])
        sent(at.producer(), [Record("link.requests", name, linked(name)) for name in CHANNELS])
        eventually("all are linked", lambda: all_answered(at, 1))
        unlinks = [Record("link.requests", name, link_request(name, "UNLINK")) for name in CHANNELS]
        sent(at.producer(), unlinks[:12])
        killed_s = one.kill()
        sent(at.producer(), unlinks[12:])
        eventually("all are unlinked", lambda: all_answered(at, 2), pause_s=0.3)
        taken_s = time.monotonic() - killed_s
        figures(f"the other worker took the links over within {taken_s:.1f} s")
        assert taken_s < TAKEOVER_LIMIT_S
        assert set(two.wait_ready()["details"]["link_partitions"]) == {"0", "1", "2", "3"}
        assert two.terminate() == 0
    found = decoded_all(at, "link_result", "link.results")
    assert Counter((one["channel_ref"], one["action"]) for one in found) == Counter(
        (name, action) for name in CHANNELS for action in ("LINK", "UNLINK")
    )
    assert {one["revoked"] for one in found if one["action"] == "UNLINK"} == {2}
    expected = {f"{name}/{kind}" for name in CHANNELS for kind in ("bank", "shop")}
    assert Counter(one["subject"] for one in revocations(at)) == Counter(expected)


def linked(channel: str) -> bytes:
    return link_request(channel, "LINK", f"user-of-{channel}", [f"{channel}/bank", f"{channel}/shop"])


def all_answered(at: Cluster, count: int) -> bool:
    found = Counter(
        decode("link_result", one.value() or b"")["channel_ref"] for one in at.read("link.results")
    )
    return all(found[name] >= count for name in CHANNELS)
