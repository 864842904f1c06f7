import pytest

from streams.core.consent import ConsentState
from streams.core.decision import Decision, HolderDecision
from streams.core.gate import closed
from streams.core.prepared import prepare
from tests.core.stories import NOW, consents_of, stories

STORIES = stories("gate.yaml")
TOPICS = ("transaction", "balance", "alert", "shipment")


def brief(decision: Decision | HolderDecision) -> str:
    assert decision.reason is not None
    return f"{decision.fate.name} {decision.reason.name}"


@pytest.mark.parametrize("title", STORIES)
def test_a_story_ends_as_the_gate_says(title: str) -> None:
    story = STORIES[title]
    decision = closed(prepare(consents_of(story)), TOPICS.index(story["topic"]), NOW)
    assert ("open" if decision is None else brief(decision)) == story["then"]
    if decision is not None:
        assert decision.event_id is None
        assert {holder.rule for holder in decision.holders} == {story.get("rule", "gate")}
    if "each" in story:
        assert decision is not None
        assert {holder.holder: brief(holder) for holder in decision.holders} == story["each"]


def test_a_subject_without_holders_is_closed() -> None:
    decision = closed(prepare(ConsentState("bank:1", ())), 0, NOW)
    assert decision is not None
    assert brief(decision) == "SUPPRESS NO_CONSENT"
