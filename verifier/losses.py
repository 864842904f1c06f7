"""I6 of SERVICE notices: what was owed and never came, as far as topics can show it.

A pass that owes nothing leaves no trace but a time in a position marker, of which compaction keeps the last.
So a due time is judged only where passes were past it: markers or decisions of passes show one that had come
less far and a later one that had come farther, or a worker was at work from a margin before to a margin after
it, never still for longer than the interval of its passes. And only where the consent stood unchanged for
that time and a margin on both sides, as clocks differ. Pure. Imports `notices` and the model.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from verifier.evidence import REQUESTS
from verifier.invariant import Invariant
from verifier.model.consents import Consents, Subject, Version
from verifier.model.reminders import DAYS, MOST_TOLD, due_at, has_notice
from verifier.notices import Told, told_of
from verifier.recording import Marker, Recording, Request

MARGIN_INTERVALS = 2
FOREVER = 2**63


class Stand(NamedTuple):
    """A version from when to when it was a holder's last, not revoked, and its subject not suspended.

    Times are the broker's, UTC milliseconds; `offset` is that of the request that began it.
    """

    subject: bytes
    user: str
    version: Version
    offset: int
    since: int
    until: int

    def has_stood(self, start: int, end: int) -> bool:
        """Tell whether it stood, and had not come to its end, from `start` to `end`."""
        return self.since <= start and end < min(self.until, self.version["valid_until"])


def losses(recording: Recording, interval_ms: int) -> Invariant:
    """I6: every notice came that can be shown to have been owed; how many cannot be judged is a figure."""
    found, told, unjudged = Invariant("I6"), told_of(recording), 0
    margin = MARGIN_INTERVALS * interval_ms
    for partition, requests in recording.requests.items():
        batches, markers = recording.batches.get(partition, []), recording.markers.get(partition, [])
        passes = Passes(markers, batches, interval_ms)
        for stand in stands(requests, Consents(partition, recording.partitions)):
            name = stand.subject, stand.user, stand.version["consent_id"], stand.version["version"]
            for days in (one for one in DAYS if has_notice(stand.version, one)):
                due = due_at(stand.version, days)
                past = passes.past(due)
                if past is None or not stand.has_stood(due - margin, past + margin):
                    unjudged += stand.since <= due < min(stand.until, passes.end)
                    continue
                found.checked += 1
                if not _is_told(told.get(name, ()), days, past + margin):
                    place = f"{REQUESTS}/{partition}/{stand.offset}"
                    found.violations.append(f"{place}: the notice of {days} days was owed and never came")
    found.figures = {"notices_unjudged": unjudged}
    return found


def _is_told(told: Iterable[Told], days: int, latest: int) -> bool:
    """Tell whether a notice of so many days came, or by `latest` one of fewer, which stands for it."""
    return any(
        one.days == days or (one.days < days and one.sent.value["decided_at"] <= latest) for one in told
    )


def stands(requests: Iterable[Request], consents: Consents) -> Iterator[Stand]:
    """Yield every version of one partition number, from when to when it stood."""
    standing: dict[bytes, dict[str, Stand]] = {}
    for one in requests:
        consents.apply(one.key, one.value, one.appended, one.offset)
        key = one.key or b""
        before, after = standing.get(key, {}), dict[str, Stand]()
        for user, version in _last(consents.find(key)).items():
            begun = Stand(key, user, version, one.offset, one.appended, FOREVER)
            known = before.get(user, begun)
            after[user] = known if known.version == version else begun
        yield from (
            stand._replace(until=one.appended)
            for user, stand in before.items()
            if after.get(user) is not stand
        )
        standing[key] = after
    yield from (stand for stands_of in standing.values() for stand in stands_of.values())


def _last(subject: Subject | None) -> dict[str, Version]:
    if subject is None or subject.is_suspended:
        return {}
    last = {user: versions[-1] for user, versions in subject.holders.items()}
    return {user: version for user, version in last.items() if version["revoked_at"] is None}


class Passes:
    """What shows how far the passes of one partition number had come, and when.

    Args:
        markers: of workers that make passes.
        batches: all decisions; those before the first sign of a pass may be of workers that make none.
        interval_ms: between two passes.
    """

    def __init__(
        self, markers: Iterable[Marker], batches: Iterable[dict[str, Any]], interval_ms: int
    ) -> None:
        marks = [(one.written_at, one.reminded_until) for one in markers]
        decided = [(batch["decided_at"], _notices(batch)) for batch in batches]
        whole = [(at, at) for at, notices in decided if 0 < notices < MOST_TOLD]
        signs = sorted([*whole, *((at, mark) for at, mark in marks if mark is not None)])
        first = min((at for at, _ in (*marks, *whole)), default=FOREVER)
        times = sorted(at for at, _ in (*marks, *decided) if at >= first)
        self._margin = MARGIN_INTERVALS * interval_ms
        self._seen = [at for at, _ in signs]
        self._reached = list(accumulate((mark for _, mark in signs), max))
        stops = [(before, after) for before, after in pairwise(times) if after - before > interval_ms]
        self._starts = times[:1] + [after for _, after in stops]
        self._ends = [before for before, _ in stops] + times[-1:]
        self.end = max(times, default=0)

    def past(self, due: int) -> int | None:
        """Return by when a pass had come past a due time, UTC milliseconds, None if nothing shows it."""
        first = bisect_left(self._reached, due)
        if 0 < first < len(self._reached):
            return int(self._seen[first])
        at_work = bisect_right(self._starts, due - self._margin) - 1
        if at_work >= 0 and self._ends[at_work] >= due + self._margin:
            return due + self._margin
        return None


def _notices(batch: dict[str, Any]) -> int:
    return sum(row["topic"] == REQUESTS for row in batch["decisions"])
