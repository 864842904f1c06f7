"""I14 and I15: what a run left behind beside its topics, its logs and its metrics.

Pure. Source: reliability reports' I14 (personal data) and I15 (accounting). Read next: `__main__.py`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from verifier.invariants import Invariant
from verifier.recording import Recording

SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?", re.ASCII)
LABEL = re.compile(r'(\w+)="([^"]*)"', re.ASCII)
NO_REASON = "NONE"


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

    `pages` are the last `/metrics` of each; a worker that was killed has none, so nothing can be said then.
    """
    counted = Counter[tuple[str, ...]]()
    for page in pages:
        for name, labels, value in _samples(page):
            if name == "notifier_records_total":
                counted["record", labels["fate"], labels["reason"]] += int(value)
            elif name == "notifier_notifications_total":
                counted["notification",] += int(value)
            elif name == "notifier_dead_letters_total":
                counted["dead letter",] += int(value)
    there = Counter[tuple[str, ...]]()
    for batches in recording.batches.values():
        for batch in batches:
            for entry in batch["counts"]:
                there["record", entry["fate"], entry["reason"] or NO_REASON] += entry["count"]
    there["notification",] = len(recording.sent)
    there["dead letter",] = len(recording.dead_letters)
    found = Invariant("I15")
    for key in sorted(counted.keys() | there.keys()):
        found.checked += 1
        if counted[key] != there[key]:
            found.violations.append(
                f"{' '.join(key)}: {counted[key]} on /metrics, {there[key]} in the topics"
            )
    return found


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
