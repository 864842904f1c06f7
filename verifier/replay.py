"""Decides the events of a recording again with the model and says where the recorded run differs, by
position and field name, never by value. Read next: `notices.py`, which judges what is told of consents.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from verifier.evidence import EVENT_TOPICS, REQUESTS
from verifier.model.rules import Model, Record, Row, fate
from verifier.names import has_names
from verifier.recording import Recording

Place = tuple[str, int, int]
Render = Callable[[dict[str, Any]], str]
COMPARED = ("outcome", "reason", "kind", "event_id", "consent_id", "consent_version", "rule")


@dataclass
class Floor:
    """What was acknowledged (next offset of requests by partition) before the records from `firsts` on were
    sent.
    """

    acknowledged: dict[int, int]
    firsts: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass
class Outcome:
    """What the model decided, and what of the run differs from it.

    Attributes:
        back_ms: how far decision times went back at most within a partition: a worker's clock was set, or
            the next worker's is behind. Each batch is judged at its own time.
    """

    differences: list[str] = field(default_factory=list)
    fates: Counter[tuple[str, str | None, str | None]] = field(default_factory=Counter)
    subjects: dict[bytes, Counter[tuple[str, str | None]]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    notified: Counter[str] = field(default_factory=Counter)
    back_ms: int = 0

    def report(self, most: int = 40) -> str:
        """The first differences, and how many there are of each sort."""
        sorts = Counter(one.split(": ", 1)[1] for one in self.differences)
        shown = [*self.differences[:most], *(f"{count} x {sort}" for sort, count in sorts.most_common(20))]
        return "\n".join(shown)


class Replay:
    """One pass over a recording."""

    def __init__(
        self, recording: Recording, render: Render | None = None, words: Render | None = None
    ) -> None:
        """`render` is the product's text of a sent value, `words` the model's of an expected one."""
        self._recording, self._render, self._words = recording, render, words
        self._outcome = Outcome()
        self._sent: dict[tuple[Place, str], list[Any]] = defaultdict(list)
        self._letters: Counter[Place] = Counter()

    def run(self, floors: list[Floor] | None = None) -> Outcome:
        """Compare everything; `floors` are the driver's notes of what was acknowledged before what."""
        for one in (one for one in self._recording.sent if not one.is_notice):
            self._sent[one.source, one.value["recipient"]].append(one)
        self._count_letters()
        for number in range(self._recording.partitions):
            self._partition(number, floors or [])
        for (place, _), left in self._sent.items():
            self._differ(place, f"{len(left)} notifications that the model does not send")
        for place, count in self._letters.items():
            if count:
                self._differ(place, f"{count} dead letters more than the model's")
        return self._outcome

    def _differ(self, place: Place, what: str) -> None:
        self._outcome.differences.append(f"{place[0]}/{place[1]}/{place[2]}: {what}")

    def _count_letters(self) -> None:
        for headers in self._recording.dead_letters:
            topic, partition, offset = (
                headers[f"__streams.errors.{name}"].decode() for name in ("topic", "partition", "offset")
            )
            if topic in EVENT_TOPICS:
                self._letters[topic, int(partition), int(offset)] += 1

    def _partition(self, partition: int, floors: list[Floor]) -> None:
        model = Model(partition, self._recording.partitions)
        requests = iter(self._recording.requests.get(partition, []))
        due = next(requests, None)
        reached: dict[str, int] = dict.fromkeys(EVENT_TOPICS, 0)
        last_decided = 0
        for number, batch in enumerate(self._recording.batches.get(partition, [])):
            place = ("notifier.decisions", partition, number)
            while due is not None and due.offset < batch["consent_next_offset"]:
                model.fold(due.key, due.value, due.appended, due.offset)
                due = next(requests, None)
            self._outcome.back_ms = max(self._outcome.back_ms, last_decided - batch["decided_at"])
            last_decided = batch["decided_at"]
            rows: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
            for row in batch["decisions"]:
                if row["topic"] != REQUESTS:
                    rows[row["topic"], row["offset"]].append(row)
            for record in self._records(batch, partition, reached, floors, place):
                found = rows.pop((record.topic, record.offset), [])
                self._compare(record, model.decide(record, batch["decided_at"]), found, batch)
            for topic, offset in rows:
                self._differ((topic, partition, offset), "decided outside its batch's ranges")
        self._check_end(partition, reached)

    def _records(
        self,
        batch: dict[str, Any],
        partition: int,
        reached: dict[str, int],
        floors: list[Floor],
        place: Place,
    ) -> list[Record]:
        found: list[Record] = []
        for span in batch["inputs"]:
            log = self._recording.events[span["topic"], partition]
            offsets = [record.offset for record in log]
            low, high = bisect_left(offsets, span["first_offset"]), bisect_right(offsets, span["last_offset"])
            if low != bisect_left(offsets, reached[span["topic"]]):
                self._differ(place, "its range does not follow the one before")
            reached[span["topic"]] = span["next_offset"]
            found += log[low:high]
            for floor in floors:
                first = floor.firsts.get((span["topic"], partition))
                is_after = first is not None and span["last_offset"] >= first
                if is_after and batch["consent_next_offset"] < floor.acknowledged.get(partition, 0):
                    self._differ(place, "a request acknowledged before its events was not folded")
        return found

    def _check_end(self, partition: int, reached: dict[str, int]) -> None:
        for topic in EVENT_TOPICS:
            log = self._recording.events[topic, partition]
            if log and log[-1].offset >= reached[topic]:
                self._differ((topic, partition, reached[topic]), "is not decided")

    def _compare(
        self, record: Record, expected: list[Row], found: list[dict[str, Any]], batch: dict[str, Any]
    ) -> None:
        place = (record.topic, record.partition, record.offset)
        if expected[0].reason == "MISROUTED" and not found:
            expected = [
                Row("SUPPRESS", "no_consent", "NO_CONSENT")
            ]  # the contract checks a share of the misses
        decisive = fate(expected)
        told = decisive.kind if decisive.outcome == "NOTIFY" else None
        self._outcome.fates[decisive.outcome, decisive.reason, told] += 1
        self._outcome.subjects[record.key or b""][decisive.outcome, decisive.reason] += 1
        if decisive.outcome == "NOTIFY":
            self._outcome.notified[record.topic] += 1
        if decisive.outcome == "REJECT":
            self._letters[place] -= 1
        wanted = [] if decisive.reason == "NO_CONSENT" else expected
        folded = batch["consent_next_offset"]
        if len(wanted) != len(found) or not has_names(
            self._recording, record.key or b"", wanted, found, folded
        ):
            self._differ(
                place, f"model {_short(wanted)}, run {[row['outcome'] for row in found]}, other holders"
            )
            found = []
        for row, other in zip(wanted, found, strict=False):
            for name in COMPARED:
                if getattr(row, name) != other[name]:
                    run = f"{other['outcome']} {other['reason']} by {other['rule']}"
                    self._differ(place, f"{name} differs (model {_short([row])}, run {run})")
        for row in expected:
            if row.notification:
                self._compare_sent(place, row.notification, batch)

    def _compare_sent(self, place: Place, wanted: dict[str, Any], batch: dict[str, Any]) -> None:
        sent = self._sent.pop((place, wanted["recipient"]), [])
        if len(sent) != 1:
            self._differ(place, f"{len(sent)} notifications where the model sends one")
            return
        one = sent[0]
        for name in sorted(wanted.keys() | one.value.keys()):
            if wanted.get(name) != one.value.get(name):
                self._differ(place, f"field {name} of {wanted['kind']} differs")
        if one.key != wanted["recipient"]:
            self._differ(place, "the key is not the recipient")
        headers = {"ce_id": wanted["notification_id"], "notifier.consent": str(batch["consent_next_offset"])}
        for name, value in headers.items():
            if one.headers.get(name, b"").decode() != value:
                self._differ(place, f"header {name} differs")
        if self._render and self._words and self._render(one.value) != self._words(wanted):
            self._differ(place, f"text of {wanted['kind']} in {wanted['locale']} differs")


def _short(rows: list[Row]) -> str:
    return ", ".join(f"{row.outcome} {row.reason or row.rule}" for row in rows) or "nothing"
