"""A worker that was paused between reading a grant and folding it wakes up after a revocation: too late.

Run with -s for the figures.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, as_json, cluster, eventually, figures
from tests.harness.messages import (
    Position,
    Record,
    acknowledged,
    decode,
    fates,
    notifications,
    request,
    sent,
    transaction,
)
from tests.harness.worker import Worker

pytestmark = pytest.mark.timeout(150)

USER = "user-1"
REVOKED = "revoked"
PAUSE_S = 1.5
REFUSALS = (
    "another worker owns this partition number now",
    "in a transaction; reading back",  # the broker had closed its connections: nothing was committed either
)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("zombie")) as running:
        yield running


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_revocation_stands_when_a_zombie_wakes_up(at: Cluster, tmp_path: Path, guarantee: str) -> None:
    subject = f"zombie:{guarantee}"
    with Worker(at.bootstrap, tmp_path / "before.log", guarantee=guarantee) as worker:
        worker.wait_ready()
        acknowledged(at.producer(), "consent.requests", [(subject, request(subject, "GRANT", USER))])
        eventually("the grant is folded", lambda: _history(at, subject))
        assert worker.terminate() == 0
    with Worker(
        at.bootstrap, tmp_path / "zombie.log", guarantee=guarantee, failpoints="fold:stop:nth=1"
    ) as zombie:
        zombie.wait_ready()
        acknowledged(at.producer(), "consent.requests", [(subject, request(subject, "GRANT", USER))])
        eventually("the owner stops between reading and folding", zombie.is_stopped)
        with Worker(at.bootstrap, tmp_path / "owner.log", guarantee=guarantee) as owner:
            eventually("the new owner has every partition", lambda: len(_owned(owner)) == at.partitions)
            acknowledged(at.producer(), "consent.requests", [(subject, request(subject, "REVOKE", USER))])
            eventually("the revocation is folded", lambda: _history(at, subject)[-1] == REVOKED)
            early = _event(at, subject, "before-it-wakes")
            zombie.wake()
            eventually(
                "the zombie's fold came to its end",
                lambda: _is_refused(zombie) or _is_overwritten(at, subject),
            )
            assert not _is_overwritten(at, subject), "the zombie's grant overwrote the revocation"
            eventually(
                "both have partitions", lambda: _owned(owner) and _owned(zombie) and _whole(at, owner, zombie)
            )
            late = _event(at, subject, "after-it-woke")
            met = fates(at)
            assert met[early] == met[late] == ["SUPPRESS REVOKED"]
            assert not _is_overwritten(at, subject)
            assert not [one for one in notifications(at) if one["recipient"] == USER]
            assert _is_refused(zombie)
            figures(f"{guarantee}: the zombie's write was refused, the revocation of {subject} stands")
            assert [zombie.terminate(), owner.terminate()] == [0, 0]


def test_a_pause_between_barrier_and_decision_does_not_outrun_a_revocation(
    at: Cluster, tmp_path: Path
) -> None:
    """Shorter than the session: nobody takes its partitions, and it goes on where it was."""
    subject = "paused:1"
    with Worker(at.bootstrap, tmp_path / "pauses.log", failpoints="after_barrier:stop:nth=1") as worker:
        worker.wait_ready()
        acknowledged(at.producer(), "consent.requests", [(subject, request(subject, "GRANT", USER))])
        eventually("the grant is folded", lambda: _history(at, subject))
        event = sent(at.producer(), [Record("bank.transactions", subject, transaction(subject, "e"))])[0]
        eventually("it stops after the barrier", worker.is_stopped)
        acknowledged(at.producer(), "consent.requests", [(subject, request(subject, "REVOKE", USER))])
        time.sleep(PAUSE_S)
        worker.wake()
        eventually("the event is decided", lambda: event in fates(at))
        assert fates(at)[event] == ["SUPPRESS REVOKED"]
        assert worker.terminate() == 0


def _is_refused(zombie: Worker) -> bool:
    """Tell whether the woken worker says that its transaction did not come about."""
    said = zombie.log.read_text()
    return any(refusal in said for refusal in REFUSALS)


def _owned(worker: Worker) -> set[str]:
    """Return the partition numbers that a worker is ready to decide, none while it is not."""
    status, body = worker.get("/readyz")
    return set(as_json(body)["details"]["partitions"]) if status == 200 else set()


def _whole(at: Cluster, *workers: Worker) -> bool:
    return sum(len(_owned(worker)) for worker in workers) == at.partitions


def _is_overwritten(at: Cluster, subject: str) -> bool:
    """Tell whether a value was ever written after the revocation: a later owner would mend it unseen."""
    return _history(at, subject).index(REVOKED) < len(_history(at, subject)) - 1


def _history(at: Cluster, subject: str) -> list[str]:
    """Return what each committed value of the subject's consents said, the latest last."""
    found: list[str] = []
    for message in at.read("consent.state"):
        if (message.key() or b"").decode() == subject:
            (holder,) = decode("consent_state", message.value() or b"")["holders"]
            is_revoked = holder["versions"][-1]["revoked_at"] is not None
            found.append(REVOKED if is_revoked else "granted")
    return found


def _event(at: Cluster, subject: str, event_id: str) -> Position:
    """Send an event that would notify, and wait until it is decided."""
    (place,) = sent(at.producer(), [Record("bank.transactions", subject, transaction(subject, event_id))])
    eventually("the event is decided", lambda: place in fates(at))
    return place
