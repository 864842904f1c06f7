"""20,000 damaged frames of people who gave consent, so that every one is opened: each meets its fate, the
worker's process and its neighbours do not notice. Scenario S16; run with -s for the figures.
"""

import json
from collections.abc import Iterator
from random import Random

import pytest

from tests.harness.cluster import Cluster, cluster, eventually, figures
from tests.harness.messages import (
    Record,
    alert,
    balance,
    conserved,
    damaged,
    grant_all,
    notifications,
    request,
    sent,
    shipment,
    transaction,
    wait_decided,
)
from tests.harness.worker import Worker

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

FRAMES = 20_000
CONSENT_FRAMES = 500
SUBJECTS = [f"frames:{number}" for number in range(20)]
NEIGHBOUR = "frames:neighbour"
MOST_MORE_MB = 64


@pytest.fixture(scope="module", params=["compiled", "interpreted"])
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cluster, Worker]]:
    home = tmp_path_factory.mktemp("frames")
    with (
        cluster(home / "kafka") as at,
        Worker(at.bootstrap, home / "worker.log", kernel=request.param) as worker,
    ):
        worker.wait_ready()
        yield at, worker


def _payloads() -> list[bytes]:
    """Return frames that made Avro libraries die or swell: endless nesting, and counts of nothing."""
    head = transaction(SUBJECTS[0], "head")[:5]
    return [head + b"\x02" * 100_000, head + b"\xfe\xff\xff\xff\x0f\x00", head + b"\x00" * 900_000]


def _events(chance: Random) -> list[Record]:
    records = []
    for number in range(FRAMES):
        subject = chance.choice(SUBJECTS)
        topic, make = chance.choice(
            (
                ("bank.transactions", transaction),
                ("bank.balances", balance),
                ("bank.security", alert),
                ("shipping.events", shipment),
            )
        )
        records.append(Record(topic, subject, damaged(make(subject, f"f-{number}"), chance)))
    return records + [Record("bank.transactions", SUBJECTS[0], payload) for payload in _payloads()]


def test_damaged_frames_meet_their_fate_and_nobody_notices(stage: tuple[Cluster, Worker]) -> None:
    at, worker = stage
    chance = Random(16)
    grant_all(at, [*SUBJECTS, NEIGHBOUR])
    sent(at.producer(), [Record("bank.transactions", NEIGHBOUR, transaction(NEIGHBOUR, "before"))])
    eventually("the neighbour is told", lambda: len(notifications(at)) == 1)
    before_mb = worker.metric("process_resident_memory_bytes") / 1e6
    records = _events(chance)
    sent(at.producer(), records)
    requests = [damaged(request(SUBJECTS[0], "GRANT"), chance) for _ in range(CONSENT_FRAMES)]
    sent(at.producer(), [Record("consent.requests", "frames:requests", value) for value in requests])
    sent(at.producer(), [Record("bank.transactions", NEIGHBOUR, transaction(NEIGHBOUR, "after"))])
    met = wait_decided(at, len(records) + 2, 120)
    eventually(
        "the neighbour is told again",
        lambda: "after" in [one["source_event_id"] for one in notifications(at)],
    )
    more_mb = worker.metric("process_resident_memory_bytes") / 1e6 - before_mb
    rejected = sum(count for reason, count in met.items() if reason.startswith("REJECT"))
    figures(f"{len(records)} damaged frames: {rejected} rejected, {more_mb:.0f} MB more; {json.dumps(met)}")
    assert sum(met.values()) == len(records) + 2
    assert rejected > FRAMES / 2
    assert more_mb < MOST_MORE_MB
    assert worker.process.poll() is None
    assert len(at.read("notifier.dead-letters")) >= rejected
    report = conserved(at)
    assert not report["violations"], report["violations"][:5]
    assert worker.terminate() == 0
    assert "Traceback" not in worker.log.read_text()
