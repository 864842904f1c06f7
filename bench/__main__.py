"""`python -m bench`: throughput of the contenders; `python -m bench consent-load`: restore of consents."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import consent_load, explain_load, growth, guard, latency
from bench.cluster import Cluster
from bench.contender import Contender, Stage
from bench.contenders import ALL
from bench.judge import Judge
from bench.plots import plot_latency, plot_throughput
from bench.report import progress_line, summarise, table, write_json
from bench.rounds import Plan, Round, run_round
from bench.workload import ACCOUNTS, CONSENTED_SHARE, PARTITIONS, Workload
from streams.errors import NotifierError
from streams.kafka.broker import start_broker
from streams.wire.topics import BANK_TRANSACTIONS, CONSENT_REQUESTS, TOPICS

FULL = Plan(events=5_000_000, warmup_events=2_000_000, rounds=3, limit_s=float("inf"))
QUICK = Plan(events=600_000, warmup_events=100_000, rounds=1, limit_s=40.0)
QUICK_PEERS = (
    "naive-faust",
    "kafka-streams-exactly-once-v2",
    "kafka-streams-at-least-once",
    "flink-exactly-once",
    "floor-aiokafka-consume",
)
MIN_FULL_EVENTS = FULL.events
SUBCOMMANDS = {
    consent_load.COMMAND: consent_load.run,
    latency.COMMAND: latency.run,
    explain_load.COMMAND: explain_load.run,
    growth.COMMAND: growth.run,
    guard.COMMAND: guard.run,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    consent_load.add_parser(commands)
    latency.add_parser(commands)
    explain_load.add_parser(commands)
    growth.add_parser(commands)
    guard.add_parser(commands)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help="5,000,000 events, 3 rounds (default)")
    how.add_argument("--quick", action="store_true", help="600,000 events, 1 round, some of the peers")
    parser.add_argument("--events", type=int, help=f"more events; --full takes at least {MIN_FULL_EVENTS:,}")
    parser.add_argument("--rounds", type=int, help="interleaved rounds")
    parser.add_argument(
        "--consented",
        type=_share,
        default=CONSENTED_SHARE,
        metavar="SHARE",
        help=f"share of accounts that gave consent, 0 to 1 (default {CONSENTED_SHARE:g})",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[one.name for one in ALL],
        metavar="CONTENDER",
        help=f"may be repeated: {', '.join(one.name for one in ALL)}",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the figures as JSON, and a PNG beside it"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the plot elsewhere")
    parser.add_argument(
        "--latency",
        action=argparse.BooleanOptionalAction,
        help="measure latency too, as `python -m bench latency` does (default with --full)",
    )
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep the contenders' logs")
    return parser


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return share


def chosen(only: Sequence[str] | None, *, is_quick: bool) -> list[Contender]:
    """The contenders of a run: those named; else all, or of a quick run ours and the main peers."""
    if only:
        return [one for one in ALL if one.name in only]
    if is_quick:
        return [one for one in ALL if one.name.startswith("ours-") or one.name in QUICK_PEERS]
    return list(ALL)


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = QUICK if arguments.quick else FULL
    events = arguments.events or plan.events
    if not arguments.quick and events < MIN_FULL_EVENTS:
        raise SystemExit(f"a full run takes at least {MIN_FULL_EVENTS:,} events; use --quick for fewer")
    return plan._replace(events=events, rounds=arguments.rounds or plan.rounds)


def _prepare(stage: Stage, plan: Plan, contenders: Sequence[Contender], consented: float) -> Workload:
    """Publish the consents, let contenders load them that must, then publish the events."""
    cluster = stage.cluster
    cluster.create({topic.name: topic.config for topic in TOPICS})
    grants = Workload(0, time.time_ns() // 10**6, consented_share=consented)
    cluster.fill(CONSENT_REQUESTS, grants.grants(), lambda _: None)
    for contender in contenders:
        contender.load(stage)
    work = Workload(plan.events, time.time_ns() // 10**6, consented_share=consented)
    wanted = plan.events
    cluster.fill(BANK_TRANSACTIONS, work.messages(), lambda done: progress_line("publishing", done, wanted))
    ends = cluster.ends(BANK_TRANSACTIONS)
    counted = [0] * PARTITIONS
    for account in work.accounts:
        counted[work.partition_of_account[account]] += 1
    if ends != counted:
        raise RuntimeError(
            f"{BANK_TRANSACTIONS} ends at {ends}, expected {counted}: the run cannot be judged"
        )
    return work


def _measure(
    plan: Plan, contenders: Sequence[Contender], folder: Path, consented: float
) -> dict[Contender, list[Round]]:
    results: dict[Contender, list[Round]] = {contender: [] for contender in contenders}
    with start_broker(folder / "broker", fresh=True, partitions=PARTITIONS) as broker:
        stage = Stage(Cluster(broker.bootstrap), folder)
        judge = Judge(_prepare(stage, plan, contenders, consented))
        for number in range(plan.rounds):
            for contender in contenders:
                one = run_round(contender, stage, plan, judge, progress_line)
                results[contender].append(one)
                verdict = _verdict(contender, one)
                print(
                    f"\rround {number + 1}, {contender.name}: {one.events_per_s:,.0f} events/s, {verdict}",
                    file=sys.stderr,
                )
    return results


def _verdict(contender: Contender, one: Round) -> str:
    if one.faults:
        return "INVALID"
    right = "nothing to judge" if contender.is_floor else "output right"
    return right if one.events else f"{right}, but too few events to time it"


def main() -> int:
    """Run what the arguments say; 0 if every output was right, 1 if one was not."""
    arguments = _parser().parse_args()
    if arguments.command:
        return SUBCOMMANDS[arguments.command](arguments)
    plan = _plan(arguments)
    contenders = chosen(arguments.only, is_quick=arguments.quick)
    if arguments.quick:
        print("quick run: fewer events and rounds than a figure worth quoting needs", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = arguments.logs or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        results = _measure(plan, contenders, folder, arguments.consented)
        settings = {
            "partitions": PARTITIONS,
            "accounts": ACCOUNTS,
            "consented": arguments.consented,
            "quick": arguments.quick,
        }
        summary = summarise(plan._replace(limit_s=min(plan.limit_s, 1e9)), results, settings)
        if arguments.latency or (arguments.latency is None and not arguments.quick):
            latency.add_to(summary, folder)
    print(table(summary))
    if arguments.out:
        write_json(summary, arguments.out)
    picture = arguments.plot or (arguments.out and arguments.out.with_suffix(".png"))
    if picture:
        plot_throughput(summary, picture)
        if "latency" in summary["settings"]:
            plot_latency(summary, picture.with_stem(f"{picture.stem}-latency"))
    if not summary["valid"]:
        print("INVALID: a contender's output is wrong; no figure of this run counts", file=sys.stderr)
    return 0 if summary["valid"] else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotifierError as error:
        print(f"bench: {error.message}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
