"""Is every record decided exactly once, and is what was sent exactly what was decided?

Pure: from `Evidence` to `Report`, without I/O. The checks, each named in a violation: `coverage` (every
committed record in exactly one batch, ranges contiguous), `counts` (the counts a batch states are those of
its decisions), `notification` (one per NOTIFY decision, and no other), `notice` (one decision for each thing
that is told of a consent, in a batch that decides no record), `dead_letter` (one per REJECT, and no other),
`chain` (each hash follows from the one before), `readable` (our own topics can be read). Imports
`evidence` only. Read next: `topics.py`.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from verifier.evidence import EVENT_TOPICS, REQUESTS, Batch, Evidence, Log, Position, Told

FATES = ("REJECT", "DUPLICATE", "NOTIFY", "DIGEST", "DEFER", "SUPPRESS")
NOTICE = ("NOTIFY", "SERVICE", "consent_expires")
"""Outcome, kind and rule of every decision of a batch that tells of consents."""
HASH_BYTES = 66  # the last field, 64 hexadecimal characters after their length in two bytes
SHOWN_VIOLATIONS = 100

Fate = tuple[str, str | None, str | None]
Row = dict[str, Any]


@dataclass(slots=True)
class Report:
    """What the topics show. Violations name a check and a position, never a value."""

    violations: list[str] = field(default_factory=list)
    events: int = 0
    undecided: int = 0
    repeated: int = 0
    notices: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)

    @property
    def is_conserved(self) -> bool:
        """Whether nothing was found."""
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        """Return the report as `notifier demo` shows it; at most 100 violations, all of them counted."""
        told, suppressed, rejected = Counter[str](), Counter[str](), Counter[str]()
        duplicates = 0
        for (fate, reason, kind), count in sorted(self.fates.items(), key=str):
            match fate:
                case "NOTIFY":
                    told[str(kind)] += count
                case "SUPPRESS":
                    suppressed[str(reason)] += count
                case "REJECT":
                    rejected[str(reason)] += count
                case _:
                    duplicates += count
        return {
            "conserved": self.is_conserved,
            "violations": self.violations[:SHOWN_VIOLATIONS],
            "violation_count": len(self.violations),
            "events": self.events,
            "undecided": self.undecided,
            "repeated": self.repeated,
            "notices": self.notices,
            "notifications": dict(told),
            "suppressed": dict(suppressed),
            "dead_letters": dict(rejected),
            "duplicates": duplicates,
        }


class Conservation:
    """One run of the checks over one `Evidence`."""

    def __init__(self, evidence: Evidence, *, is_exactly_once: bool) -> None:
        """Take what was read; at_least_once may repeat batches and notifications and keeps no chain."""
        self._evidence = evidence
        self._is_exactly_once = is_exactly_once
        self._report = Report()
        self._next: dict[tuple[str, int], int] = {}
        self._heads: dict[int, str] = {}
        self._notify: dict[Position, list[Row]] = defaultdict(list)
        self._rejects: Counter[Position] = Counter()
        self._noticed: set[str] = set()
        self._times: dict[int, tuple[int, int]] = {}

    def run(self) -> Report:
        """Run every check. Returns the report; never raises for what the topics hold."""
        for position in self._evidence.unreadable:
            self._violation("readable", position, "cannot be read")
        for (topic, partition), log in self._evidence.logs.items():
            if self._evidence.is_from_start:
                self._next[topic, partition] = log.start
        for batch in self._evidence.batches:
            self._check_chain(batch)
            self._check_batch(batch)
        for (topic, partition), log in self._evidence.logs.items():
            decided = bisect_left(log.offsets, self._decided(topic, partition))
            self._report.undecided += len(log.offsets) - decided
        self._check_told()
        self._check_dead_letters()
        return self._report

    def _violation(self, check: str, position: Position, what: str) -> None:
        self._report.violations.append(f"{check}: {position}: {what}")

    def _decided(self, topic: str, partition: int) -> int:
        return self._next.get((topic, partition), 0)

    def _is_decided(self, position: Position) -> bool:
        return position.offset < self._decided(position.topic, position.partition)

    def _check_chain(self, batch: Batch) -> None:
        partition, previous, stated = (batch.value[name] for name in ("partition", "previous_hash", "hash"))
        if not self._is_exactly_once:
            return
        is_first = partition not in self._heads
        head = self._heads.get(partition, "")
        self._heads[partition] = stated
        if previous != head and not (is_first and not self._evidence.is_from_start):
            self._violation("chain", batch.position, "previous_hash is not the hash of the batch before")
        if stated != batch_hash(batch.body, previous):
            self._violation("chain", batch.position, "hash is not that of the batch")

    def _check_batch(self, batch: Batch) -> None:
        partition: int = batch.value["partition"]
        rows: dict[Position, list[Row]] = defaultdict(list)
        for row in batch.value["decisions"]:
            rows[Position(row["topic"], partition, row["offset"])].append(row)
        self._check_notices(batch, {one: rows.pop(one) for one in [*rows] if one.topic == REQUESTS})
        silent = self._silent_records(batch)
        fates: Counter[Fate] = Counter()
        for records, is_new in self._records(batch):
            for position in records:
                in_runs, decided = silent.pop(position, 0), rows.pop(position, [])
                times = in_runs + bool(decided)
                if times != 1:
                    self._violation("coverage", position, f"decided {times} times in {batch.position}")
                    continue
                fate = self._fate(position, decided)
                fates[fate] += 1
                if is_new:
                    self._report.fates[fate] += 1
                    self._report.events += 1
                else:
                    self._report.repeated += 1
                self._remember(position, decided, is_new=is_new)
        for position in [*silent, *rows]:
            self._violation("coverage", position, f"decided in {batch.position}, but no record of it")
        stated: Counter[Fate] = Counter()
        for count in batch.value["counts"]:
            stated[count["fate"], count["reason"], count["kind"]] += count["count"]
        if +stated != fates:
            self._violation("counts", batch.position, "the counts stated are not those of the decisions")

    def _check_notices(self, batch: Batch, notices: dict[Position, list[Row]]) -> None:
        value = batch.value
        first, last = self._times.get(value["partition"], (value["decided_at"],) * 2)
        self._times[value["partition"]] = min(first, value["decided_at"]), max(last, value["decided_at"])
        found = [(position, row) for position, rows in notices.items() for row in rows]
        others = value["inputs"] or value["counts"] or value["no_consent_runs"]
        if found and (others or len(found) < len(value["decisions"])):
            self._violation("notice", batch.position, "decides notices beside records")
        for position, row in found:
            if (row["outcome"], row["kind"], row["rule"]) != NOTICE:
                self._violation("notice", position, f"decided as no notice in {batch.position}")
            elif row["notification_id"] in self._noticed:
                self._violation("notice", position, f"decided again in {batch.position}")
            self._noticed.add(row["notification_id"])
            self._notify[position].append(row)
            self._report.notices += 1

    def _records(self, batch: Batch) -> list[tuple[list[Position], bool]]:
        """Return a batch's committed records by input, each with whether it is decided for the first time."""
        found = []
        for span in batch.value["inputs"]:
            topic, partition, after = span["topic"], batch.value["partition"], span["next_offset"]
            if topic not in EVENT_TOPICS:
                continue
            log = self._evidence.logs.get((topic, partition), Log(0, []))
            low = bisect_left(log.offsets, span["first_offset"])
            high = bisect_right(log.offsets, span["last_offset"])
            position = Position(topic, partition, span["first_offset"])
            due = self._next.get((topic, partition), span["first_offset"])
            is_new = span["first_offset"] >= due
            if not is_new and self._is_exactly_once:
                self._violation("coverage", position, f"decided again in {batch.position}")
            skipped = log.offsets[bisect_left(log.offsets, due) : low] if is_new else []
            skipped += log.offsets[high : bisect_left(log.offsets, after)]
            for offset in skipped:
                self._violation(
                    "coverage", Position(topic, partition, offset), f"skipped by {batch.position}"
                )
            if high - low != span["records"] and span["first_offset"] >= log.start:
                self._violation("coverage", position, f"{span['records']} records stated, {high - low} there")
            self._next[topic, partition] = max(after, due)
            found.append(([Position(topic, partition, offset) for offset in log.offsets[low:high]], is_new))
        return found

    def _silent_records(self, batch: Batch) -> Counter[Position]:
        partition = batch.value["partition"]
        silent: Counter[Position] = Counter()
        for run in batch.value["no_consent_runs"]:
            log = self._evidence.logs.get((run["topic"], partition), Log(0, []))
            offsets = log.offsets[
                bisect_left(log.offsets, run["first_offset"]) : bisect_right(log.offsets, run["last_offset"])
            ]
            if len(offsets) != run["records"] and run["first_offset"] >= log.start:
                position = Position(run["topic"], partition, run["first_offset"])
                self._violation("coverage", position, f"a run of {run['records']} records has {len(offsets)}")
            silent.update(Position(run["topic"], partition, offset) for offset in offsets)
        return silent

    def _fate(self, position: Position, rows: list[Row]) -> Fate:
        if not rows:
            return "SUPPRESS", "NO_CONSENT", None
        holders = Counter(row["holder"] for row in rows)
        if max(holders.values()) > 1:
            self._violation("coverage", position, "decided twice for one holder")
        for fate in FATES:
            for row in rows:
                if row["outcome"] == fate:
                    return fate, row["reason"], row["kind"] if fate == "NOTIFY" else None
        self._violation("coverage", position, "decided without a fate")
        return "UNKNOWN", None, None

    def _remember(self, position: Position, rows: list[Row], *, is_new: bool) -> None:
        told = [row for row in rows if row["outcome"] == "NOTIFY"]
        if not is_new:
            known = {row["notification_id"] for row in self._notify.get(position, [])}
            told = [row for row in told if row["notification_id"] not in known]
        if told:
            self._notify[position].extend(told)
        if is_new and any(row["outcome"] == "REJECT" for row in rows):
            self._rejects[position] += 1

    def _check_told(self) -> None:
        found: dict[Position, list[Told]] = defaultdict(list)
        for told in self._evidence.told:
            if told.source is None:
                self._violation("notification", told.position, "does not name its source")
            elif told.source.topic == REQUESTS and told.notification_id not in self._noticed:
                if self._is_in_time(told.source.partition, told.decided_at):
                    self._violation("notice", told.position, "was not decided")
            elif told.source in self._notify:
                found[told.source].append(told)
            elif self._is_decided(told.source) and self._is_judged(told.source):
                self._check_unasked(told)
        for position, rows in self._notify.items():
            self._check_record(position, rows, found[position])

    def _is_in_time(self, partition: int, decided_at: int) -> bool:
        """Tell whether a decision of that time must be among those read."""
        first, last = self._times.get(partition, (0, -1))
        return (self._evidence.is_from_start or first <= decided_at) and decided_at <= last

    def _check_unasked(self, told: Told) -> None:
        if self._is_exactly_once:
            self._violation("notification", told.position, "its source was not decided NOTIFY")
        else:  # sent, then a crash, then decided again after consent had narrowed
            self._report.repeated += 1

    def _is_judged(self, source: Position) -> bool:
        log = self._evidence.logs.get((source.topic, source.partition))
        return log is not None and source.offset >= log.start

    def _check_record(self, position: Position, rows: list[Row], found: list[Told]) -> None:
        decided = Counter((row["notification_id"], row["kind"]) for row in rows)
        sent = Counter((told.notification_id, told.kind) for told in found)
        if not self._is_exactly_once and position.topic != REQUESTS:
            sent = Counter(dict.fromkeys(sent, 1))
        for _ in range((decided - sent).total()):
            self._violation("notification", position, "decided NOTIFY, but not sent so")
        for _ in range((sent - decided).total()):
            self._violation("notification", position, "sent, but not decided so")
        for told in found:
            if told.key != told.recipient:
                self._violation("notification", told.position, "the key is not the recipient")

    def _check_dead_letters(self) -> None:
        found = (one for one in self._evidence.dead_letters if one.topic in EVENT_TOPICS)
        letters = Counter(one for one in found if self._is_decided(one))
        if not self._is_exactly_once:
            letters = Counter(dict.fromkeys(letters, 1))
        for position in self._rejects - letters:
            self._violation("dead_letter", position, "rejected without a dead letter")
        for position in letters - self._rejects:
            if self._is_judged(position):
                self._violation("dead_letter", position, "a dead letter that no REJECT asked for")


def batch_hash(body: bytes, previous_hash: str) -> str:
    """Return the hash that a DecisionBatch of these bytes must state.

    SHA-256 of previous_hash as bytes and the value encoded with an empty hash. The hash is the last field,
    so its encoding is cut off the end.
    """
    try:
        previous = bytes.fromhex(previous_hash)
    except ValueError:
        return ""
    return hashlib.sha256(previous + body[:-HASH_BYTES] + b"\x00").hexdigest()
