"""The invariants I1 to I11 of a run, each with how much it looked at and what it found.

I14 and I15, which need more than topics, are in `traces.py`; what is told of consents in `notices.py` and
`losses.py`.

Pure: from a `Recording` and what the cluster says of itself (`Standing`) to `Invariant` values. Violations
name a position and a field, never a value. What a run must show besides (that faults happened, recovery) is
judged by whoever ran it. Imports `conservation`, `recording`, `replay` and the model. Read next:
`standing.py`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from verifier.avro import BrokenValueError, Reader, load_schema, schema_ids, unframe, versions
from verifier.conservation import Report
from verifier.evidence import REQUESTS
from verifier.invariant import Invariant, merged
from verifier.losses import losses
from verifier.model.consents import Consents, Subject
from verifier.notices import Notices, repeats, subjects_of
from verifier.recording import Recording, Sent
from verifier.replay import Floor, Outcome, Replay

REVOCATION_BOUND_MS = 2_000
SALT_BYTES = 16
REMINDER_INTERVAL_S = 3_600.0


class Standing(NamedTuple):
    """What the cluster says of itself after a run.

    Attributes:
        committed: the group's offsets by (topic, partition).
        ends: by (topic, partition) where committed reading ends, and where the log ends.
    """

    committed: Mapping[tuple[str, int], int]
    ends: Mapping[tuple[str, int], tuple[int, int]]


class Seen(NamedTuple):
    """A record that a reader saw while the run went on: where, and a digest of its key and value."""

    topic: str
    partition: int
    offset: int
    digest: str


def check(
    recording: Recording,
    conservation: Report,
    standing: Standing,
    live: Iterable[Seen] | None,
    *,
    is_exactly_once: bool = True,
    floors: list[Floor] | None = None,
    pauses: Sequence[tuple[int, int]] = (),
    reminder_interval_s: float = REMINDER_INTERVAL_S,
) -> list[Invariant]:
    """Check I1 to I11, those that the recording allows.

    Without a live reader I3 is left out. At_least_once may repeat a batch after a crash: of what is told of
    events, what takes a repeat for a fault is left out then, I2, I4, I6, I7 and I8; of these `permission.py`
    has I4 and I8. `floors` are a driver's notes of which requests were acknowledged before which events were
    sent: what was not folded by then is a fault, of I4. `pauses` are when a fault lasted, from and to, in UTC
    milliseconds: they do not count for I5. `reminder_interval_s` is the workers', between two looks for
    consents that end.
    """
    found = [
        fates(conservation),
        revocations(recording, pauses),
        offsets(recording, standing, may_repeat=not is_exactly_once),
        endings(standing),
        states(recording, standing),
        repeats(recording),
        *Notices(recording).run(),
        losses(recording, int(1000 * reminder_interval_s)),
    ]
    if is_exactly_once:
        outcome = Replay(recording).run(floors)
        events = [one for one in recording.sent if not one.is_notice]
        found += [unique(recording.sent), *of_model(len(events), outcome), order(events)]
    if live is not None:
        found.append(live_reads(recording, live))
    return merged(found)


def fates(conservation: Report) -> Invariant:
    """I1: of a run that has come to its end, so what is not decided is lost."""
    found = Invariant("I1", conservation.events, list(conservation.violations))
    if conservation.undecided:
        found.violations.append(f"{conservation.undecided} records are not decided")
    return found


def unique(sent: Iterable[Sent]) -> Invariant:
    """I2."""
    counts = Counter[str]()
    found = Invariant("I2")
    for one in sent:
        counts[one.value["notification_id"]] += 1
        found.checked += 1
        if counts[one.value["notification_id"]] > 1:
            found.violations.append(f"{one.place}: its notification_id was there before")
    return found


def of_model(told: int, outcome: Outcome) -> list[Invariant]:
    """I4, I6 and I8: what the replay found of that many notifications, by what it means."""
    more, less, other = Invariant("I4", told), Invariant("I6", sum(outcome.fates.values())), Invariant("I8")
    other.checked = told + sum(outcome.fates.values())
    other.figures = {"clock_back_ms": outcome.back_ms}
    for difference in outcome.differences:
        what = difference.split(": ", 1)[1]
        if "that the model does not send" in what or "was not folded" in what:
            more.violations.append(difference)
        elif "where the model sends one" in what:
            less.violations.append(difference)
        else:
            other.violations.append(difference)
    return [more, less, other]


def revocations(recording: Recording, pauses: Sequence[tuple[int, int]] = ()) -> Invariant:
    """I5, by the broker's clock alone: all topics are stamped when a record is appended.

    A fault's time is not counted: who is stopped between decision and write can do nothing.
    """
    found, reader = Invariant("I5"), Reader(load_schema("consent_request"))
    changes: dict[str, list[tuple[int, str | None, bool]]] = defaultdict(list)
    for partition, requests in recording.requests.items():
        consents = Consents(partition, recording.partitions)
        for asked in requests:
            answer = consents.apply(asked.key, asked.value, asked.appended, asked.offset)
            request = _decoded(reader, asked.value, "consent_request")
            if request and answer is not None and answer.reason is None:
                is_end = request["action"] in ("REVOKE", "ERASE")
                changes[request["subject"]].append((asked.appended, request["user_id"], is_end))
    delays: list[int] = []
    keys = subjects_of(recording) | {
        (topic, partition, record.offset): record.key or b""
        for (topic, partition), records in recording.events.items()
        for record in records
    }
    for one in recording.sent:
        ended: int | None = None  # when the first revocation since the last grant was appended
        for at, user, is_end in changes[keys.get(one.source, b"").decode("utf-8", "replace")]:
            if at <= one.appended and user in (None, one.key):
                ended = (at if ended is None else ended) if is_end else None
        found.checked += 1
        if ended is not None:
            delays.append(one.appended - ended - _overlap(pauses, ended, one.appended))
            if delays[-1] > REVOCATION_BOUND_MS:
                age = one.appended - int(one.value["decided_at"])
                found.violations.append(
                    f"{one.place}: appended {delays[-1]} ms after a revocation, {age} ms after it was decided"
                )
    delays.sort()
    found.figures = {
        "appended_after_a_revocation": len(delays),
        "longest_ms": delays[-1] if delays else 0,
        "p99_ms": delays[int(0.99 * (len(delays) - 1))] if delays else 0,
        "bound_ms": REVOCATION_BOUND_MS,
    }
    return found


def _overlap(pauses: Iterable[tuple[int, int]], start: int, end: int) -> int:
    """Return how much of a span lies within the longest of the pauses that it meets."""
    met = [pause for pause in pauses if pause[1] > start and pause[0] < end]
    return max((min(until, end) - max(since, start) for since, until in met), default=0)


def order(sent: Iterable[Sent]) -> Invariant:
    """I7; one event may tell a recipient once, so offsets of sources rise."""
    found, last = Invariant("I7"), dict[tuple[str, str, int], int]()
    for one in sorted(sent, key=lambda each: (each.partition, each.offset)):
        topic, partition, offset = one.source
        found.checked += 1
        if last.get((one.key, topic, partition), -1) >= offset:
            found.violations.append(f"{one.place}: its source is not after that of the one before")
        last[one.key, topic, partition] = offset
    return found


def offsets(recording: Recording, standing: Standing, *, may_repeat: bool) -> Invariant:
    """I9: neither beyond what has a fate nor behind it."""
    found, reached = Invariant("I9"), dict[tuple[str, int], int]()
    for partition, batches in recording.batches.items():
        for batch in batches:
            for span in batch["inputs"]:
                place = span["topic"], partition
                if span["next_offset"] < reached.get(place, 0) and not may_repeat:
                    found.violations.append(f"{place[0]}/{partition}: a batch ends before the one before it")
                reached[place] = max(span["next_offset"], reached.get(place, 0))
    for partition, requests in recording.requests.items():
        if requests:
            reached[REQUESTS, partition] = requests[-1].offset + 1
    for place, after in reached.items():
        found.checked += 1
        committed = standing.committed.get(place)
        if committed is None or not (committed == after or (place[0] == REQUESTS and committed > after)):
            found.violations.append(f"{place[0]}/{place[1]}: committed {committed}, done up to {after}")
    return found


def endings(standing: Standing) -> Invariant:
    """I10: committed reading ends where the log ends."""
    found = Invariant("I10", len(standing.ends))
    for (topic, partition), (stable, end) in standing.ends.items():
        if stable < end:
            found.violations.append(f"{topic}/{partition}: {end - stable} offsets after the last stable one")
    return found


def states(recording: Recording, standing: Standing) -> Invariant:
    """I11: the changelog's last values against the fold of the requests that the group is past."""
    found, readers = Invariant("I11"), versions("consent_state")
    salts = Counter(salt for known in recording.salts.values() for salt in {one for _, one in known if one})
    found.violations += ["consent.state: subjects share a salt" for count in salts.values() if count > 1]
    for partition in range(recording.partitions):
        folded = Consents(partition, recording.partitions)
        upto = standing.committed.get((REQUESTS, partition), 0)
        for request in recording.requests.get(partition, []):
            if request.offset < upto:
                folded.apply(request.key, request.value, request.appended, request.offset)
        wanted = {
            key: subject for key, subject in folded.subjects() if subject.holders or subject.is_suspended
        }
        kept = {
            key: _state(readers, value)
            for key, value in recording.states.get(partition, {}).items()
            if value is not None
        }
        found.checked += len(wanted)
        for key in wanted.keys() ^ kept.keys():
            has = "kept without a request for it" if key in kept else "not kept"
            found.violations.append(f"consent.state/{partition}: a subject is {has}")
        for key in wanted.keys() & kept.keys():
            found.violations += [
                f"consent.state/{partition}: {what} differs" for what in _differs(wanted[key], kept[key])
            ]
    return found


def live_reads(recording: Recording, live: Iterable[Seen]) -> Invariant:
    """I3: of the topic that people are told from."""
    found = Invariant("I3")
    there, read = {one.place: one.digest for one in recording.sent}, set[str]()
    for seen in live:
        found.checked += 1
        place = f"{seen.topic}/{seen.partition}/{seen.offset}"
        read.add(place)
        if place not in there:
            found.violations.append(f"{place}: was read, and is not there")
        elif there[place] != seen.digest:
            found.violations.append(f"{place}: was read with another value")
    found.violations += [f"{place}: is there, and was never read" for place in sorted(there.keys() - read)]
    return found


def _differs(wanted: Subject, kept: dict[str, Any] | None) -> list[str]:
    """Return the names of what is not as the fold has it."""
    if kept is None:
        return ["a value that cannot be read"]
    holders = {one["user_id"]: one["versions"] for one in kept["holders"]}
    if len(kept.get("salt") or b"") != SALT_BYTES:
        return ["the salt"]
    if bool(kept["suspended"]) != wanted.is_suspended:
        return ["suspended"]
    if holders.keys() != wanted.holders.keys():
        return ["the holders"]
    names = []
    for user, chain in wanted.holders.items():
        if len(chain) != len(holders[user]):
            names.append("the number of versions")
            continue
        for one, other in zip(chain, holders[user], strict=True):
            names += [name for name in one if _plain(name, one[name]) != _plain(name, other.get(name))]
    return names


def _plain(name: str, value: Any) -> Any:
    """Return a field as it is compared: purposes are a set."""
    return sorted(value) if name == "purposes" and value else value


def _state(readers: Mapping[int, Reader], value: bytes) -> dict[str, Any] | None:
    try:
        schema_id, body = unframe(value, tuple(readers))
        return readers[schema_id].read(body)
    except BrokenValueError:
        return None


def _decoded(reader: Reader, value: bytes | None, name: str) -> dict[str, Any] | None:
    try:
        return reader.read(unframe(value or b"", (schema_ids()[name],))[1])
    except BrokenValueError:
        return None
