"""One round of one contender: start it, time a window of its progress from outside, stop it, judge it."""

import time
from collections.abc import Callable
from subprocess import Popen
from typing import NamedTuple

import psutil

from bench.contender import Contender, Stage, log_tail, start, stop
from bench.judge import Judge
from streams.wire.topics import BANK_TRANSACTIONS

POLL_S = 0.1
STALL_S = 90.0
MIB = 1 << 20


class Plan(NamedTuple):
    """How long a round is; the limit counts from the end of the start-up, warm-up included."""

    events: int
    warmup_events: int
    rounds: int
    limit_s: float


class Round(NamedTuple):
    """What one round of one contender measured; `faults` is empty iff its output was right."""

    events: int
    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    startup_s: float
    is_cut: bool
    faults: tuple[str, ...]

    @property
    def events_per_s(self) -> float:
        """Throughput over the timed window; 0 if there was none."""
        return self.events / self.seconds if self.seconds else 0.0

    @property
    def events_per_cpu_s(self) -> float:
        """Throughput per second of user and system time of the process and its children."""
        return self.events / self.cpu_seconds if self.cpu_seconds else 0.0


class Mark(NamedTuple):
    """Where a contender was at one moment."""

    at: float
    events: int
    cpu_s: float


class Meter:
    """CPU and memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.peak_rss_mb = 0.0

    def sample(self) -> float:
        """Seconds of user and system time so far; remembers the highest memory seen."""
        cpu = rss = 0.0
        for process in (self._root, *self._root.children(recursive=True)):
            with process.oneshot():
                times = process.cpu_times()
                cpu += times.user + times.system
                rss += process.memory_info().rss
        self.peak_rss_mb = max(self.peak_rss_mb, rss / MIB)
        return cpu


Show = Callable[[str, int, int], None]


def run_round(contender: Contender, stage: Stage, plan: Plan, judge: Judge, show: Show) -> Round:
    """Time one contender from a clean start; `show` is told its name, events done and events wanted."""
    contender.reset(stage)
    stage.cluster.find_coordinator(contender.group, BANK_TRANSACTIONS)
    process = start(contender, stage)
    meter = Meter(process.pid)
    try:
        startup_s, first, last, is_cut, fault = _watch(contender, stage, plan, process, meter, show)
    except psutil.NoSuchProcess:
        startup_s, first, last, is_cut, fault = 0.0, Mark(0, 0, 0), Mark(0, 0, 0), False, "it ended"
    finally:
        stop(process)
    faults = [] if contender.is_floor else _judged(contender, stage, judge)
    if fault:
        faults.insert(0, f"{fault}:\n{log_tail(contender, stage)}")
    return Round(
        events=last.events - first.events,
        seconds=last.at - first.at,
        cpu_seconds=last.cpu_s - first.cpu_s,
        peak_rss_mb=meter.peak_rss_mb,
        startup_s=startup_s,
        is_cut=is_cut,
        faults=tuple(faults),
    )


def _judged(contender: Contender, stage: Stage, judge: Judge) -> list[str]:
    committed = stage.cluster.committed(contender.group, BANK_TRANSACTIONS)
    found = stage.cluster.notification_ids(contender.output_topic)
    return judge.faults(found, committed, is_exact=contender.is_exact)


def warmup_events(contender: Contender, plan: Plan) -> int:
    """How many events pass before the clock starts."""
    if contender.warmup_events is None:
        return plan.warmup_events
    return min(contender.warmup_events, plan.warmup_events)


def timed_events(contender: Contender, plan: Plan) -> int:
    """How many events are timed after that."""
    rest = plan.events - warmup_events(contender, plan)
    return rest if contender.timed_events is None else min(rest, contender.timed_events)


def _watch(
    contender: Contender, stage: Stage, plan: Plan, process: Popen[bytes], meter: Meter, show: Show
) -> tuple[float, Mark, Mark, bool, str]:
    """Poll the committed offsets until the window is full.

    Return start-up, the window's ends, whether the time limit cut it, and a fault.

    Both ends are moments at which the committed offsets had just moved, so that one that commits rarely
    is not charged for the wait until the next commit.
    """
    began = moved_at = time.monotonic()
    warmup, timed = warmup_events(contender, plan), timed_events(contender, plan)
    startup_s, first, last, is_cut = 0.0, None, Mark(began, 0, 0.0), False
    while last.events < plan.events and (first is None or last.events - first.events < timed):
        time.sleep(POLL_S)
        events = stage.cluster.progress(contender.group, BANK_TRANSACTIONS)
        now, cpu_s = time.monotonic(), meter.sample()
        if process.poll() is not None:
            return startup_s, first or last, last, False, "it ended"
        if events > last.events:
            moved_at = now
            startup_s = startup_s or now - began
            last = Mark(now, events, cpu_s)
            if first is None and events >= warmup:
                first = last
            show(contender.name, events, warmup + timed)
        elif now - moved_at > STALL_S:
            return startup_s, first or last, last, False, f"no progress in {STALL_S:.0f} s"
        if is_cut := bool(startup_s) and now - began - startup_s > plan.limit_s:
            break
    fault = "" if first else "the time limit came before the end of the warm-up"
    return startup_s, first or last, last, is_cut, fault
