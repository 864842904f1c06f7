"""I4 and I8 for runs that may repeat: each notification alone, by the consents that its batch had folded.

What was told before is left out of it, since a worker that crashed may tell it again; so nothing is said of
what should have been told and was not. What is told of consents is never repeated, and judged by
`notices.py`. Imports `recording` and the model. Pure.
"""

from collections import defaultdict
from typing import Any

from verifier.invariant import Invariant
from verifier.model.pseudonyms import is_pseudonym
from verifier.model.rules import Model, Record
from verifier.recording import Recording, Sent

CONSENT_HEADER = "notifier.consent"


def permissions(recording: Recording) -> list[Invariant]:
    """Return I4, nobody is told what their consent does not allow, and I8, nothing else than it allows."""
    allowed, equal = Invariant("I4"), Invariant("I8")
    records = {
        (topic, partition, record.offset): record
        for (topic, partition), found in recording.events.items()
        for record in found
    }
    by_partition: dict[int, list[tuple[int, Sent]]] = defaultdict(list)
    for one in (one for one in recording.sent if not one.is_notice):
        by_partition[one.source[1]].append((_folded(one), one))
    for partition, sent in by_partition.items():
        model, requests = Model(partition, recording.partitions), iter(recording.requests.get(partition, []))
        due = next(requests, None)
        for folded, one in sorted(sent, key=lambda item: item[0]):
            while due is not None and due.offset < folded:
                model.fold(due.key, due.value, due.appended, due.offset)
                due = next(requests, None)
            _check(model, records.get(one.source), one, allowed, equal)
    _check_names(recording, equal)
    return [allowed, equal]


def _check_names(recording: Recording, equal: Invariant) -> None:
    """Look for names of people in rows that must have pseudonyms; which they are is not said."""
    for partition, batches in recording.batches.items():
        for row in (row for batch in batches for row in batch["decisions"]):
            equal.checked += 1
            names = (row["holder"], row["subject"]) if "subject" in row else ()
            if not all(name is None or is_pseudonym(name) for name in names):
                place = f"{row['topic']}/{partition}/{row['offset']}"
                equal.violations.append(f"{place}: holder or subject is no pseudonym")


def _check(model: Model, record: Record | None, one: Sent, allowed: Invariant, equal: Invariant) -> None:
    allowed.checked += 1
    if record is None:
        allowed.violations.append(f"{one.place}: there is no such event")
        return
    refused, forms = model.allowed(record, one.key, int(one.value["decided_at"]))
    if refused:
        allowed.violations.append(f"{one.place}: is told against {refused}")
        return
    equal.checked += 1
    fewest = min((_differing(form, one.value) for form in forms), key=len)
    if fewest:
        equal.violations.append(f"{one.place}: {', '.join(fewest)} differs")


def _differing(form: dict[str, Any], value: dict[str, Any]) -> list[str]:
    return [name for name in sorted(form.keys() | value.keys()) if form.get(name) != value.get(name)]


def _folded(one: Sent) -> int:
    """Return the offset of requests below which all were folded when it was decided, by its own word."""
    text = one.headers.get(CONSENT_HEADER, b"0")
    return int(text) if text.isdigit() else 0
