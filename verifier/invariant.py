"""One invariant of a run: what it says, how much was looked at, and what was found. Read next:
`invariants.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SHOWN = 20
NAMES = {
    "I1": "no loss: every record has one fate, and every fate its record",
    "I2": "no duplicate: a notification_id is there once",
    "I3": "no aborted read: what a reader saw while it ran is there at the end, and nothing before it",
    "I4": "consent: nothing is told that the consents in force do not allow",
    "I5": "revocation: nothing is appended later than the bound after a revocation was",
    "I6": "no false silence: all is told that must be",
    "I7": "order: a recipient's notifications of one partition follow their sources",
    "I8": "equality: every field, header and row is what the reference model makes",
    "I9": "offsets: the group's position is that of the decisions",
    "I10": "no hanging transaction: every log can be read to its end",
    "I11": "state: what is kept of consents is the fold of all requests",
    "I14": "personal data: what was planted in inputs stands in no log, page or header",
    "I15": "accounting: what the workers counted is what the topics hold",
}


@dataclass
class Invariant:
    """One invariant: how much was looked at, what was found, and figures worth telling."""

    name: str
    checked: int = 0
    violations: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as the report has it; at most SHOWN violations, all of them counted."""
        return {
            "says": NAMES[self.name],
            "checked": self.checked,
            "violations": len(self.violations),
            "shown": self.violations[:SHOWN],
            **self.figures,
        }


def merged(found: Iterable[Invariant]) -> list[Invariant]:
    """Return one invariant of each name, in their order: what was found in several looks is added up."""
    by_name: dict[str, Invariant] = {}
    for one in found:
        known = by_name.setdefault(one.name, Invariant(one.name))
        known.checked += one.checked
        known.violations += one.violations
        known.figures |= one.figures
    return sorted(by_name.values(), key=lambda one: int(one.name[1:]))
