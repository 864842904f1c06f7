"""One broker and one worker for all clients of other languages."""

from collections.abc import Iterator, Sequence

import pytest

from tests.harness.cluster import Cluster, cluster
from tests.harness.messages import grant_all, notifications, reasons, transaction, wait_decided
from tests.harness.worker import Worker


class Stage:
    """A worker at work: give it consented subjects and events, see what comes out."""

    def __init__(self, at: Cluster) -> None:
        self.cluster = at

    def subjects(self, name: str, count: int) -> list[str]:
        """Grant everything for `count` new subjects."""
        made = [f"{name}:{number:04d}" for number in range(count)]
        grant_all(self.cluster, made)
        return made

    def events(self, subjects: Sequence[str]) -> list[tuple[str, bytes]]:
        """Make one event for each subject."""
        return [(subject, transaction(subject, f"event-of-{subject}")) for subject in subjects]

    def decided(self) -> int:
        """Count the records that met their fate so far."""
        return sum(reasons(self.cluster).values())

    def wait(self, before: int, records: int) -> None:
        """Wait until that many more records were decided."""
        wait_decided(self.cluster, before + records)

    def told(self, name: str) -> dict[str, str]:
        """Return recipient by source event, of the notifications about subjects of this name."""
        prefix = f"event-of-{name}:"
        found = [note for note in notifications(self.cluster) if note["source_event_id"].startswith(prefix)]
        by_event = {note["source_event_id"]: note["recipient"] for note in found}
        assert len(by_event) == len(found), "an event was told twice"
        return by_event


def expected(subjects: Sequence[str]) -> dict[str, str]:
    """Return what `Stage.told` must be when every subject's event came through."""
    return {f"event-of-{subject}": f"user-of-{subject}" for subject in subjects}


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("interop")
    with cluster(home / "broker") as running, Worker(running.bootstrap, home / "worker.log") as worker:
        worker.wait_ready()
        yield Stage(running)
