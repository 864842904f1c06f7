"""How long `notifier explain` takes with many decisions: without an index, while it is filled, and with it.

Writes decisions directly, as workers would have, a thousand to a record, then runs the command as a person
does and times it, its start included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.cluster import Cluster
from bench.report import commit, machine, progress_line, write_json
from streams.core.codes import Fate, Kind
from streams.kafka.broker import start_broker
from streams.wire.codec import DecisionBatch, DecisionRow, FateCount, InputRange, encode_decision_batch
from streams.wire.topics import BANK_TRANSACTIONS, DECISIONS, TOPICS

COMMAND = "explain"
ROWS = 1_000
WANTED_S = 1.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(COMMAND, help="time explaining among many decisions", description=__doc__)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure and tell; 0 if it took at most WANTED_S with the index, else 1."""
    batches = max(1, arguments.decisions // ROWS)
    asked = f"event-{batches // 2}-{ROWS // 2}"
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as scratch,
        start_broker(Path(scratch) / "broker", fresh=True, partitions=1) as broker,
    ):
        cluster = Cluster(broker.bootstrap)
        cluster.create({topic.name: topic.config for topic in TOPICS})
        told = lambda done: progress_line("publishing", done, batches)  # noqa: E731 - a label
        cluster.fill(DECISIONS, _records(batches), told)
        os.environ["NOTIFIER_HOME"] = scratch
        times = {}
        for name, options in (
            ("without_index_s", []),
            ("filling_s", ["--index"]),
            ("with_index_s", ["--index"]),
        ):
            began = time.monotonic()
            command = [sys.executable, "-m", "streams.cli", "explain", asked, "--json", *options]
            done = subprocess.run(
                [*command, "--kafka", broker.bootstrap], capture_output=True, text=True, check=False
            )
            times[name] = round(time.monotonic() - began, 2)
            assert json.loads(done.stdout)[0]["outcome"] == "notified", done.stdout + done.stderr
        size = sum(path.stat().st_size for path in (Path(scratch) / "index").iterdir())
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    summary = {
        "decisions": batches * ROWS,
        **times,
        "index_mb": round(size / 1e6, 1),
        "peak_rss_mb": round(peak_mb, 1),
        "machine": machine(),
        "commit": commit(),
    }
    print(json.dumps(summary, indent=1))
    if arguments.out:
        write_json(summary, arguments.out)
    return 0 if times["with_index_s"] <= WANTED_S else 1


def _records(batches: int) -> Iterator[tuple[bytes, bytes]]:
    for number in range(batches):
        first = number * ROWS
        rows = tuple(_row(number, first, row) for row in range(ROWS))
        read = InputRange(BANK_TRANSACTIONS, first, first + ROWS - 1, first + ROWS, ROWS)
        counts = (FateCount(Fate.NOTIFY, None, Kind.RECEIPT, ROWS),)
        value, _ = encode_decision_batch(
            DecisionBatch(0, (read,), 0, 1_800_000_000_000 + number, "p", counts, (), rows), None
        )
        yield b"0", value


def _row(number: int, first: int, row: int) -> DecisionRow:
    notification_id = f"{number:08d}-0000-5000-8000-{row:012d}"
    return DecisionRow(
        BANK_TRANSACTIONS, first + row, f"event-{number}-{row}", "A" * 22, Fate.NOTIFY, None, "notify",
        Kind.RECEIPT, f"consent:{row}", 1, notification_id, "B" * 22,
    )  # fmt: skip
