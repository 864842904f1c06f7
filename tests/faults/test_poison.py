"""Values of people who gave no consent are never opened: a build that dies of opening them lives.

Run with -s for the figures.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.broken.apply import patched_tree
from tests.harness.cluster import Cluster, cluster, eventually, figures
from tests.harness.messages import (
    Record,
    acknowledged,
    alert,
    balance,
    consent,
    fates,
    grant_all,
    request,
    sent,
    shipment,
    transaction,
    wait_decided,
)
from tests.harness.worker import Worker

COMPILE_S = 240
pytestmark = pytest.mark.timeout(120 + COMPILE_S)

POISONED = 1_000
CLOSED = 100
MARKER = "TRIPWIRE"
TRIPPED = 66  # the exit code in tests/broken/tripwire.patch
OPEN = "poison-open:0001"


class Stage(NamedTuple):
    """A cluster, and a worker that ends itself when it opens a value with the marker."""

    at: Cluster
    worker: Worker


@pytest.fixture(scope="module", params=["interpreted", "compiled"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("poison")
    tree = patched_tree("tripwire.patch", home)
    if request.param == "compiled":  # a build of its own, compiled before the worker's time runs
        warm = "from streams.kernel.path import choose_path; choose_path().warm_up()"
        subprocess.run([sys.executable, "-c", warm], cwd=tree, check=True, timeout=COMPILE_S)
    with (
        cluster(home / "kafka") as at,
        Worker(at.bootstrap, home / "worker.log", cwd=tree, kernel=request.param) as worker,
    ):
        worker.wait_ready()
        grant_all(at, [OPEN])
        yield Stage(at, worker)


def poisoned(subject: str, number: int) -> Record:
    """Return a readable event of each topic in turn, or garbage, with the marker in it."""
    event_id = f"{MARKER}-{number}"
    match number % 5:
        case 0:
            return Record("bank.transactions", subject, transaction(subject, event_id))
        case 1:
            return Record("bank.balances", subject, balance(subject, event_id))
        case 2:
            return Record("bank.security", subject, alert(subject, event_id))
        case 3:
            return Record("shipping.events", subject, shipment(subject, event_id))
        case _:
            return Record("bank.transactions", subject, f"{MARKER} {number}".encode())


def test_values_without_an_open_consent_are_never_opened_and_one_with_it_is(stage: Stage) -> None:
    at = stage.at
    requests: list[tuple[str, bytes | None]] = []
    for number in range(CLOSED):
        subject = f"poison-closed:{number:04d}"
        if number % 2:
            requests += [(subject, request(subject, "GRANT")), (subject, request(subject, "REVOKE"))]
        else:
            later = consent(effective_at=consent()["valid_until"] - 1_000)
            requests.append((subject, request(subject, "GRANT", consent=later)))
    answered = len(at.read("consent.results"))
    acknowledged(at.producer(), "consent.requests", requests)
    eventually("requests are answered", lambda: len(at.read("consent.results")) == answered + len(requests))
    records = [poisoned(f"poison:{number:04d}", number) for number in range(POISONED)]
    records += [poisoned(f"poison-closed:{number:04d}", number) for number in range(CLOSED)]
    places = sent(at.producer(), records)
    wait_decided(at, len(records))
    met = fates(at)
    assert [met[place] for place in places[:POISONED]] == [["SUPPRESS NO_CONSENT"]] * POISONED
    closed = Counter(met[place][0] for place in places[POISONED:])
    assert closed == {"SUPPRESS REVOKED": CLOSED // 2, "SUPPRESS NOT_EFFECTIVE": CLOSED // 2}
    assert stage.worker.process.poll() is None

    sent(at.producer(), [poisoned(OPEN, 0)])
    assert stage.worker.ended() == TRIPPED, "the tripwire does not trip: what passed by proves nothing"
    figures(
        f"{POISONED} values without consent and {CLOSED} with a closed one passed by; one with it tripped"
    )
