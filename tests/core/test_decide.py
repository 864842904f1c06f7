from typing import Any

import pytest

from streams.core.codes import Fate
from streams.core.decide import decide
from streams.core.decision import Decision, HolderDecision, Notification
from streams.core.policy import make_policy
from streams.core.prepared import prepare
from streams.core.rules import HOLDER_RULES, RECORD_RULES
from streams.core.subject_state import EMPTY_STATE, SubjectState
from tests.core.stories import NOW, consents_of, event_of, moment, stories

STORIES = {
    **stories("records.yaml"),
    **stories("holders.yaml"),
    **stories("lifecycles.yaml"),
    **stories("shown.yaml"),
}
FILLED = Notification._fields[Notification._fields.index("status") :]


def tell(story: dict[str, Any]) -> Decision:
    """Decide the history of a story, then its event."""
    policy = make_policy(**story.get("settings", {}))._replace(**story.get("limits", {}))
    prepared = prepare(consents_of(story))
    state: SubjectState = EMPTY_STATE
    for offset, earlier in enumerate(story.get("history", [])):
        event, kind = event_of(earlier)
        decided = moment(earlier.get("decided", NOW - 60_000))
        before, state = decide(event, kind, earlier.get("offset", offset), prepared, state, policy, decided)
        assert brief(before) == earlier.get("then", "NOTIFY")
    event, kind = event_of(story)
    replay = story.get("guarantee") == "at_least_once"
    return decide(event, kind, story.get("offset", 99), prepared, state, policy, NOW, replay=replay)[0]


def brief(decision: Decision | HolderDecision) -> str:
    return decision.fate.name if decision.reason is None else f"{decision.fate.name} {decision.reason.name}"


def shown(notification: Notification) -> dict[str, Any]:
    """Return the fields of the event that a notification shows, codes by name."""
    present = {name: getattr(notification, name) for name in FILLED}
    return {name: getattr(value, "name", value) for name, value in present.items() if value is not None}


@pytest.mark.parametrize("title", STORIES)
def test_a_story_ends_as_the_rules_say(title: str) -> None:
    story = STORIES[title]
    decision = tell(story)
    assert brief(decision) == story["then"]
    if "each" in story:
        assert {holder.holder: brief(holder) for holder in decision.holders} == story["each"]
    if "rule" in story:
        decisive = next(holder for holder in decision.holders if holder.fate == decision.fate)
        assert decisive.rule == story["rule"]
    told = [holder.notification for holder in decision.holders if holder.notification is not None]
    assert len(told) == sum(holder.fate == Fate.NOTIFY for holder in decision.holders)
    if "shows" in story:
        assert shown(told[0]) == story["shows"]
    for name, value in story.get("notification", {}).items():
        actual = getattr(told[0], name)
        assert getattr(actual, "name", actual) == (moment(value) if name.startswith("not_") else value), name


def test_every_rule_that_decides_an_opened_event_has_a_story() -> None:
    reached = {holder.rule for story in STORIES.values() for holder in tell(story).holders}
    opened = [rule.name for rule in RECORD_RULES[10:]] + [rule.name for rule in HOLDER_RULES]
    assert not set(opened) - reached


def test_every_kind_has_a_story_that_tells_of_it() -> None:
    kinds = {
        holder.kind.name
        for story in STORIES.values()
        for holder in tell(story).holders
        if holder.notification is not None and holder.kind is not None
    }
    assert kinds == {"RECEIPT", "REFUND", "DECLINED", "BALANCE", "SHIPPING", "SECURITY"}
