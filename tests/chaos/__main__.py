"""`python -m tests.chaos run S2 S8 --seed 1`, then `report`, then `check`; see docs/reliability/README.md."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.report import commit
from tests.chaos.peers import PEERS, run_peer
from tests.chaos.report import invalid, is_clean, lines_of, peers_table, read, report, table
from tests.chaos.run import cannot, run
from tests.chaos.scenarios import SCENARIOS

LOGS = Path("docs/reliability/logs")
CALIBRATION = "kafka-streams-exactly-once-v2"
REPORT = Path("docs/reliability/report.json")
PAGE = Path("docs/reliability/README.md")
OTHERS, README = Path("docs/reliability/peers.json"), Path("README.md")
BEGIN, END = "<!-- written by `make verify-full` -->\n\n", "\n<!-- to here -->"
BEGIN_PEERS = "<!-- written by `make verify-full` from docs/reliability/peers.json -->\n\n"


def main(arguments: list[str]) -> int:
    """Run, report or check; 0 if nothing was found."""
    for number in (signal.SIGINT, signal.SIGTERM):  # what was started is ended, in the background too
        signal.signal(number, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    code: int = options.act(options)
    return code


def _run(options: argparse.Namespace) -> int:
    """Run scenarios; one whose log is there already is left out with --resume."""
    wanted = [(name, seed) for seed in options.seed for name in options.scenarios or SCENARIOS]
    left = [one for one in wanted if not (options.resume and _log_of(options, *one).exists())]
    possible = [(name, seed) for name, seed in left if _can(name)]
    is_short = len(possible) < len(left) and os.environ.get("CI") == "true"
    if options.jobs > 1:
        return _run_beside(options, possible) or int(is_short)
    return max((_run_one(options, name, seed) for name, seed in possible), default=int(is_short))


def _log_of(options: argparse.Namespace, name: str, seed: int) -> Path:
    path: Path = options.out / f"{name}-{options.guarantee}-{seed}.jsonl"
    return path


def _can(name: str) -> bool:
    """Tell whether a scenario can be shown here; say so if it cannot."""
    why = cannot(SCENARIOS[name])
    if why:
        print(f"{name}: LEFT OUT: {why}", flush=True)
    return not why


def _run_one(options: argparse.Namespace, name: str, seed: int) -> int:
    """Run one; 1 if it found something, or did not come to its end."""
    log, began = _log_of(options, name, seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as scratch:
        try:
            run(name, seed, options.share, Path(scratch), options.guarantee)
        except Exception:  # noqa: BLE001 - the next scenario is another matter
            print(f"{name} seed {seed}: RAISED\n{traceback.format_exc()}", flush=True)
            return 1
        options.out.mkdir(parents=True, exist_ok=True)
        log.write_bytes((Path(scratch) / log.name).read_bytes())
    found = report([lines_of(log)])
    return _tell(f"{name} seed {seed}", found, time.monotonic() - began)


def _run_beside(options: argparse.Namespace, wanted: Sequence[tuple[str, int]]) -> int:
    """Run several at a time, each in a process of its own; 1 if one of them found something."""
    processes: set[subprocess.Popen[bytes]] = set()

    def run_one(one: tuple[str, int]) -> int:
        name, seed = one
        command = [
            sys.executable, "-m", "tests.chaos", "run", name, "--seed", str(seed), "--share",
            str(options.share), "--guarantee", options.guarantee, "--out", str(options.out),
        ]  # fmt: skip
        process = subprocess.Popen(command, start_new_session=True)  # Ctrl-C is ours to pass on, once
        processes.add(process)
        return process.wait()

    with ThreadPoolExecutor(options.jobs) as runners:
        try:
            return max((int(code != 0) for code in runners.map(run_one, wanted)), default=0)
        except KeyboardInterrupt:
            runners.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.send_signal(signal.SIGINT)  # it ends what it has started
            raise


def _tell(name: str, found: dict[str, object], seconds: float) -> int:
    is_good = is_clean(found)
    told = {
        key: value
        for key, value in found.items()
        if value and key not in ("scenarios", "upper_bounds_95", "commit", "runs", "seed", "missing")
    }
    print(f"{name}: {'ok' if is_good else 'FAILED'} after {seconds:.0f} s: {json.dumps(told)}", flush=True)
    return 0 if is_good else 1


def _report(options: argparse.Namespace) -> int:
    """Write the report, and its table into the page."""
    found = report(read(options.logs))
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
    text = options.page.read_text(encoding="utf-8")
    options.page.write_text(_with_table(text, BEGIN, table(found)), encoding="utf-8")
    of_peers = peers_table(json.loads(options.peers.read_text(encoding="ascii")))
    for page in (options.page, README):
        text = page.read_text(encoding="utf-8")
        page.write_text(_with_table(text, BEGIN_PEERS, of_peers), encoding="utf-8")
    return 0 if is_clean(found) else 1


def _with_table(page: str, begin: str, made: str) -> str:
    """Return a page with this table between its two marks."""
    before, rest = page.split(begin)
    return before + begin + made + END + ("\n" + rest).split(END, 1)[1]


def _check(options: argparse.Namespace) -> int:
    """Count everything again from the logs, and compare with the report that is committed."""
    logs = read(options.logs)
    found, stated = report(logs), json.loads(options.report.read_text(encoding="ascii"))
    for name in sorted(found.keys() | stated.keys()):
        if found.get(name) != stated.get(name):
            print(f"{options.report}: {name} is not what the logs say", file=sys.stderr)
    for log in logs:
        for why in invalid(log):
            print(f"INVALID: {why}", file=sys.stderr)
    is_shown = table(found) in options.page.read_text(encoding="utf-8")
    if not is_shown:
        print(f"{options.page}: its table is not what the logs say", file=sys.stderr)
    of_peers = peers_table(json.loads(options.peers.read_text(encoding="ascii")))
    for page in (options.page, README):
        if of_peers not in page.read_text(encoding="utf-8"):
            print(f"{page}: its table of other programs is not what {options.peers} says", file=sys.stderr)
            is_shown = False
    is_good = found == stated and is_shown and is_clean(found)
    verdict = "holds" if is_good else "does not hold"
    print(f"{len(logs)} logs, {found['records']:,} records: the report {verdict}")
    return 0 if is_good else 1


def _peers(options: argparse.Namespace) -> int:
    """Run other programs under faults; one line each. 1 if the calibration was found guilty."""
    lines = []
    for name in options.peers or PEERS:
        lines.append(run_peer(name, options.kills, options.broker_kills, options.seed))
        print(json.dumps(lines[-1]), flush=True)
    if options.out:
        told = {"commit": commit(), "seed": options.seed, "peers": lines}
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="ascii")
    return int(any(line["peer"] == CALIBRATION and (line["missing"] or line["twice"]) for line in lines))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    acts = parser.add_subparsers(required=True)
    running = acts.add_parser("run", help="run scenarios, all of them unless named")
    running.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], metavar="SCENARIO")
    running.add_argument("--seed", type=int, nargs="+", default=[1])
    running.add_argument("--jobs", type=int, default=1, help="scenarios at a time; two for two cores")
    running.add_argument("--share", type=float, default=1.0, help="of each scenario's faults")
    running.add_argument("--guarantee", choices=("exactly_once", "at_least_once"), default="exactly_once")
    running.add_argument("--out", type=Path, default=Path("build/chaos"), help="folder of the logs")
    running.add_argument("--resume", action="store_true", help="leave out what has a log already")
    running.set_defaults(act=_run)
    others = acts.add_parser("peers", help="other programs under kills of them and of the broker")
    others.add_argument("peers", nargs="*", choices=[*PEERS, []], metavar="PEER")
    others.add_argument("--kills", type=int, default=10)
    others.add_argument("--broker-kills", type=int, default=3)
    others.add_argument("--seed", type=int, default=1)
    others.add_argument("--out", type=Path, metavar="FILE", help="write what was found as JSON")
    others.set_defaults(act=_peers)
    reporting = acts.add_parser("report", help="write the report of the logs in a folder")
    reporting.add_argument("--logs", type=Path, default=LOGS)
    reporting.add_argument("--out", type=Path, default=REPORT)
    reporting.add_argument("--page", type=Path, default=PAGE, help="has the report's table")
    reporting.add_argument("--peers", type=Path, default=OTHERS, help="what `peers --out` wrote")
    reporting.set_defaults(act=_report)
    checking = acts.add_parser("check", help="count the report's figures again from its logs")
    checking.add_argument("--logs", type=Path, default=LOGS)
    checking.add_argument("--report", type=Path, default=REPORT)
    checking.add_argument("--page", type=Path, default=PAGE, help="has the report's table")
    checking.add_argument("--peers", type=Path, default=OTHERS, help="what `peers --out` wrote")
    checking.set_defaults(act=_check)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
