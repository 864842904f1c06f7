"""Growth curves of the worker: what more consents, subjects, partitions, bytes or another codec cost.

One thing grows while the rest stays as `python -m bench` has it. Every point has a broker of its own and is
judged as the throughput run is. Consents are there as a worker before would have left them, in
`consent.state`: start-up is their restore. Which values, and the fitted cost: `bench/growth_figures.py`.
The page: docs/benchmarks/README.md.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from bench.cluster import Cluster
from bench.contender import Contender, Stage
from bench.contenders import ours
from bench.growth_figures import USUAL_BYTES, Curve, Point, cost_ns, curves, fit
from bench.judge import Judge
from bench.plots import plot_growth
from bench.report import commit, machine, progress_line, write_json
from bench.rounds import Plan, Round, run_round
from bench.workload import VALID_MS, Workload, policy_of, subject_of, user_of
from streams.core.codes import DetailLevel, Direction, Purposes
from streams.core.consent import Consent, ConsentState, Holder, Preferences
from streams.kafka.broker import start_broker
from streams.settings import Settings
from streams.wire.codec import encode_consent_state
from streams.wire.topics import BANK_TRANSACTIONS, CONSENT_STATE, TOPICS

COMMAND = "growth"
FULL = Plan(events=3_000_000, warmup_events=1_000_000, rounds=3, limit_s=120.0)
QUICK = Plan(events=900_000, warmup_events=260_000, rounds=1, limit_s=30.0)
BYTES_AT_MOST = 2_000_000_000
"""Of one point's values: large values come in fewer events."""
LEAP_BYTES = 8_000_000
"""About what one partition has waiting for a transaction, of large values."""
WARMUP_LEAPS = 2
TIMED_LEAPS = 5
MAX_SUBJECTS = {"full": 10_000_000, "quick": 1_000_000}
NAMES = tuple(curve.name for curve in curves(0))
KEPT = (*ours.INPUTS, CONSENT_STATE)


def _reset(stage: Stage) -> None:
    """Forget what an earlier round decided: only the events and the consents stay."""
    stage.cluster.forget_group(ours.GROUP)
    stage.cluster.recreate({topic.name: topic.config for topic in TOPICS if topic.name not in KEPT})


CONTENDERS = {contender.name: replace(contender, reset=_reset) for contender in ours.CONTENDERS}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        COMMAND, help="what grows with consents, subjects, bytes", description=__doc__
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help=f"{FULL.events:,} events, 3 rounds (default)")
    how.add_argument(
        "--quick", action="store_true", help=f"{QUICK.events:,} events, 1 round, about 10 minutes"
    )
    parser.add_argument("--curve", action="append", choices=NAMES, help="may be repeated; all by default")
    parser.add_argument("--contender", choices=CONTENDERS, default="ours-exactly-once")
    parser.add_argument("--max-subjects", type=int, metavar="N", help="where the powers of ten end")
    parser.add_argument("--events", type=int, help="events of a point, warm-up included")
    parser.add_argument("--rounds", type=int, help="rounds of a point")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw growth-CURVE.png in there")


def run(arguments: argparse.Namespace) -> int:
    """Measure and tell; 0 if every output was right, else 1."""
    scale = "quick" if arguments.quick else "full"
    plan = _plan(QUICK if arguments.quick else FULL, arguments.events, arguments.rounds)
    contender = CONTENDERS[arguments.contender]
    chosen = curves(arguments.max_subjects or MAX_SUBJECTS[scale])
    chosen = tuple(curve for curve in chosen if not arguments.curve or curve.name in arguments.curve)
    measured: dict[Point, dict[str, Any]] = {}
    for curve in chosen:
        for point in curve.points:
            if point not in measured:
                measured[point] = one = _measure(point, contender, plan)
                _tell(curve, point, one)
    summary = {
        "curves": {curve.name: _summed_up(curve, measured) for curve in chosen},
        "contender": contender.name,
        "settings": {**plan._asdict(), "scale": scale},
        "machine": machine(),
        "commit": commit(),
        "valid": not any(one["faults"] for one in measured.values()),
    }
    print(growth_table(summary))
    if arguments.out:
        write_json(summary, arguments.out)
    if arguments.plots:
        draw(summary, arguments.plots)
    return 0 if summary["valid"] else 1


def _plan(plan: Plan, events: int | None, rounds: int | None) -> Plan:
    """Scale a plan to as many events; a fifth and more of them warm up."""
    wanted = events or plan.events
    warmup = plan.warmup_events * wanted // plan.events
    return plan._replace(events=wanted, warmup_events=warmup, rounds=rounds or plan.rounds)


def plan_of(point: Point, plan: Plan) -> Plan:
    """Give large values fewer events, so that a point fits the disk, and many partitions more.

    All partitions start with a batch each and commit them together: progress moves in leaps of all of them
    until they fall out of step, which the warm-up must see and the timed events must dwarf.
    """
    plan = _plan(plan, min(plan.events, BYTES_AT_MOST // point.value_bytes), None)
    leap = point.partitions * min(Settings().batch_max_records, LEAP_BYTES // point.value_bytes)
    warmup = max(plan.warmup_events, WARMUP_LEAPS * leap)
    events = warmup + max(plan.events - plan.warmup_events, TIMED_LEAPS * leap)
    longer = max(events / plan.events, 1.0)
    return plan._replace(events=events, warmup_events=warmup, limit_s=plan.limit_s * longer)


def _measure(point: Point, contender: Contender, plan: Plan) -> dict[str, Any]:
    plan = plan_of(point, plan)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as scratch,
        start_broker(Path(scratch) / "broker", fresh=True, partitions=min(point.partitions, 4)) as broker,
    ):
        stage = Stage(Cluster(broker.bootstrap, point.partitions), Path(scratch))
        stage.cluster.create({topic.name: topic.config for topic in TOPICS})
        work = _workload(point, plan.events)
        stage.cluster.fill(CONSENT_STATE, consents(work), lambda _: None)
        stage.cluster.fill(
            BANK_TRANSACTIONS,
            work.messages(),
            lambda done: progress_line("publishing", done, plan.events),
            codec=point.codec,
        )
        judge = Judge(work)
        rounds = [run_round(contender, stage, plan, judge, progress_line) for _ in range(plan.rounds)]
    return _figures(rounds)


def _workload(point: Point, events: int) -> Workload:
    return Workload(
        events,
        time.time_ns() // 10**6,
        consented_share=point.consented_share,
        subjects=point.subjects,
        partitions=point.partitions,
        value_bytes=None if point.value_bytes == USUAL_BYTES else point.value_bytes,
    )


def consents(work: Workload) -> Iterator[tuple[bytes, bytes]]:
    """Give key and value of the consent state of every subject of a workload that consented."""
    for account in sorted(work.consented):
        policy = policy_of(account)
        consent = Consent(
            consent_id=f"consent:{account:07d}",
            version=1,
            purposes=Purposes.RECEIPT | (Purposes.BALANCE if policy.has_balance else Purposes(0)),
            detail_level=DetailLevel(policy.detail_level),
            direction=Direction.BOTH,
            channel_ref=f"psid:{account:07d}",
            effective_at=work.base_ms - 1,
            valid_until=work.base_ms + VALID_MS,
            revoked_at=None,
            notice_id="notice-1",
            notice_hash="0" * 64,
            locale="de-DE",
            timezone="Europe/Berlin",
            preferences=Preferences(min_amount_minor=policy.min_amount_minor),
        )
        state = ConsentState(subject_of(account), (Holder(user_of(account), (consent,)),), request_offset=-1)
        yield subject_of(account).encode(), encode_consent_state(state)


def _figures(rounds: Sequence[Round]) -> dict[str, Any]:
    """Sum up the rounds of a point: medians, and the range of the cost."""
    costs = [cost_ns(one.events_per_cpu_s) for one in rounds]
    return {
        "events_per_s": round(median(one.events_per_s for one in rounds)),
        "events_per_cpu_s": round(median(one.events_per_cpu_s for one in rounds)),
        "cpu_ns_per_event": round(median(costs), 1),
        "cpu_ns_per_event_range": [round(min(costs), 1), round(max(costs), 1)],
        "peak_rss_mb": round(max(one.peak_rss_mb for one in rounds), 1),
        "startup_s": round(median(one.startup_s for one in rounds), 2),
        "timed_events": [one.events for one in rounds],
        "faults": [fault for one in rounds for fault in one.faults],
    }


def _tell(curve: Curve, point: Point, one: Mapping[str, Any]) -> None:
    speed = f"{one['events_per_s']:,} events/s, {one['events_per_cpu_s']:,} per CPU second"
    verdict = f"INVALID: {'; '.join(one['faults'])}" if one["faults"] else "output right"
    print(f"\r{curve.name} {getattr(point, curve.name)}: {speed}, {verdict}", file=sys.stderr)


def _summed_up(curve: Curve, measured: Mapping[Point, Mapping[str, Any]]) -> dict[str, Any]:
    points = [{"x": getattr(point, curve.name), **measured[point]} for point in curve.points]
    right = {point["x"]: point["cpu_ns_per_event"] for point in points if not point["faults"]}
    return {"points": points, "fit": fit(curve.over, curve.unit, right)}


def growth_table(summary: Mapping[str, Any]) -> str:
    """Render the curves and their fitted costs for a terminal."""
    head = f"{'':<18}{'':>12}{'events/s':>12}{'events/CPU-s':>14}{'ns/event':>10}{'peak MB':>9}{'start s':>9}"
    lines = [head, "-" * len(head)]
    for name, curve in summary["curves"].items():
        for point in curve["points"]:
            lines.append(
                f"{name:<18}{point['x']:>12}{point['events_per_s']:>12,}{point['events_per_cpu_s']:>14,}"
                f"{point['cpu_ns_per_event']:>10,.0f}{point['peak_rss_mb']:>9,.0f}{point['startup_s']:>9.1f}"
            )
            lines += [f"INVALID: {fault}" for fault in point["faults"]]
        if curve["fit"]:
            lines.append(f"  an event costs {curve['fit']['text']}")
    return "\n".join(lines)


def draw(summary: Mapping[str, Any], folder: Path) -> None:
    """Draw every curve of a summary as `growth-CURVE.png`."""
    origin = f"{summary['contender']}, commit {summary['commit']}{'' if summary['valid'] else ' - INVALID'}"
    for curve in curves(0):
        if curve.name in summary["curves"]:
            path = folder / f"growth-{curve.name.replace('_', '-')}.png"
            plot_growth(summary["curves"][curve.name], curve, path, origin)
