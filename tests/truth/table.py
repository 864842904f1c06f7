"""The cases of `tests/cases/truth.yaml` as records to send, and what must come of them.

Bytes are made by the harness, with fastavro; nothing here knows the product's or the model's code.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.harness.messages import consent, request, transaction

CASES = Path(__file__).parents[1] / "cases" / "truth.yaml"
REQUESTS = {"grant": "GRANT", "change": "CHANGE", "revoke": "REVOKE", "erase": "ERASE"}
YEAR_MS = 364 * 86_400_000


@dataclass
class Step:
    """One step: a request, an event or a wait; `expected` is what its `then` says."""

    kind: str
    told: dict[str, Any]
    expected: Any
    shows: dict[str, Any]


@dataclass
class Case:
    """One row of the table, for a subject of its own; `appended` are the broker's times of its requests."""

    name: str
    subject: str
    steps: list[Step]
    appended: list[int] = field(default_factory=list)

    def request(self, step: Step, now: int) -> bytes:
        """Return a request's value as it is sent at `now`."""
        told = dict(step.told)
        if step.kind == "broken":
            return b"\x00\x00\x00\x00\x06no request"
        fields: dict[str, Any] = {"requested_at": now, "requested_by": told.pop("by", "USER")}
        user = told.pop("user", "anna")
        if "id" in told:
            fields["request_id"] = told.pop("id")
        if "expected_version" in told:
            fields["expected_version"] = told.pop("expected_version")
        if step.kind in ("grant", "change"):
            limits = {name: told.pop(name, None) for name in ("min_amount_minor", "currency")}
            fields["consent"] = consent(
                effective_at=now + told.pop("effective_in_ms", 0),
                valid_until=now + told.pop("valid_ms", YEAR_MS),
                preferences={**limits, "low_balance_minor": None},
                **told,
            )
        return request(self.subject, REQUESTS[step.kind], user, **fields)

    def event(self, step: Step, number: int, now: int) -> bytes:
        """Return an event's value; it happened right after the request that the step names."""
        told = dict(step.told)
        of = told.pop("of", len(self.appended) - 1)
        first = self.appended[0] if self.appended else now
        at = self.appended[of] + 1 if of >= 0 else first - 1_000
        name = told.pop("id", f"event-{number}")
        return transaction(self.subject, f"{self.subject}-{name}", occurred_at=at, **told)


def table() -> list[Case]:
    """Return every case."""
    loaded: dict[str, list[dict[str, Any]]] = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    return [
        Case(name, f"truth:case-{number:03d}", [_step(one) for one in steps])
        for number, (name, steps) in enumerate(loaded.items())
    ]


def _step(told: dict[str, Any]) -> Step:
    rest = dict(told)
    expected, shows = rest.pop("then", None), rest.pop("shows", {})
    [(kind, fields)] = rest.items()
    return Step(kind, fields if isinstance(fields, dict) else {"ms": fields}, expected, shows)


@dataclass
class Found:
    """What came of one event: by holder, or under "" for the record; and what anna was shown."""

    outcomes: dict[str, str]
    shown: dict[str, Any] | None = None


def check(case: Case, number: int, found: Found) -> None:
    """Compare what came of a case's event with what the table says."""
    step = case.steps[number]
    expected = step.expected if isinstance(step.expected, dict) else {"": step.expected}
    assert found.outcomes == expected, f"{case.name}, step {number}"
    for name, value in step.shows.items():
        assert found.shown is not None, f"{case.name}, step {number}"
        assert found.shown[name] == value, f"{case.name}, step {number}: {name}"
