import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings

from streams.core.codes import Fate, Kind
from streams.core.policy import KIND_OF_TRANSACTION, KINDS, make_policy
from streams.core.rules import (
    HOLDER_RULES,
    NOTIFY,
    RECORD_RULES,
    STATE_LIMIT,
    TOLD,
    UNCHANGED,
    Rule,
    holder_rule,
)
from tests.core.chance import chances

DOCUMENT = (Path(__file__).parents[2] / "docs/rules.md").read_text(encoding="utf-8")
SCALARS: dict[str, Sequence[Any]] = {
    "has_revoked_at": (False, False, False, True),
    "last_valid_until": range(8, 20),
    "has_terms": (True, True, True, False),
    "valid_until": range(8, 20),
    "purposes": range(0, 31, 2),
    "direction": range(4),
    "has_threshold": (False, True),
    "has_other_currency": (False, False, True),
    "limit": range(-3, 4),
    "needed": (2, 4, 8, 16, 20),
    "threshold": range(3),
    "max_age_ms": range(11),
    "is_transaction": (False, True),
    "has_been_removed": (False, False, False, True),
    "amount": range(-3, 4),
    "event_time": range(12),
    "now": range(12),
}


def rows(section: str, columns: str) -> list[list[str]]:
    """Return the cells of the table of a section that has these columns."""
    text = DOCUMENT.split(f"\n## {section}", 1)[1].split("\n## ", 1)[0]
    lines = text.split(columns, 1)[1].splitlines()[2:]
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def stated(rule: Rule) -> str:
    return rule.fate.name if rule.reason is None else f"{rule.fate.name} {rule.reason.name}"


def test_the_rules_of_a_record_are_those_of_the_document() -> None:
    table = rows("1.", "| # | rule | applies when | outcome |")
    assert [re.sub("`", "", row[1]) for row in table] == [rule.name for rule in RECORD_RULES]
    outcomes = [row[3].split(",")[0] for row in table]
    assert outcomes == [stated(rule) for rule in RECORD_RULES]


def test_the_rules_of_a_holder_are_those_of_the_document() -> None:
    table = rows("4.", "| # | rule | applies when | outcome |")
    assert [re.sub("`", "", row[1]) for row in table] == [rule.name for rule in HOLDER_RULES]
    assert [row[3] for row in table] == [stated(rule) for rule in HOLDER_RULES]


def test_the_kinds_are_those_of_the_document() -> None:
    ages = {"6 h": 21_600_000, "1 h": 3_600_000, "15 min": 900_000, "48 h": 172_800_000}
    thresholds = {"none": 0, "min_amount_minor": 1, "low_balance_minor": 2}
    table = rows("4.", "| event | kind | purposes needed (any of) | max_age | priority | thresholds |")
    policy = make_policy()
    for event, name, purposes, age, priority, threshold in table:
        rule = KINDS[Kind[name]]
        assert rule.kind.name == rule.name == name
        assert rule.template_key == name.lower()
        bits = {"BALANCE": 2, "RECEIPT": 4, "SHIPPING": 8, "SECURITY": 16}
        assert rule.purposes == sum(bits[purpose] for purpose in purposes.split(", "))
        assert policy.max_age_ms[Kind[name]] == ages[age]
        assert rule.priority == int(priority)
        assert rule.threshold == thresholds[threshold]
        if event.startswith("BankTransaction"):
            statuses = event.removeprefix("BankTransaction ").split(", ")
            order = ["UNKNOWN", "PENDING", "POSTED", "REVERSED", "DECLINED", "REMOVED"]
            assert {KIND_OF_TRANSACTION[order.index(status)].name for status in statuses} == {name}
    assert len(table) == len(KINDS) - 1


def test_the_rules_with_memory_stand_where_they_are_looked_up() -> None:
    names = [HOLDER_RULES[place].name for place in (TOLD, UNCHANGED, STATE_LIMIT, NOTIFY)]
    assert names == ["told", "unchanged", "state_limit", "notify"]
    assert all(rule.predicate is None for rule in HOLDER_RULES[TOLD:])


def test_only_notify_tells() -> None:
    assert [rule.name for rule in HOLDER_RULES if rule.fate == Fate.NOTIFY] == ["notify"]


@settings(max_examples=200, deadline=None)
@given(chances)
def test_the_first_rule_of_the_table_that_applies_decides(chance: Random) -> None:
    for _ in range(20):
        scalars = {name: chance.choice(values) for name, values in SCALARS.items()}
        assert holder_rule(**scalars) == first_that_applies(scalars)


def first_that_applies(scalars: dict[str, Any]) -> int:
    for place, rule in enumerate(HOLDER_RULES[:TOLD]):
        assert rule.predicate is not None
        names = inspect.signature(rule.predicate).parameters
        if rule.predicate(*(scalars[name] for name in names)):
            return place
    return NOTIFY
