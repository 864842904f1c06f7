"""Latency of contenders at fixed rates, from when an event was due to when its notification was read.

An open loop: `bench/java/LoadGenerator.java` sends on a schedule that waits for nobody, and counts from it.
One process of a contender serves all rates, highest first, so that lower ones meet it warm. What the figures
mean: `bench/latency_figures.py`. The page: docs/benchmarks/README.md.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench import jvm
from bench.cluster import Cluster
from bench.contender import Contender, Stage, log_tail, start, stop
from bench.judge import Judge
from bench.latency_contenders import DEFAULTS, KNOWN, LOW_LATENCY
from bench.latency_figures import (
    SATURATION_SHARE,
    Schedule,
    faults,
    figures,
    over_rounds,
    rates,
    read_arrivals,
)
from bench.plots import plot_latency
from bench.report import commit, latency_table, machine, progress_line, write_json
from bench.rounds import Meter, Plan, run_round
from bench.workload import PARTITIONS, Workload
from streams.kafka.broker import start_broker
from streams.wire.topics import BANK_TRANSACTIONS, CONSENT_REQUESTS, TOPICS

COMMAND = "latency"
FIXED_RATES = (1_000, 10_000, 50_000)
WARMUP_S = 15
MEASURED_S = 30
LINGER_MS = 5
"""The default of Kafka's Java producer since 4.0: the generator is a producer that nobody tuned."""
WARM_RATE = 20_000
TEMPLATES = 65_536
TIME_AT = 38
"""Where a value's time is, before its subject is counted in: the frame and the id come first."""
ECHO = "floor-echo"
ECHO_TOPIC = "latency-echo"
RESULT_LIMIT_S = 900
ANSWERED_NOTHING = 3
CAPACITY_PLAN = Plan(events=600_000, warmup_events=150_000, rounds=1, limit_s=60.0)
GENERATOR_JVM = (
    *(
        "-Xms1g",
        "-Xmx1g",
        "-Xmn600m",
        "-XX:+UseSerialGC",
    ),  # rare and short collections, no threads of its own
    "-XX:TieredStopAtLevel=1",  # the second compiler takes half a core for a minute
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class Course(NamedTuple):
    """How a latency run goes."""

    rates: Sequence[int] = FIXED_RATES
    warmup_s: int = WARMUP_S
    measured_s: int = MEASURED_S
    rounds: int = 1
    linger_ms: int = LINGER_MS


COURSE = Course()


class Templates(NamedTuple):
    """Events without ids and times, in a file for the generator; `notifies` has 1 for each that is told."""

    file: Path
    notifies: bytes


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(COMMAND, help="latency at fixed rates", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=FIXED_RATES, metavar="N", help="events/s")
    parser.add_argument("--warmup", type=int, default=WARMUP_S, metavar="S", help="seconds that do not count")
    parser.add_argument("--measured", type=int, default=MEASURED_S, metavar="S", help="seconds that count")
    parser.add_argument("--rounds", type=int, default=1, help="interleaved rounds")
    parser.add_argument("--linger-ms", type=int, default=LINGER_MS, help="of the generator's producer")
    parser.add_argument(
        "--only", action="append", metavar="CONTENDER", help="may be repeated; the echo floor is always there"
    )
    parser.add_argument(
        "--throughput",
        type=Path,
        metavar="FILE",
        help="JSON of a throughput run, for saturation; without it, throughput is measured first, briefly",
    )
    parser.add_argument("--no-saturation", action="store_true", help="fixed rates only, all of them")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON, a PNG beside it")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep the contenders' logs")


def run(arguments: argparse.Namespace) -> int:
    """Measure and tell; 0 if every notification came once, else 1."""
    course = Course(
        sorted(arguments.rates), arguments.warmup, arguments.measured, arguments.rounds, arguments.linger_ms
    )
    chosen = _chosen(arguments.only)
    known = (
        arguments.throughput and json.loads(arguments.throughput.read_text(encoding="utf-8"))["contenders"]
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = arguments.logs or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        with _stage(folder, chosen) as stage:
            capacities: Mapping[str, float] = {}
            if not arguments.no_saturation:
                capacities = capacities_of(known, chosen) if known else _capacities(stage, chosen)
            found = measure(stage, chosen, course, capacities)
    summary = {
        "contenders": {name: {"latency_ms": by_rate, **_settings(name)} for name, by_rate in found.items()},
        "settings": {**course._asdict(), "partitions": PARTITIONS, "saturation_share": SATURATION_SHARE},
        "machine": machine(),
        "commit": commit(),
        "valid": is_valid(found),
    }
    print(latency_table(summary))
    if arguments.out:
        write_json(summary, arguments.out)
        plot_latency(summary, arguments.out.with_suffix(".png"))
    return 0 if summary["valid"] else 1


def add_to(summary: dict[str, Any], folder: Path, course: Course = COURSE) -> None:
    """Measure the latency of a throughput run's contenders, and put it into its summary.

    Of its contenders those take part that `python -m bench latency` runs by default; the echo floor
    and those tuned for latency come in as contenders without throughput.
    """
    told = summary["contenders"]
    names = [one for one in DEFAULTS if KNOWN[one].is_floor or one.removesuffix(LOW_LATENCY) in told]
    contenders = [KNOWN[name] for name in names]
    with _stage(folder, contenders) as stage:
        found = measure(stage, contenders, course, capacities_of(told, contenders))
    for name, by_rate in found.items():
        told.setdefault(name, _settings(name))["latency_ms"] = by_rate
    summary["settings"]["latency"] = {**course._asdict(), "saturation_share": SATURATION_SHARE}
    summary["valid"] = summary["valid"] and is_valid(found)


def _settings(name: str) -> dict[str, Any]:
    return {"settings": dict(KNOWN[name].settings) if name in KNOWN else {}}


def _chosen(names: Sequence[str] | None) -> list[Contender]:
    if unknown := set(names or ()) - set(KNOWN) - {ECHO}:
        raise SystemExit(f"no such contender: {', '.join(sorted(unknown))}; there are {', '.join(KNOWN)}")
    return [one for name, one in KNOWN.items() if name in (names or DEFAULTS)]


def is_valid(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> bool:
    """Say whether every notification of every run came, once, and no other."""
    return not any(one["faults"] for by_rate in found.values() for one in by_rate.values())


def measure(
    stage: Stage, contenders: Sequence[Contender], course: Course, capacities: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Run every contender at every rate, and the echo floor; empties the topic of events.

    Args:
        stage: Consents are there, and the contenders have loaded them.
        contenders: Each runs once a round, in this order, at all its rates.
        course: Rates in events/s, seconds, rounds.
        capacities: Throughput by contender, events/s; who is not named has no point at saturation.

    Returns:
        By contender and rate ("1000", ..., "saturation") what `over_rounds` gives.
    """
    templates = write_templates(stage.folder / "templates.bin")
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for _ in range(course.rounds):
        for contender in (None, *contenders):
            name = contender.name if contender else ECHO
            for label, one in _one(stage, contender, course, capacities.get(name), templates).items():
                found.setdefault(name, {}).setdefault(label, []).append(one)
    return {
        name: {label: over_rounds(rounds) for label, rounds in by_rate.items()}
        for name, by_rate in found.items()
    }


def _one(
    stage: Stage,
    contender: Contender | None,
    course: Course,
    capacity: float | None,
    templates: Templates,
) -> dict[str, dict[str, Any]]:
    """Take one contender, or the floor, through its rates; a fault ends the tour."""
    results: dict[str, dict[str, Any]] = {}
    process = None
    if contender is None:
        stage.cluster.recreate({ECHO_TOPIC: {}})
    else:
        stage.cluster.recreate(
            {topic.name: topic.config for topic in TOPICS if topic.name == BANK_TRANSACTIONS}
        )
        contender.reset(stage)
        process = start(contender, stage)
    try:
        for label, rate in rates(course.rates, capacity).items():
            schedule = Schedule(rate, course.warmup_s, course.measured_s)
            results[label] = one = _run(stage, contender, process, schedule, course.linger_ms, templates)
            _tell(contender.name if contender else ECHO, label, one)
            if one["faults"]:
                break
    finally:
        if process:
            stop(process)
    return results


def _tell(name: str, label: str, one: Mapping[str, Any]) -> None:
    told = ", ".join(one["faults"]) or f"p50 {one['p50']} ms, p99 {one['p99']} ms, p99.9 {one['p999']} ms"
    print(f"\rlatency, {name} at {label} ({one['rate']:,} events/s): {told}", file=sys.stderr)


def _run(
    stage: Stage,
    contender: Contender | None,
    process: "subprocess.Popen[bytes] | None",
    schedule: Schedule,
    linger_ms: int,
    templates: Templates,
) -> dict[str, Any]:
    result = stage.folder / "latency.bin"
    topics = (ECHO_TOPIC, ECHO_TOPIC) if contender is None else (BANK_TRANSACTIONS, contender.output_topic)
    command = jvm.command(
        *("streams", ["LoadGenerator.java"]),
        *(stage.cluster.bootstrap, *topics, str(templates.file), str(result)),
        *(str(schedule.rate), str(schedule.events), str(linger_ms)),
        jvm=GENERATOR_JVM,
    )
    meter = Meter(process.pid) if process else None
    before, began = _cpu(meter), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=RESULT_LIMIT_S, check=False)
    cores = (_cpu(meter) - before) / (time.monotonic() - began)
    if done.returncode != 0:
        said = "it answered no probe" if done.returncode == ANSWERED_NOTHING else done.stderr.strip()
        tail = log_tail(contender, stage) if contender else ""
        return {**_nothing(schedule.rate), "faults": [f"{said}\n{tail}".strip()], "cores": cores}
    report = json.loads(done.stdout.splitlines()[-1])
    arrivals = read_arrivals(result.read_bytes(), report)
    result.unlink()
    wrong = faults(arrivals, templates.notifies, is_echo=contender is None or contender.is_floor)
    return {**figures(schedule, arrivals, templates.notifies), "faults": wrong, "cores": cores}


def _nothing(rate: int) -> dict[str, Any]:
    """The figures of a run that came to nothing."""
    schedule = Schedule(1, 0, 1)
    empty = figures(
        schedule,
        read_arrivals(struct.pack(">ii", -1, 0), {"duplicates": 0, "strangers": 0, "drain_s": 0.0}),
        b"\1",
    )
    return {**empty, "rate": rate}


def _cpu(meter: Meter | None) -> float:
    """CPU seconds of a contender so far; 0 if it is not there (any more)."""
    try:
        return meter.sample() if meter else 0.0
    except psutil.NoSuchProcess:
        return 0.0


def write_templates(file: Path) -> Templates:
    """Write the events that the generator sends in turn.

    Each is, big-endian: partition (int), 1 if it must be notified, or 2 if it also serves as
    its partition's probe (byte), place of the time in its value
    (int), and key and value, each after its length (int).
    """
    work = Workload(TEMPLATES, time.time_ns() // 10**6)
    notifies = bytes(work.notification_id(number) is not None for number in range(TEMPLATES))
    probes = _probes(work, notifies)
    with file.open("wb") as out:
        for number, (key, value) in enumerate(work.messages()):
            partition = work.partition_of_account[work.accounts[number]]
            told = notifies[number] + (number in probes)
            head = struct.pack(">ibii", partition, told, TIME_AT + 1 + len(key), len(key))
            out.write(head + key + struct.pack(">i", len(value)) + value)
    return Templates(file, notifies)


def _probes(work: Workload, notifies: bytes) -> set[int]:
    """Choose an event of each partition's last granted subject: who answers it has read all grants before."""
    last: dict[int, int] = {}
    for number in range(work.events):
        partition = work.partition_of_account[work.accounts[number]]
        if notifies[number] and work.accounts[number] > work.accounts[last.get(partition, number)] - 1:
            last[partition] = number
    return set(last.values())


@contextmanager
def _stage(folder: Path, contenders: Iterable[Contender]) -> Iterator[Stage]:
    """A broker with consents that the contenders have loaded."""
    with start_broker(folder / "latency-broker", fresh=True, partitions=PARTITIONS) as broker:
        stage = Stage(Cluster(broker.bootstrap), folder)
        stage.cluster.create({topic.name: topic.config for topic in TOPICS})
        stage.cluster.fill(CONSENT_REQUESTS, Workload(0, time.time_ns() // 10**6).grants(), lambda _: None)
        for contender in contenders:
            contender.load(stage)
        _warm(stage, contenders)
        yield stage


def _warm(stage: Stage, contenders: Iterable[Contender]) -> None:
    """Let the broker's own code be compiled, or who comes first would pay for it: for each way of writing."""
    templates = write_templates(stage.folder / "templates.bin")
    course = Course((WARM_RATE,), 0, WARMUP_S)
    for contender in (None, *contenders):
        _one(stage, contender, course, None, templates)


def capacities_of(
    known: Mapping[str, Mapping[str, Any]], contenders: Iterable[Contender]
) -> dict[str, float]:
    """Take the throughput of contenders, events/s, from the figures of a throughput run by name.

    Those tuned for latency have that of their namesake.
    """
    named = {one.name: known.get(one.name.removesuffix(LOW_LATENCY)) for one in contenders}
    return {name: figures["events_per_s"] for name, figures in named.items() if figures}


def _capacities(stage: Stage, contenders: Iterable[Contender]) -> dict[str, float]:
    """Measure throughput briefly, as `python -m bench --quick` does."""
    work = Workload(CAPACITY_PLAN.events, time.time_ns() // 10**6)
    stage.cluster.fill(BANK_TRANSACTIONS, work.messages(), lambda _: None)
    judge, found = Judge(work), {}
    for contender in (one for one in contenders if not one.is_floor):
        one = run_round(contender, stage, CAPACITY_PLAN, judge, progress_line)
        print(f"\rthroughput, {contender.name}: {one.events_per_s:,.0f} events/s", file=sys.stderr)
        if one.faults:
            raise SystemExit(f"{contender.name}: {'; '.join(one.faults)}")
        found[contender.name] = one.events_per_s
    return found
