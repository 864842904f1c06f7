"""`python -m tests.chaos run S2 S8 --seed 1`, then `report`, then `check`; see docs/reliability/README.md."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from bench.report import commit
from tests.chaos.peers import PEERS, run_peer
from tests.chaos.report import invalid, is_clean, read, report
from tests.chaos.run import run
from tests.chaos.scenarios import SCENARIOS

LOGS = Path("docs/reliability/logs")
CALIBRATION = "kafka-streams-exactly-once-v2"
REPORT = Path("docs/reliability/report.json")


def main(arguments: list[str]) -> int:
    """Run, report or check; 0 if nothing was found."""
    options = _parser().parse_args(arguments)
    code: int = options.act(options)
    return code


def _run(options: argparse.Namespace) -> int:
    """Run scenarios; one whose log is there already is left out with --resume."""
    code = 0
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as scratch:
        for name in options.scenarios or SCENARIOS:
            log = options.out / f"{name}-{options.guarantee}-{options.seed}.jsonl"
            if options.resume and log.exists():
                continue
            began = time.monotonic()
            run(name, options.seed, options.share, Path(scratch), options.guarantee)
            options.out.mkdir(parents=True, exist_ok=True)
            log.write_bytes((Path(scratch) / log.name).read_bytes())
            found = report([[json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]])
            code = max(code, _tell(name, found, time.monotonic() - began))
    return code


def _tell(name: str, found: dict[str, object], seconds: float) -> int:
    is_good = is_clean(found)
    told = {
        key: value
        for key, value in found.items()
        if value and key not in ("scenarios", "upper_bounds_95", "commit", "runs")
    }
    print(f"{name}: {'ok' if is_good else 'FAILED'} after {seconds:.0f} s: {json.dumps(told)}")
    return 0 if is_good else 1


def _report(options: argparse.Namespace) -> int:
    found = report(read(options.logs))
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
    return 0 if is_clean(found) else 1


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
    is_good = found == stated and is_clean(found)
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
    running.add_argument("--seed", type=int, default=1)
    running.add_argument("--share", type=float, default=1.0, help="of each scenario's faults")
    running.add_argument("--guarantee", choices=("exactly_once",), default="exactly_once")
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
    reporting.set_defaults(act=_report)
    checking = acts.add_parser("check", help="count the report's figures again from its logs")
    checking.add_argument("--logs", type=Path, default=LOGS)
    checking.add_argument("--report", type=Path, default=REPORT)
    checking.set_defaults(act=_check)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
