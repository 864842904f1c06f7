"""The verifier can say no: each broken build is caught by the invariant that its patch names, the build as it
is passes under the same faults.

One feed for all: grants, bursts, repeats, garbage, late consents, revocations, a producer that aborts, a
restart. Workers run the interpreted kernel: a build of its own would be compiled for half a minute. Builds
wait more than they work, so several run at a time.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.broken.apply import FOLDER, patched_tree, stated
from tests.harness.cluster import ROOT, TREE, Cluster, cluster, eventually, figures
from tests.harness.messages import (
    Record,
    alert,
    balance,
    consent,
    now_ms,
    request,
    sent,
    shipment,
    transaction,
)
from tests.harness.worker import Worker
from tests.model.waiting import wait_until_decided

pytestmark = pytest.mark.timeout(400)

PATCHES = sorted(path.name for path in FOLDER.glob("*.patch") if "invariant" in stated(path.name))
FAULTS = ["", "after_commit:kill:nth=12", "consent_read:delay_ms=4000"]
SUBJECTS = [f"checker:{number:03d}" for number in range(30)]
LATE, REVOKED, SUSPENDED, SLOW = "checker:late", SUBJECTS[:5], SUBJECTS[10], SUBJECTS[20]
CANARIES = ("Canary Shop 4711", "canary text 4712", "user-of-checker")
HALF_REVOKED_S = 2.3  # later than the bound of I5
DECIDED_S = 10.0
FOLDED_S = 15.0
AT_A_TIME = 3


class Run:
    """One build, fed in two lives of a worker, and what the verifier says."""

    def __init__(self, tree: Path, folder: Path, failpoints: str, settings: dict[str, str]) -> None:
        self._tree, self._folder = tree, folder
        self._failpoints, self._settings = failpoints, settings
        self._pages: list[Path] = []
        self._is_killed = False

    def judged(self) -> dict[str, Any]:
        """Feed and return the invariants by name."""
        with cluster(self._folder / "kafka") as at:
            with self._life("first", self._failpoints) as worker:
                worker.wait_ready()
                _grant(at)
                self._settle(at, worker)
                events = _burst(at, "first")
                self._settle(at, worker)
                sent(at.producer(), events[:20])
                _trouble(at)
                self._settle(at, worker)
            with self._life("second", "") as worker:
                self._settle(at, worker)
                _burst(at, "second")
                self._settle(at, worker)
            return self._verdict(at)

    @contextlib.contextmanager
    def _life(self, name: str, failpoints: str) -> Iterator[Worker]:
        """Run a worker and stop it in good order, if it lives so long; keep its last metrics."""
        log = self._folder / f"{name}.log"
        with Worker(
            self._bootstrap,
            log,
            cwd=self._tree,
            kernel="interpreted",
            failpoints=failpoints,
            **self._settings,
        ) as worker:
            yield worker
            if worker.process.poll() is not None:
                self._is_killed = True
                return
            page = self._folder / f"{name}.metrics"
            page.write_text(worker.get("/metrics")[1])
            self._pages.append(page)
            worker.terminate(40)

    @property
    def _bootstrap(self) -> str:
        port = json.loads((self._folder / "kafka" / "broker.json").read_text())["port"]
        return f"127.0.0.1:{port}"

    def _settle(self, at: Cluster, worker: Worker) -> None:
        """Wait until all is decided; a broken build may never come so far."""
        with contextlib.suppress(AssertionError):
            for _ in range(5):
                if worker.process.poll() is not None:
                    return
                with contextlib.suppress(AssertionError):
                    wait_until_decided(at.bootstrap, DECIDED_S / 5)
                    time.sleep(0.5)
                    return

    def _verdict(self, at: Cluster) -> dict[str, Any]:
        canaries = self._folder / "canaries"
        canaries.write_text("\n".join(CANARIES))
        texts = [*self._folder.glob("*.log"), *self._pages]
        command = [sys.executable, "-m", "verifier", "invariants", "--kafka", at.bootstrap, "--json"]
        command += ["--canaries", str(canaries), "--texts", *map(str, texts)]
        if not self._is_killed:
            command += ["--metrics", *map(str, self._pages)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr[-2000:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def _grant(at: Cluster) -> None:
    """Grant, and wait until it is folded, which a broken build may never do."""
    asked = [
        Record("consent.requests", subject, request(subject, "GRANT", f"user-of-{subject}"))
        for subject in SUBJECTS
    ]
    later = request(LATE, "GRANT", f"user-of-{LATE}", consent=consent(effective_at=now_ms()))
    sent(at.producer(), [*asked, Record("consent.requests", LATE, later)])
    with contextlib.suppress(AssertionError):
        eventually("grants are folded", lambda: len(at.read("consent.results")) > len(asked), FOLDED_S)


def _burst(at: Cluster, name: str) -> list[Record]:
    """Send four events of every subject at once, and those of a subject whose consent came after them."""
    records = []
    for number, subject in enumerate(SUBJECTS):
        ids = [f"{name}-{number}-{kind}" for kind in range(4)]
        paid = transaction(
            subject, ids[0], amount_minor=-115, merchant_name=CANARIES[0], description=CANARIES[1]
        )
        records += [
            Record("bank.transactions", subject, paid),
            Record("bank.transactions", subject, transaction(subject, ids[1])),
            Record("bank.balances", subject, balance(subject, ids[2])),
            Record("shipping.events", subject, shipment(subject, ids[3])),
        ]
    early = transaction(LATE, f"{name}-early", occurred_at=now_ms() - 600_000)
    records += [Record("bank.transactions", LATE, early), Record("bank.security", LATE, alert(LATE, name))]
    sent(at.producer(), records)
    return records


def _trouble(at: Cluster) -> None:
    """Send what cannot be read, what is taken back, and revocations with events behind them."""
    producer = at.producer()
    sent(producer, [Record("bank.transactions", name, CANARIES[1].encode()) for name in SUBJECTS[12:17]])
    revoked = [*REVOKED, SLOW]
    asked = [Record("consent.requests", name, request(name, "REVOKE", None)) for name in revoked]
    sent(producer, [*asked, Record("consent.requests", SUSPENDED, b"garbage")])
    after = [(name, transaction(name, f"after-{name}")) for name in (*REVOKED, SUSPENDED)]
    sent(producer, [Record("bank.transactions", name, value) for name, value in after])
    time.sleep(HALF_REVOKED_S)
    sent(producer, [Record("bank.transactions", SLOW, transaction(SLOW, "late"))])
    _aborted(at)


def _aborted(at: Cluster) -> None:
    """Send events whose producer aborts."""
    producer = at.producer(**{"transactional.id": "bank"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for subject in SUBJECTS[20:]:
        producer.produce("bank.transactions", transaction(subject, f"aborted-{subject}"), subject)
    producer.flush(30)
    producer.abort_transaction(30)


def _judged(folder: Path, name: str) -> dict[str, Any]:
    """Return the verdict on a broken build, or on the build as it is under some failpoints."""
    if name in FAULTS:
        return Run(TREE, folder, name, {}).judged()
    head = stated(name)
    settings = dict(item.split("=", 1) for item in head.get("settings", "").split())
    return Run(patched_tree(name, folder), folder, head.get("failpoints", ""), settings).judged()


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    """Run all builds; each test waits for its own."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {
            name: pool.submit(_judged, tmp_path_factory.mktemp("build"), name) for name in (*FAULTS, *PATCHES)
        }


@pytest.mark.parametrize("failpoints", FAULTS)
def test_the_build_as_it_is_passes(verdicts: dict[str, Future[dict[str, Any]]], failpoints: str) -> None:
    found = verdicts[failpoints].result()
    wrong = {name: one["shown"] for name, one in found.items() if one["violations"]}
    assert not wrong
    assert {name for name, one in found.items() if not one["checked"]} == set()
    assert ("I15" in found) == ("kill" not in failpoints)


@pytest.mark.parametrize("patch", PATCHES)
def test_a_broken_build_is_caught_by_the_invariant_that_it_names(
    verdicts: dict[str, Future[dict[str, Any]]], patch: str
) -> None:
    invariant = stated(patch)["invariant"]
    caught = {name: one["violations"] for name, one in verdicts[patch].result().items() if one["violations"]}
    figures(f"{patch}: {caught}")
    assert caught.get(invariant), f"not caught by {invariant}, only by {caught}"


def test_there_are_fourteen_broken_builds_at_least_and_nine_invariants() -> None:
    assert len(PATCHES) >= 14
    assert len({stated(patch)["invariant"] for patch in PATCHES}) >= 9
