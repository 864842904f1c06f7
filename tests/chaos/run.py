"""Runs one scenario against a broker of its own and writes its log: a line for the run, one a fault, one for
what was found.
"""

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.report import commit
from tests.chaos.crew import Crew
from tests.chaos.report import BROKER_FAULTS
from tests.chaos.scenarios import SCENARIOS, Planned, Scenario, plan
from tests.chaos.stream import PARTITIONS, Stream
from tests.harness import clocks, disk
from tests.harness.cluster import ROOT, Cluster, cluster
from tests.harness.load import Load
from tests.harness.messages import grant_all, notifications
from tests.harness.proxy import Proxy
from tests.harness.races import Outcome, Races
from tests.harness.trio import trio
from tests.harness.worker import Worker
from tests.model.waiting import wait_until_decided

EVENTS_PER_S = 300
LEAST_LEAD_S = 3.0
LEAD = 0.1
"""Of the time that the plan takes: the first and the last fault must meet work in flight."""
USUAL_FAULT_S, SLOW_FAULT_S = 12.0, 25.0
SLOW = ("node_", "throttle", "disk_full")
HOLDING = ("pause", "net", "disk_full", "throttle", *BROKER_FAULTS)
FAIL_OVER_MS = 8_000
"""Until a cluster that lost one of three goes on: a broker's session (3 s), election, what clients retry."""
LONGEST_S = 1_500
NO_INDEX = {"log.index.interval.bytes": str(1 << 30)}
"""A write to a mapped index file on a full disk kills the JVM, after the record itself was written."""
DECIDED_S = 120.0
MOST_RACES = 2  # times those wanted: not every event comes in time
IN_FLIGHT_MS = 100
"""A dead process's last request may still be on its way to the broker."""


class InvalidRunError(Exception):
    """The run shows nothing: its faults met no work, or it did not come to its end."""


def cannot(scenario: Scenario) -> str | None:
    """Return why a scenario cannot be shown on this machine, None if it can."""
    if scenario.disk_mib and not disk.is_possible():
        return "only root may make a small disk"
    if _is_about(scenario, "clock") and not clocks.is_possible():
        return "faketime is not installed"
    return None


def run(name: str, seed: int, share: float, folder: Path, guarantee: str = "exactly_once") -> dict[str, Any]:
    """Run a scenario; return the last line of its log, which is what was found."""
    scenario = SCENARIOS[name]
    folder.mkdir(parents=True, exist_ok=True)
    planned, races = plan(name, seed, share), round(scenario.races * share)
    notes, home = folder / f"{name}-{seed}.notes", folder / f"{name}-{seed}"
    home.mkdir(exist_ok=True)
    notes.unlink(missing_ok=True)
    head = {
        "type": "run", "scenario": name, "says": scenario.says, "seed": seed, "guarantee": guarantee,
        "commit": commit(), "partitions": PARTITIONS, "events_per_s": EVENTS_PER_S,
        "replay": f"python -m tests.chaos run {name} --seed {seed} --share {share:g} --guarantee {guarantee}",
    }  # fmt: skip
    with _brokers(scenario, home / "kafka") as at, Proxy(at.running.port) as proxy:
        racers = Races.subjects(MOST_RACES * races) if races else []
        _grant(at, home, guarantee, [*Stream.subjects(), *racers])
        with _follower(at, notes) as reader, _crew(at, home, scenario, guarantee, proxy) as crew:
            crew.settle()
            racing = Races(at, races, MOST_RACES * races)
            racing.start()
            faults, total = _strike(at, crew, Stream(seed, scenario.mix), planned)
            outcome = racing.finish()
            wait_until_decided(at.bootstrap, DECIDED_S)
            crew.end()
            reader.terminate()
            reader.wait(120)
            pauses = home / "pauses.json"
            pauses.write_text(json.dumps(_pauses(faults)), encoding="ascii")
            found = _judge(at, guarantee, notes, pauses, total, crew.exits)
            found |= _races(at, outcome)
            found["takeovers_s"] = _takeovers(at, faults)
    for fault in faults:
        fault["progress"] = round(fault.pop("acknowledged") / max(total, 1), 4)
    lines = [head, *faults, found]
    log = folder / f"{name}-{guarantee}-{seed}.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
    return found


def _crew(at: Cluster, home: Path, scenario: Scenario, guarantee: str, proxy: Proxy) -> Crew:
    """Start the workers, behind the proxy only where it is what does the harm."""
    way = proxy if _is_about(scenario, "net") else None
    return Crew(at, home, guarantee, scenario.workers, way, has_clocks=_is_about(scenario, "clock"))


def _is_about(scenario: Scenario, kind: str) -> bool:
    return any(one.split()[0] == kind for one in scenario.kinds)


@contextmanager
def _brokers(scenario: Scenario, home: Path) -> Iterator[Cluster]:
    """Start what the scenario runs on."""
    if scenario.disk_mib:
        with disk.small_disk(home, scenario.disk_mib), cluster(home, PARTITIONS, NO_INDEX) as at:
            yield at
    else:
        start = cluster if scenario.brokers == 1 else trio
        with start(home, PARTITIONS) as at:
            yield at


def _races(at: Cluster, outcome: Outcome) -> dict[str, int]:
    """Return how many races there were, and after how many of them somebody was told who must not be.

    That nobody was left out is the verifier's to say.
    """
    told = Counter(one["headers"]["notifier.source"] for one in notifications(at))
    leaks = sum(told["/".join(map(str, place))] for place in outcome.races)
    return {"races": outcome.in_time(), "leaks": leaks}


def _grant(at: Cluster, home: Path, guarantee: str, subjects: list[str]) -> None:
    with Worker(at.bootstrap, home / "granting.log", guarantee=guarantee) as worker:
        worker.wait_ready()
        grant_all(at, subjects)
        worker.terminate()


@contextmanager
def _follower(at: Cluster, notes: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a reader beside what is done within; whoever wants all of it ends it and waits."""
    command = [sys.executable, "-m", "verifier", "follow", "--kafka", at.bootstrap, "--out", str(notes)]
    reader = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield reader
    finally:
        reader.kill()
        reader.wait()


def _strike(
    at: Cluster, crew: Crew, stream: Stream, planned: list[Planned]
) -> tuple[list[dict[str, Any]], int]:
    """Let events flow, do what is planned, and return each fault with how far the events were."""
    faults: list[dict[str, Any]] = []
    with Load(at, EVENTS_PER_S, EVENTS_PER_S * LONGEST_S, stream.make) as load:
        plan_s = sum(fault.after_s + max(fault.lasts_s, _usual_s(fault)) for fault in planned)
        lead_s = max(LEAST_LEAD_S, LEAD * plan_s)
        time.sleep(lead_s)
        for fault in planned:
            time.sleep(fault.after_s)
            acknowledged = load.acknowledged
            done = crew.do(fault)
            crew.settle()
            faults.append({"type": "fault", **done, "acknowledged": acknowledged})
            _progress(f"{len(faults)} of {len(planned)} faults, {load.acknowledged} records")
        time.sleep(lead_s)
        return faults, load.finish()


def _usual_s(fault: Planned) -> float:
    """Return how long a fault takes with what follows, a node's until all copies are in step again."""
    return SLOW_FAULT_S if fault.kind.startswith(SLOW) else USUAL_FAULT_S


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}")
        sys.stderr.flush()


def _pauses(faults: list[dict[str, Any]]) -> list[list[int]]:
    """Return when processes were stopped or connections harmed: it does not count for revocations."""
    spans = []
    for fault in faults:
        kind = fault["kind"].split()[0]
        if kind in HOLDING:
            holds_ms = min(fault["lasted_ms"], FAIL_OVER_MS) if "node" in kind else fault["lasted_ms"]
            spans.append([fault["at_ms"], fault["at_ms"] + holds_ms])
    return spans


def _judge(
    at: Cluster, guarantee: str, notes: Path, pauses: Path, total: int, exits: list[int]
) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "verifier", "invariants", "--kafka", at.bootstrap, "--guarantee", guarantee,
        "--live", str(notes), "--pauses", str(pauses), "--json",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    if not done.stdout:
        raise InvalidRunError(f"the verifier ended without a result: {done.stderr[-1000:]}")
    return {"type": "found", "records": total, "exits": exits, "invariants": json.loads(done.stdout)}


def _takeovers(at: Cluster, faults: list[dict[str, Any]]) -> list[list[float]]:
    """Return, for each fault, the seconds from it to the next output of each partition that it left alone."""
    appended: dict[int, list[int]] = defaultdict(list)
    for one in notifications(at):
        appended[int(one["headers"]["notifier.source"].split("/")[1])].append(one["appended_ms"])
    return [
        [
            round((min(after) - fault["at_ms"]) / 1000, 3)
            for partition in fault["partitions"]
            if (after := [at_ms for at_ms in appended[partition] if at_ms > fault["at_ms"] + IN_FLIGHT_MS])
        ]
        for fault in faults
    ]
