"""From a revocation to silence: how long after it the last notification was appended. -s shows figures."""

import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import Producer

from tests.harness.cluster import Cluster, cluster, figures
from tests.harness.messages import (
    decode,
    grant_all,
    notifications,
    request,
    transaction,
    wait_decided,
)
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(190)

WAVES, AT_ONCE = 25, 8
EVERY_S = 0.005
"""Of each subject's events."""
REVOKED_S, LASTS_S = (0.3, 0.8), 1.3
P99_MS = 250
BANK, REQUESTS = "bank.transactions", "consent.requests"


def test_a_revocation_is_followed_by_silence_within_a_quarter_of_a_second(tmp_path: Path) -> None:
    subjects = [f"silent-{number:03d}" for number in range(WAVES * AT_ONCE)]
    with cluster(tmp_path / "kafka") as at, Worker(at.bootstrap, tmp_path / "worker.log") as worker:
        worker.wait_ready()
        grant_all(at, subjects)
        producer, chance = at.producer(**{"linger.ms": 1}), Random(5)
        sent = sum(_wave(producer, subjects[first::WAVES], chance) for first in range(WAVES))
        assert producer.flush(30) == 0
        figures(str(wait_decided(at, sent)))
        assert worker.terminate() == 0
        told = _told(at)
        revoked = _revoked(at)
    assert set(revoked) == set(subjects)
    watched = [subject for subject in subjects if len(told.get(subject, ())) > 20]
    assert len(watched) > 0.9 * len(subjects), "they were told of events before"
    silences = sorted(max(0, max(told[subject]) - revoked[subject]) for subject in watched)
    p99 = silences[len(silences) * 99 // 100 - 1]
    figures(
        f"{len(silences)} revocations among {sent} events, one every {EVERY_S * 1000:.0f} ms for a subject: "
        f"silence after {silences[len(silences) // 2]} ms (p50), {p99} ms (p99), {silences[-1]} ms (most)"
    )
    assert silences[-1] > 0, "events came so fast that some were under way"
    assert p99 <= P99_MS


def _wave(producer: Producer, subjects: Sequence[str], chance: Random) -> int:
    """Send events of all these subjects for a while, and a revocation for each amid them; return how many."""
    began = time.monotonic()
    revoke_at = {subject: began + chance.uniform(*REVOKED_S) for subject in subjects}
    sent = 0
    while (elapsed := time.monotonic() - began) < LASTS_S or revoke_at:
        for subject in subjects:
            producer.produce(BANK, transaction(subject, f"{subject}/{sent}"), subject)
            sent += 1
            if revoke_at.get(subject, float("inf")) < time.monotonic():
                del revoke_at[subject]
                producer.produce(REQUESTS, request(subject, "REVOKE", None), subject)
        producer.poll(0)
        next_s = (int(elapsed / EVERY_S) + 1) * EVERY_S
        time.sleep(max(0.0, began + next_s - time.monotonic()))
    return sent


def _told(at: Cluster) -> dict[str, list[int]]:
    """Return when each subject's notifications were appended, UTC milliseconds."""
    found: dict[str, list[int]] = {}
    for one in notifications(at):
        found.setdefault(str(one["source_event_id"]).partition("/")[0], []).append(one["appended_ms"])
    return found


def _revoked(at: Cluster) -> dict[str, int]:
    """Return when each subject's revocation was appended, UTC milliseconds."""
    found = {}
    for message in at.read(REQUESTS):
        fields = decode("consent_request", message.value() or b"")
        if fields["action"] == "REVOKE":
            found[str(fields["subject"])] = int(message.timestamp()[1])
    return found
