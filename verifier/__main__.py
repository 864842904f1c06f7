"""`python -m verifier CHECK --kafka HOST:PORT --json`: prints what the topics show.

`conservation` is the quick one, `invariants` decides everything again with a model of its own, `follow` is a
reader to run beside a worker, whose notes `invariants --live` compares; `watch` serves figures to Prometheus;
`chain` looks at the hashes of the decisions alone. Exit 0: nothing was found, 1: something was, 3: no Kafka,
4: a file that was named cannot be used. VERIFIER_KAFKA_OPTIONS may hold librdkafka's options
as a JSON object.
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from verifier.chain import CheckpointError, check_chain, collect_chain, read_checkpoints
from verifier.conservation import Conservation, Report
from verifier.evidence import EVENT_TOPICS, REQUESTS
from verifier.export import export
from verifier.follow import follow, read_notes
from verifier.invariant import NAMES, SHOWN, Invariant, merged
from verifier.invariants import REMINDER_INTERVAL_S, check
from verifier.permission import permissions
from verifier.recording import record
from verifier.standing import standing
from verifier.topics import DEAD_LETTERS, DECISIONS, DELIVERY, Topics, UnreachableError, collect
from verifier.traces import accounting, personal_data

STATE_TOPICS = ("consent.state", "consent.results", "notifier.state")
OPTIONS_VARIABLE = "VERIFIER_KAFKA_OPTIONS"
UNUSABLE = 4
"""Exit code: a file that was named cannot be used."""


def main(arguments: list[str]) -> int:
    """Run one check. Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (UnreachableError, KafkaException) as error:
        sys.stderr.write(f"verifier: cannot read {options.kafka}: {error}\n")
        return 3
    return code


def _conservation(options: argparse.Namespace) -> int:
    report = _conserved(options)
    sys.stdout.write(json.dumps(report.as_json()) + "\n" if options.json else as_text(report))
    return 0 if report.is_conserved else 1


def _conserved(options: argparse.Namespace, decisions: str | None = None) -> Report:
    topics = Topics(options.kafka, kafka_options())
    try:
        evidence = collect(topics, decisions=decisions or options.decisions_topic)
    finally:
        topics.close()
    return Conservation(evidence, is_exactly_once=options.guarantee == "exactly_once").run()


def _invariants(options: argparse.Namespace) -> int:
    """Decide everything again; decisions are read before what they speak of."""
    report, recording = _conserved(options, DECISIONS), record(options.kafka, kafka_options())
    inputs, outputs = (*EVENT_TOPICS, REQUESTS), (DELIVERY, DECISIONS, DEAD_LETTERS, *STATE_TOPICS)
    after = standing(options.kafka, options.group, inputs, outputs, kafka_options())
    live = read_notes(options.live) if options.live else None
    pauses = json.loads(options.pauses.read_text(encoding="ascii")) if options.pauses else []
    is_exactly_once = options.guarantee == "exactly_once"
    found = check(
        recording, report, after, live, is_exactly_once=is_exactly_once, pauses=pauses,
        reminder_interval_s=options.reminder_interval,
    )  # fmt: skip
    if not is_exactly_once:
        found = merged([*found, *permissions(recording)])
    if options.texts and not options.canaries:
        options.refuse("--texts are looked through for --canaries: name that file too")
    if options.canaries:
        texts = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in options.texts}
        words = options.canaries.read_text(encoding="utf-8").splitlines()
        found.append(personal_data(recording, words, texts))
    if options.metrics:
        found.append(accounting(recording, [path.read_text(encoding="utf-8") for path in options.metrics]))
    shown = {one.name: one.as_json() for one in found}
    sys.stdout.write(json.dumps(shown) + "\n" if options.json else table(found))
    return 1 if any(one.violations for one in found) else 0


def _watch(options: argparse.Namespace) -> int:
    """Serve what is found to Prometheus until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def ready(port: int) -> None:
        sys.stderr.write(f"verifier: live figures at http://127.0.0.1:{port}/metrics\n")
        sys.stderr.flush()

    export(options.kafka, options.port, options.canary_every, stop.is_set, ready, kafka_options())
    return 0


def _chain(options: argparse.Namespace) -> int:
    topics = Topics(options.kafka, kafka_options())
    try:
        heads = None
        if options.checkpoints is not None:
            heads = read_checkpoints(options.checkpoints, options.key, topics.cluster_id())
        ends, batches = collect_chain(topics)
        report = check_chain(batches, ends, heads).as_json()
    except CheckpointError as error:
        sys.stderr.write(f"verifier: {error}\n")
        return UNUSABLE
    finally:
        topics.close()
    sys.stdout.write(json.dumps(report) + "\n" if options.json else chain_text(report))
    return int(bool(report["violations"]))


def chain_text(report: dict[str, Any]) -> str:
    """Return a report on the chain as lines for people."""
    lines = []
    for partition, one in report["partitions"].items():
        signed = one["signed_up_to"]
        vouched = "no checkpoint" if signed is None else f"signed up to {signed} at {one['signed_at']}"
        span = f"{one['batches']} batches from {one['from']} to {one['to']}"
        lines.append(f"{DECISIONS}/{partition}: {span}, {vouched}")
    return "\n".join([*lines, *report["violations"]]) + "\n"


def _follow(options: argparse.Namespace) -> int:
    """Note what is read until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    follow(options.kafka, options.out, stop.is_set, kafka_options())
    return 0


def kafka_options() -> dict[str, Any]:
    """Return librdkafka's options from the environment: a login has no place among arguments."""
    found: dict[str, Any] = json.loads(os.environ.get(OPTIONS_VARIABLE, "{}"))
    return found


def as_text(report: Report) -> str:
    """Return the report as lines for people."""
    shown = report.as_json()
    lines = [f"{name}: {shown[name]}" for name in shown if name != "violations"]
    return "\n".join([*lines, *shown["violations"]]) + "\n"


def table(found: Iterable[Invariant]) -> str:
    """Return invariants as lines for people: name, what was looked at, what was found, and what it says."""
    lines = []
    for one in found:
        lines.append(
            f"{one.name:>4} {one.checked:>9} looked at {len(one.violations):>6} found  {NAMES[one.name]}"
        )
        lines += [f"       {name} {value}" for name, value in one.figures.items()]
        lines += [f"       {violation}" for violation in one.violations[:SHOWN]]
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verifier", description="Checks a notifier from its topics alone.")
    checks = parser.add_subparsers(required=True, metavar="CHECK")
    conservation = checks.add_parser(
        "conservation", help="every record decided once, everything sent as decided"
    )
    conservation.add_argument(
        "--decisions-topic", default=DECISIONS, metavar="TOPIC", help="read decisions from here"
    )
    conservation.set_defaults(run=_conservation)
    invariants = checks.add_parser("invariants", help="I1 to I11: everything decided again, and compared")
    invariants.add_argument("--group", default="notifier", help="the worker's app id")
    invariants.add_argument("--live", type=Path, metavar="FILE", help="notes of `follow`, for I3")
    invariants.add_argument(
        "--pauses", type=Path, metavar="FILE", help="JSON list of [from, to] in UTC ms: not counted for I5"
    )
    invariants.add_argument(
        "--canaries",
        type=Path,
        metavar="FILE",
        help="planted in inputs, one value a line, for I14",
    )
    invariants.add_argument(
        "--texts", type=Path, nargs="+", default=[], metavar="FILE", help="logs and pages to look for them in"
    )
    invariants.add_argument(
        "--metrics", type=Path, nargs="+", metavar="FILE", help="each worker's last /metrics, for I15"
    )
    invariants.add_argument(
        "--reminder-interval", type=float, default=REMINDER_INTERVAL_S, metavar="SECONDS",
        help="of the workers, between looks for consents that end (3600): for notices that never came, of I6",
    )  # fmt: skip
    invariants.set_defaults(run=_invariants, refuse=invariants.error)
    for one in (conservation, invariants):
        one.add_argument("--guarantee", choices=("exactly_once", "at_least_once"), default="exactly_once")
        one.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    chain = checks.add_parser("chain", help="the hash chain of the decisions alone, whatever retention left")
    chain.add_argument("--checkpoints", type=Path, metavar="FILE", help="signed by `notifier checkpoint`")
    chain.add_argument("--key", type=Path, metavar="FILE", help="the public key of whoever signed them")
    chain.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    chain.set_defaults(run=_chain)
    following = checks.add_parser("follow", help="read what is told as it comes, until it is ended")
    following.add_argument("--out", type=Path, required=True, metavar="FILE", help="append notes here")
    following.set_defaults(run=_follow)
    watching = checks.add_parser("watch", help="serve figures of a running notifier to Prometheus")
    watching.add_argument("--port", type=int, default=6067, help="of /metrics on loopback; 0: a free one")
    watching.add_argument(
        "--canary-every", type=float, metavar="SECONDS", help="send canaries of subjects without consent"
    )
    watching.set_defaults(run=_watch)
    for one in (conservation, invariants, chain, following, watching):
        one.add_argument("--kafka", required=True, metavar="HOST:PORT")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
