"""Guards against a slower worker: the tree of a commit before and this one take turns over the same events.

Old and new run in the order A B B A, `notifier worker` with its defaults, progress read from the committed
offsets; a second pair of rounds decides where the first two say "slower". Compared are events per CPU second,
which other work on the machine disturbs least. `--against HEAD~1` is what CI asks.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.cluster import Cluster
from bench.contender import ROOT, Contender, Stage
from bench.contenders import ours
from bench.judge import Judge
from bench.rounds import Plan, Round, run_round
from bench.workload import PARTITIONS, Workload
from streams.kafka.broker import start_broker
from streams.wire.topics import BANK_TRANSACTIONS, CONSENT_REQUESTS, TOPICS

COMMAND = "guard"
RATIO = 0.7
"""Below this share of the old tree's events per CPU second the guard fails; rounds differ by a fifth."""
EVENTS = 2_000_000
WARMUP_EVENTS = 100_000
ROUND_LIMIT_S = 9.0
"""Of a round after its start-up: the interpreted kernel does a quarter of the events and is cut there."""
BUDGET_S = 90.0
"""Once both trees have run, no round is started that would not end within this time of the guard's start."""
ORDER = "ABBA"
AGAIN = "AB"
BASE = "ours-exactly-once"


class Verdict(NamedTuple):
    """What the rounds say."""

    is_slower: bool
    line: str


class Unjudged(Judge):
    """Finds no fault: other tests look at the output, and reading it takes the time that rounds need."""

    def __init__(self) -> None:
        """Know nothing."""

    def faults(self, found: Iterable[str], committed: Sequence[int], *, is_exact: bool) -> list[str]:  # noqa: ARG002 - the judge's signature
        """Return no fault. Never raises."""
        return []


def verdict(old: Sequence[float], new: Sequence[float], ratio: float = RATIO) -> Verdict:
    """Compare the medians of two trees' rounds.

    Args:
        old: Events per CPU second of the old tree, one a round; not empty.
        new: The same of this tree.
        ratio: The least share of the old figure that the new one may be.

    Returns:
        Whether it is slower than that, and a line with both figures and their ratio.
    """
    before, after = median(old), median(new)
    share = after / before
    is_slower = share < ratio
    line = (
        f"guard: {after:,.0f} events per CPU second, {before:,.0f} before: {share:.2f} times, "
        f"at least {ratio:g} wanted: {'SLOWER' if is_slower else 'fine'}"
    )
    return Verdict(is_slower, line)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        COMMAND, help="fail if this tree is slower than another", description=__doc__
    )
    parser.add_argument("--against", required=True, metavar="REF", help="commit to compare with")
    parser.add_argument("--patch", type=Path, metavar="FILE", help="change that commit by this patch first")
    parser.add_argument("--events", type=int, default=EVENTS, help="events of a round, warm-up included")
    parser.add_argument("--ratio", type=float, default=RATIO, help="least share of the old figure")
    parser.add_argument("--seconds", type=float, default=BUDGET_S, help="time for all of it")


def run(arguments: argparse.Namespace) -> int:
    """Compare; 1 if this tree is slower than the ratio allows, 0 if not or if nothing can be compared."""
    give_up_at = time.monotonic() + arguments.seconds
    commit = resolve(arguments.against)
    if commit is None:
        return _skip(f"{arguments.against} is no commit of this repository (a shallow clone?)")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        unpack(commit, folder / "old")
        if arguments.patch is not None and (why := patch(folder / "old", arguments.patch)):
            return _skip(why)
        trees = {"A": _contender("before", folder / "old"), "B": _contender("now", ROOT)}
        figures = _compare(trees, folder, arguments.events, arguments.ratio, give_up_at)
    if isinstance(figures, str):
        return _skip(figures)
    found = verdict(figures["A"], figures["B"], arguments.ratio)
    print(found.line)
    return int(found.is_slower)


def _skip(why: str) -> int:
    print(f"guard: NOTHING WAS COMPARED: {why}", file=sys.stderr)
    return 0


def resolve(reference: str) -> str | None:
    """Return the commit that a reference names, None if there is none here."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def unpack(commit: str, folder: Path) -> None:
    """Put a commit's files into a folder; a worktree would leave its name in the repository if killed."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", commit], capture_output=True, check=True
    )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def patch(folder: Path, change: Path) -> str:
    """Change the files in a folder by a patch; return why that cannot be done, else nothing."""
    command = ["patch", "-p1", "--no-backup-if-mismatch", "-i", str(change.resolve())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return f"{change} does not apply: {done.stdout.strip()}" if done.returncode else ""


def _contender(name: str, tree: Path) -> Contender:
    """Run a tree's worker: -P keeps the working folder off its path, PYTHONPATH puts the tree there."""
    base = next(one for one in ours.CONTENDERS if one.name == BASE)

    def command(bootstrap: str, folder: Path) -> Sequence[str]:
        python, *rest = base.command(bootstrap, folder)
        return [python, "-P", *rest]

    def environment(bootstrap: str) -> Mapping[str, str]:
        return {**base.environment(bootstrap), "PYTHONPATH": str(tree), "HOME": os.environ.get("HOME", "")}

    return replace(base, name=name, command=command, environment=environment)


def _compare(
    trees: Mapping[str, Contender], folder: Path, events: int, ratio: float, give_up_at: float
) -> dict[str, list[float]] | str:
    """Run the rounds; return events per CPU second of each tree, or why there is nothing to compare."""
    plan = Plan(events, events * WARMUP_EVENTS // EVENTS, rounds=1, limit_s=ROUND_LIMIT_S)
    figures: dict[str, list[float]] = {letter: [] for letter in trees}
    with start_broker(folder / "broker", fresh=True, partitions=PARTITIONS) as broker:
        stage = Stage(Cluster(broker.bootstrap), folder)
        _prepare(stage, events)
        for letter in _turns(figures, ratio):
            began = time.monotonic()
            one = run_round(trees[letter], stage, plan, Unjudged(), lambda *_: None)
            if fault := _fault(letter, one):
                return fault
            figures[letter].append(one.events_per_cpu_s)
            print(f"guard: {trees[letter].name}: {one.events_per_cpu_s:,.0f} per CPU second", file=sys.stderr)
            if all(figures.values()) and 2 * time.monotonic() - began > give_up_at:
                break
    return figures


def _turns(figures: Mapping[str, Sequence[float]], ratio: float) -> Iterator[str]:
    """Give whose turn it is: A B B A, and once more A B if that said "slower"."""
    yield from ORDER
    if verdict(figures["A"], figures["B"], ratio).is_slower:
        yield from AGAIN


def _fault(letter: str, one: Round) -> str:
    """Say why a round counts for nothing; this tree's worker must run.

    Raises:
        RuntimeError: It is this tree whose worker does not run.
    """
    if not one.faults and one.cpu_seconds > 0:
        return ""
    text = "; ".join(one.faults) or "it did nothing that could be timed"
    if letter == "B":
        raise RuntimeError(f"the worker of this tree does not run: {text}")
    return f"the tree before does not run here: {text}"


def _prepare(stage: Stage, events: int) -> None:
    stage.cluster.create({topic.name: topic.config for topic in TOPICS})
    now_ms = time.time_ns() // 10**6
    stage.cluster.fill(CONSENT_REQUESTS, Workload(0, now_ms).grants(), lambda _: None)
    stage.cluster.fill(BANK_TRANSACTIONS, Workload(events, now_ms).messages(), lambda _: None)
