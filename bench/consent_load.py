"""Restore of many consents: how fast the worker reads `consent.state` back, and how much memory it takes.

Writes the state directly, as a worker before would have left it, then starts the worker and reads progress
from `/metrics`. By default subjects have 20 distinct policies, and one in twenty is a joint account of two
holders; `--policies` and `--joint-every` take others.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socket
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from bench.cluster import Cluster
from bench.contender import Contender, Stage, log_tail, start, stop
from bench.contenders.ours import GROUP
from bench.report import commit, machine, progress_line, write_json
from bench.rounds import Meter
from bench.workload import PARTITIONS
from streams.core.codes import DetailLevel, Direction, Purposes
from streams.core.consent import Consent, ConsentState, Holder, Preferences
from streams.core.pseudonyms import SALT_BYTES
from streams.kafka.broker import start_broker
from streams.wire.codec import encode_consent_state
from streams.wire.topics import CONSENT_STATE, DELIVERY, TOPICS

COMMAND = "consent-load"
POLL_S = 0.1
START_TIMEOUT_S = 300.0
WANTED_PER_S = 100_000
WANTED_RSS_MIB = 1_430  # 1.5 GB
DAY_MS = 86_400_000
LEVELS = (DetailLevel.ACTIVITY_ONLY, DetailLevel.AMOUNT, DetailLevel.AMOUNT_MERCHANT, DetailLevel.FULL)
POLICIES = 20
JOINT_EVERY = 20


class Load(NamedTuple):
    """What was measured; the restore counts from the last moment without progress to the last record."""

    subjects: int
    restore_s: float
    ready_s: float
    peak_rss_mb: float

    @property
    def subjects_per_s(self) -> float:
        """Subjects read back per second of restore."""
        return self.subjects / self.restore_s if self.restore_s else 0.0


def states(
    subjects: int, now_ms: int, policies: int = POLICIES, joint_every: int = JOINT_EVERY
) -> Iterator[tuple[bytes, bytes]]:
    """Give key and value of every consent state; every `joint_every`-th (0: none) has two holders."""
    for number in range(subjects):
        subject = f"bank:{number:08d}"
        is_joint = joint_every and number % joint_every == 0
        users = (f"user:{number:08d}", f"user:{number:08d}b")[: 2 if is_joint else 1]
        policy = number * 7 % policies
        holders = tuple(Holder(user, (_consent(policy, user, now_ms),)) for user in users)
        state = ConsentState(subject, holders, request_offset=-1, salt=number.to_bytes(SALT_BYTES, "big"))
        yield subject.encode(), encode_consent_state(state)


def _consent(policy: int, user: str, now_ms: int) -> Consent:
    return Consent(
        consent_id=f"consent:{user}",
        version=1,
        purposes=Purposes.RECEIPT | Purposes.BALANCE,
        detail_level=LEVELS[policy % len(LEVELS)],
        direction=Direction.BOTH,
        channel_ref=f"psid:{user}",
        effective_at=now_ms - DAY_MS,
        valid_until=now_ms + 90 * DAY_MS,
        revoked_at=None,
        notice_id="notice-1",
        notice_hash="0" * 64,
        locale="de-DE",
        timezone="Europe/Berlin",
        preferences=Preferences(min_amount_minor=policy // len(LEVELS) * 100 or None),
    )


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(COMMAND, help="time the restore of many consents", description=__doc__)
    parser.add_argument("--subjects", type=int, default=2_000_000)
    parser.add_argument("--policies", type=int, default=POLICIES, help="distinct ones")
    parser.add_argument("--joint-every", type=int, default=JOINT_EVERY, metavar="N", help="0: none is joint")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure and tell; 0 if the load was fast and small enough, else 1."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        values = states(
            arguments.subjects, time.time_ns() // 10**6, arguments.policies, arguments.joint_every
        )
        load = _measure(arguments.subjects, values, Path(scratch))
    is_fast, is_small = load.subjects_per_s >= WANTED_PER_S, load.peak_rss_mb <= WANTED_RSS_MIB
    summary = {
        **load._asdict(),
        "subjects_per_s": round(load.subjects_per_s),
        "machine": machine(),
        "commit": commit(),
    }
    print(json.dumps(summary, indent=1))
    if arguments.out:
        write_json(summary, arguments.out)
    if not is_fast:
        print(f"too slow: {load.subjects_per_s:,.0f} subjects/s, wanted {WANTED_PER_S:,}", file=sys.stderr)
    if not is_small:
        print(f"too large: {load.peak_rss_mb:,.0f} MiB, wanted at most {WANTED_RSS_MIB:,}", file=sys.stderr)
    return 0 if is_fast and is_small else 1


def _measure(subjects: int, values: Iterator[tuple[bytes, bytes]], folder: Path) -> Load:
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    worker = Contender(
        name="worker",
        command=lambda kafka, _: (
            *(sys.executable, "-m", "streams.cli", "worker"),
            *("--kafka", kafka, "--ops-port", str(port)),
        ),
        group=GROUP,
        output_topic=DELIVERY,
        settings={},
        reset=lambda _: None,
    )
    with start_broker(folder / "broker", fresh=True, partitions=PARTITIONS) as broker:
        stage = Stage(Cluster(broker.bootstrap), folder)
        stage.cluster.create({topic.name: topic.config for topic in TOPICS})
        stage.cluster.fill(CONSENT_STATE, values, lambda done: progress_line("publishing", done, subjects))
        process = start(worker, stage)
        try:
            return _watch(worker, stage, subjects, Meter(process.pid), f"http://127.0.0.1:{port}")
        finally:
            stop(process)


def _watch(worker: Contender, stage: Stage, subjects: int, meter: Meter, address: str) -> Load:
    began = idle_at = done_at = time.monotonic()
    done = 0
    while time.monotonic() - began < START_TIMEOUT_S:
        time.sleep(POLL_S)
        meter.sample()
        asked_at = time.monotonic()
        restored = _restored(_get(f"{address}/metrics")[1])
        if restored == 0:
            idle_at = asked_at
        elif restored > done:
            done, done_at = restored, time.monotonic()
            progress_line("restoring", done, subjects)
        if done >= subjects and _get(f"{address}/readyz")[0] == 200:
            return Load(subjects, done_at - idle_at, time.monotonic() - began, meter.peak_rss_mb)
    raise RuntimeError(
        f"restored {done:,} of {subjects:,} in {START_TIMEOUT_S:.0f} s:\n{log_tail(worker, stage)}"
    )


def _restored(text: str) -> int:
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        if family.name == "notifier_restored_records"
        for sample in family.samples
        if sample.labels["topic"] == CONSENT_STATE
    )


def _get(url: str) -> tuple[int, str]:
    """Status and body; (0, "") while nobody listens or answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""
