"""SERVICE notices, which tell that a consent is about to end: each judged by the consents that its pass had
folded, and none told twice.

Alike under both guarantees: a pass is one transaction whatever the guarantee. Which notices never came is in
`losses.py`. Pure. Imports `recording`, `names` and the model; violations name a position and a field.
"""

import re
from collections import defaultdict
from itertools import pairwise
from typing import Any, NamedTuple

from verifier.evidence import REQUESTS
from verifier.invariant import Invariant
from verifier.model.consents import Consents
from verifier.model.reminders import Reminders
from verifier.names import has_names
from verifier.recording import Recording, Sent

COMPARED = ("outcome", "reason", "kind", "event_id", "consent_id", "consent_version", "rule")
PERIOD = re.compile(r".*/P(\d{1,4})D", re.ASCII | re.DOTALL)

Name = tuple[bytes, str, str, int]
"""Of a consent's version: subject, recipient, consent_id and version."""


class Told(NamedTuple):
    """A notice, and of how many days it tells."""

    days: int
    sent: Sent


def subjects_of(recording: Recording) -> dict[tuple[str, int, int], bytes]:
    """Return the key of every consent request by its position."""
    return {
        (REQUESTS, partition, one.offset): one.key or b""
        for partition, requests in recording.requests.items()
        for one in requests
    }


def told_of(recording: Recording) -> dict[Name, list[Told]]:
    """Return what was told of each version, in log order."""
    subjects, found = subjects_of(recording), defaultdict[Name, list[Told]](list)
    notices = [one for one in recording.sent if one.is_notice]
    for one in sorted(notices, key=lambda each: (each.partition, each.offset)):
        period = PERIOD.fullmatch(one.value["source_event_id"])
        if period:
            version = one.value["consent_id"], one.value["consent_version"]
            name = subjects.get(one.source, b""), one.value["recipient"], *version
            found[name].append(Told(int(period[1]), one))
    return found


def repeats(recording: Recording) -> Invariant:
    """I2: a version's notices are of ever fewer days, and none is of the same pass as another."""
    found = Invariant("I2")
    for told in told_of(recording).values():
        found.checked += len(told)
        for before, (days, one) in pairwise(told):
            if days >= before.days:
                found.violations.append(f"{one.place}: tells of {days} days after {before.days}")
            elif one.value["decided_at"] == before.sent.value["decided_at"]:
                found.violations.append(f"{one.place}: its pass told of the same version before")
    return found


class Notices:
    """One look at every notice that was decided or told."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._subjects = subjects_of(recording)
        self._sent: dict[tuple[tuple[str, int, int], str], list[Sent]] = defaultdict(list)
        self._allowed, self._silent, self._equal = (Invariant(name) for name in ("I4", "I6", "I8"))

    def run(self) -> list[Invariant]:
        """Return I4, nothing is told that the consents do not allow, I6, all decided is told, and I8."""
        for one in (one for one in self._recording.sent if one.is_notice):
            self._sent[one.source, one.value["notification_id"]].append(one)
            self._allowed.checked += 1
        for partition in range(self._recording.partitions):
            self._partition(partition)
        for one in (one for left in self._sent.values() for one in left):
            self._allowed.violations.append(f"{one.place}: a notice that the model does not send")
        return [self._allowed, self._silent, self._equal]

    def _partition(self, partition: int) -> None:
        consents = Consents(partition, self._recording.partitions)
        reminders, last = Reminders(consents), dict[bytes, int]()
        requests = iter(self._recording.requests.get(partition, []))
        due = next(requests, None)
        for batch in self._recording.batches.get(partition, []):
            rows = [row for row in batch["decisions"] if row["topic"] == REQUESTS]
            if not rows:
                continue
            while due is not None and due.offset < batch["consent_next_offset"]:
                consents.apply(due.key, due.value, due.appended, due.offset)
                last[due.key or b""] = due.offset
                due = next(requests, None)
            due_times = [self._row(row, batch, reminders, last) for row in rows]
            reminders.end_pass(batch["decided_at"], due_times)

    def _row(
        self, row: dict[str, Any], batch: dict[str, Any], reminders: Reminders, last: dict[bytes, int]
    ) -> int:
        """Judge one decision of a pass. Returns when it was due; 0 where the model owes nothing."""
        place = REQUESTS, batch["partition"], row["offset"]
        key = self._subjects.get(place, b"")
        wanted = reminders.owed(key, batch["decided_at"]).get(row["notification_id"])
        if wanted is None or wanted.notification is None:
            self._allowed.violations.append(f"{_shown(place)}: decides a notice that the model does not send")
            return 0
        differing = [name for name in COMPARED if getattr(wanted, name) != row[name]]
        if not has_names(self._recording, key, [wanted], [row], batch["consent_next_offset"]):
            differing.append("holder or subject")
        if last[key] != row["offset"]:
            differing.append("offset")
        sent = self._sent.pop((place, row["notification_id"]), [])
        self._silent.checked += 1
        if len(sent) != 1:
            self._silent.violations.append(f"{_shown(place)}: {len(sent)} notices where the model sends one")
        for one in sent:
            differing += _differing(one, wanted.notification, batch["consent_next_offset"])
        self._equal.checked += 1 + len(sent)
        self._equal.violations += [f"{_shown(place)}: {name} of a notice differs" for name in differing]
        due: int = wanted.notification["occurred_at"]
        return due


def _differing(one: Sent, wanted: dict[str, Any], folded: int) -> list[str]:
    """Return the names of what is not as the model has it: fields, headers, the key."""
    names = [
        f"field {name}"
        for name in sorted(wanted.keys() | one.value.keys())
        if wanted.get(name) != one.value.get(name)
    ]
    headers = {"ce_id": wanted["notification_id"], "notifier.consent": str(folded)}
    names += [f"header {name}" for name in headers if one.headers.get(name) != headers[name].encode()]
    return [*names, *(["the key"] if one.key != wanted["recipient"] else [])]


def _shown(place: tuple[str, int, int]) -> str:
    return "/".join(map(str, place))
