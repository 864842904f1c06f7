"""Death around the commit of notices that consents are about to end: everybody is told, and once."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, cluster, eventually
from tests.harness.messages import acknowledged, consent, has_reminded, notifications, now_ms, request
from tests.harness.worker import Worker
from verifier.model.partitions import partition_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

HOUR, DAY = 3_600_000, 86_400_000
PEOPLE = 5
CASES = [
    ("exactly_once", "after_produce"),
    ("exactly_once", "before_commit"),
    ("exactly_once", "after_commit"),
    ("at_least_once", "before_commit"),
    ("at_least_once", "after_commit"),
]
NAMES = [
    name for name in (f"kill:{number:04d}" for number in range(200)) if not partition_of(name.encode(), 4)
]


def subjects_of(case: int) -> list[str]:
    """Return those of which the notice of 30 days falls due before the clock of this case."""
    return NAMES[case * PEOPLE : (case + 1) * PEOPLE]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("notice-kills")
    with cluster(home / "kafka") as running:
        with Worker(running.bootstrap, home / "granting.log") as worker:
            worker.wait_ready()
            began = now_ms()
            requests = []
            for case in range(len(CASES)):
                for subject in subjects_of(case):
                    due_at = began + case * HOUR + HOUR // 2
                    given = consent(consent_id=subject, valid_until=due_at + 30 * DAY)
                    requests.append((subject, request(subject, "GRANT", f"of-{subject}", consent=given)))
            acknowledged(running.producer(), "consent.requests", requests)
            eventually("all are folded", lambda: len(running.read("consent.results")) == len(requests))
            assert worker.terminate() == 0
        yield running


@pytest.mark.parametrize("case", range(len(CASES)), ids=["-".join(case) for case in CASES])
def test_death_in_the_commit_of_notices_tells_everybody_once(at: Cluster, tmp_path: Path, case: int) -> None:
    guarantee, point = CASES[case]
    clock = str((case + 1) * HOUR)
    wanted = {f"{subject}/1/P30D" for subject in subjects_of(case)}
    with Worker(
        at.bootstrap,
        tmp_path / "dies.log",
        guarantee=guarantee,
        clock_offset_ms=clock,
        failpoints=f"{point}:kill:nth=1",
    ) as dying:
        assert dying.ended() == -9
    told = Counter(one["source_event_id"] for one in notifications(at))
    before = sum(told[name] for name in wanted)
    assert before == (PEOPLE if point == "after_commit" else 0)
    with Worker(
        at.bootstrap,
        tmp_path / "goes-on.log",
        guarantee=guarantee,
        clock_offset_ms=clock,
        reminder_interval_s="1",
    ) as worker:
        worker.wait_ready()
        began = now_ms() + (case + 1) * HOUR
        eventually("all are told", lambda: wanted <= {one["source_event_id"] for one in notifications(at)})
        eventually("a pass found nothing more", lambda: has_reminded(at, NAMES[-1], began))
        assert worker.terminate() == 0
    told = Counter(one["source_event_id"] for one in notifications(at))
    assert {told[name] for name in wanted} == {1}
    assert set(told.values()) == {1}
