"""Unlinks under faults: all or nothing, once, whoever dies and whatever offsets are lost."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, cluster, eventually, figures, kafka_tool
from tests.harness.messages import Record, decode, decoded_all, link_request, sent
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(180)

GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
CHANNELS = [f"psid:{number}" for number in range(24)]
TAKEOVER_LIMIT_S = 15.0


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("links") / "kafka") as running:
        yield running


def ask(at: Cluster, channel: str, action: str, *subjects: str, user: str | None = None) -> None:
    value = link_request(channel, action, user, subjects)
    sent(at.producer(), [Record("link.requests", channel, value)])


def answers(at: Cluster, channel: str) -> list[tuple[str, str, int]]:
    found = decoded_all(at, "link_result", "link.results")
    return [(one["action"], one["outcome"], one["revoked"]) for one in found if one["channel_ref"] == channel]


def subjects_of(channel: str) -> list[str]:
    return [f"{channel}/bank-{number}" for number in range(7)]


def revoked(at: Cluster, channel: str) -> list[str]:
    """Return the subjects of a channel that were revoked, once per revocation."""
    found = decoded_all(at, "consent_request", "consent.requests")
    revocations = [one["subject"] for one in found if one["action"] == "REVOKE"]
    return sorted(subject for subject in revocations if subject.startswith(f"{channel}/"))


def folded(at: Cluster, channel: str) -> int:
    """Return how many requests about subjects of a channel are answered."""
    answered = decoded_all(at, "consent_result", "consent.results")
    return sum(one["subject"].startswith(f"{channel}/") for one in answered)


def is_linked(at: Cluster, channel: str) -> bool:
    values = [one.value() for one in at.read("link.state") if one.key() == channel.encode()]
    return bool(values) and values[-1] is not None


@pytest.mark.parametrize(
    ("point", "is_done"), [("after_produce", False), ("before_commit", False), ("after_commit", True)]
)
def test_death_in_an_unlink_leaves_all_of_it_or_nothing_and_it_is_done_once(
    at: Cluster, tmp_path: Path, point: str, is_done: bool
) -> None:
    channel = f"psid:{point}"
    subjects = subjects_of(channel)
    with Worker(at.bootstrap, tmp_path / "links.log") as first:
        first.wait_ready()
        ask(at, channel, "LINK", *subjects, user="anna")
        eventually("it is linked", lambda: is_linked(at, channel))
        assert first.terminate() == 0
    with Worker(at.bootstrap, tmp_path / "dies.log", failpoints=f"{point}:kill:nth=1") as dying:
        dying.wait_ready()
        ask(at, channel, "UNLINK")
        assert dying.ended() == -9
    left = (revoked(at, channel), is_linked(at, channel), len(answers(at, channel)))
    assert left == ((subjects, False, 2) if is_done else ([], True, 1))
    with Worker(at.bootstrap, tmp_path / "goes-on.log") as worker:
        worker.wait_ready()
        eventually("it is unlinked", lambda: not is_linked(at, channel))
        ask(at, channel, "UNLINK")
        eventually("the next is answered", lambda: len(answers(at, channel)) == 3)
        eventually("the revocations are folded", lambda: folded(at, channel) == len(subjects))
        assert worker.terminate() == 0
    assert answers(at, channel) == [
        ("LINK", "ACCEPTED", 0),
        ("UNLINK", "ACCEPTED", len(subjects)),
        ("UNLINK", "ACCEPTED", 0),
    ]
    assert revoked(at, channel) == subjects


def test_what_was_done_is_not_done_again_though_group_offsets_and_memory_are_lost(
    at: Cluster, tmp_path: Path
) -> None:
    channel = "psid:lost"
    link = Record("link.requests", channel, link_request(channel, "LINK", "anna", subjects_of(channel)))
    with Worker(at.bootstrap, tmp_path / "before.log") as first:
        first.wait_ready()
        sent(at.producer(), [link])
        ask(at, channel, "UNLINK")
        eventually("both are answered", lambda: len(answers(at, channel)) == 2)
        assert first.terminate() == 0
    everything = len(at.read("link.results"))
    kafka_tool(at, GROUPS, "--delete", "--group", "notifier.channel")
    with Worker(at.bootstrap, tmp_path / "after.log") as worker:
        worker.wait_ready()
        sent(at.producer(), [link])
        eventually("it is answered", lambda: len(answers(at, channel)) >= 3)
        assert worker.terminate() == 0
    assert len(at.read("link.results")) == everything + 1, "requests were answered again"
    assert answers(at, channel)[-1] == ("LINK", "REFUSED", 0), "a link that came again counted"
    assert not is_linked(at, channel)
    assert revoked(at, channel) == subjects_of(channel)


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
    for name in CHANNELS:
        assert answers(at, name) == [("LINK", "ACCEPTED", 0), ("UNLINK", "ACCEPTED", 2)]
        assert revoked(at, name) == [f"{name}/bank", f"{name}/shop"]


def linked(channel: str) -> bytes:
    return link_request(channel, "LINK", f"user-of-{channel}", [f"{channel}/bank", f"{channel}/shop"])


def all_answered(at: Cluster, count: int) -> bool:
    found = Counter(
        decode("link_result", one.value() or b"")["channel_ref"] for one in at.read("link.results")
    )
    return all(found[name] >= count for name in CHANNELS)
