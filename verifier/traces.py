"""I14 and I15: what a run left behind beside its topics, its logs and its metrics.

Pure. Source: reliability reports' I14 (personal data) and I15 (accounting). Read next: `__main__.py`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from verifier.invariant import Invariant
from verifier.recording import Recording

SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?", re.ASCII)
LABEL = re.compile(r'(\w+)="([^"]*)"', re.ASCII)
NO_REASON = "NONE"
Key = tuple[str, ...]
UNKNOWN: Key = ("unknown outcome",)
COUNTED = {"notifier_notifications_total": "notification", "notifier_dead_letters_total": "dead letter"}


def personal_data(recording: Recording, canaries: Iterable[str], texts: Mapping[str, str]) -> Invariant:
    """I14: values that were planted in inputs stand in no log, page or header.

    `texts` are logs and pages by name. Violations name the place, never the value.
    """
    found, words = Invariant("I14"), [word for word in canaries if word]
    places = [*texts.items(), *_headers(recording)]
    for place, text in places:
        found.checked += len(words)
        found.violations += [
            f"{place}: has canary {number}" for number, word in enumerate(words) if word in text
        ]
    return found


def accounting(recording: Recording, pages: Iterable[str]) -> Invariant:
    """I15: what all workers counted in all their lives is what the topics hold.

    `pages` are the last `/metrics` of each; a worker that was killed has none, so nothing can be said then,
    nor where a commit got no answer: it may count, and its worker did not.
    """
    counted = _counted(pages)
    unknown = counted.pop(UNKNOWN, 0)
    if unknown:
        return Invariant("I15", figures={"unknown_outcomes": unknown})
    found, there = Invariant("I15"), _there(recording)
    for key in sorted(counted.keys() | there.keys()):
        found.checked += 1
        if counted[key] != there[key]:
            found.violations.append(
                f"{' '.join(key)}: {counted[key]} on /metrics, {there[key]} in the topics"
            )
    return found


def _counted(pages: Iterable[str]) -> Counter[Key]:
    counted = Counter[Key]()
    for page in pages:
        for name, labels, value in _samples(page):
            if name == "notifier_records_total":
                counted["record", labels["fate"], labels["reason"]] += int(value)
            elif name == "notifier_transactions_total" and labels["outcome"] == "unknown":
                counted[UNKNOWN] += int(value)
            elif name in COUNTED:
                counted[(COUNTED[name],)] += int(value)
    return counted


def _there(recording: Recording) -> Counter[Key]:
    there = Counter[Key]()
    for batches in recording.batches.values():
        for batch in batches:
            for entry in batch["counts"]:
                there["record", entry["fate"], entry["reason"] or NO_REASON] += entry["count"]
    there[("notification",)] = len(recording.sent)
    there[("dead letter",)] = len(recording.dead_letters)
    return there


def _headers(recording: Recording) -> Iterator[tuple[str, str]]:
    for one in recording.sent:
        yield one.place, _joined(one.headers)
    for number, headers in enumerate(recording.dead_letters):
        yield f"notifier.dead-letters, record {number}", _joined(headers)


def _joined(headers: Mapping[str, bytes]) -> str:
    return "\n".join(f"{name}={value.decode('utf-8', 'replace')}" for name, value in headers.items())


def _samples(page: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in page.splitlines():
        match = SAMPLE.fullmatch(line)
        if match:
            yield match[1], dict(LABEL.findall(match[2] or "")), float(match[3])
