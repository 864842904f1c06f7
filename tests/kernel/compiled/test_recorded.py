"""One truth over what people wrote and what happened: every story in tests/cases, and real input."""

from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streams.core.policy import make_policy
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import encode_event
from streams.wire.topics import EVENT_TOPICS
from tests.core.stories import NOW, consents_of, event_of, moment, stories
from tests.kernel.compiled.twins import Twins, batch
from tests.model import sources
from tests.model.desk import phases
from tests.model.rehearsal import Rehearsal
from tests.model.sources import Lots
from verifier.recording import Recording

pytest.importorskip("numba", reason="the extra `fast` is not installed: there is no compiled path to compare")

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
STORIES = {
    f"{name}: {title}": story
    for name in ("records", "holders", "lifecycles", "shown", "gate")
    for title, story in stories(f"{name}.yaml").items()
}


def row_of(told: dict[str, Any]) -> tuple[str, tuple[bytes, bytes]]:
    event, kind = event_of(told)
    return EVENT_TOPICS[kind], (event.subject.encode(), encode_event(event))


def is_writable(story: dict[str, Any]) -> bool:
    """Tell whether a story's codes are those of the schemas: a producer can write no others."""
    try:
        for told in (story, *story.get("history", [])):
            row_of(told)
        Twins().sides[0].grant(b"x", consents_of(story))
    except (ValueError, IndexError, TypeError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("title", STORIES)
def test_a_story_ends_alike_on_both_paths(title: str) -> None:
    story = STORIES[title]
    if "event" in story or not {"transaction", "balance", "alert", "shipment"} & set(story):
        story = story | {"transaction": {}}
    if not is_writable(story):
        return
    policy = make_policy(**story.get("settings", {}))._replace(**story.get("limits", {}))
    twins = Twins(policy, replay=story.get("guarantee") == "at_least_once")
    consents = consents_of(story)
    twins.grant(consents.subject.encode(), consents)
    for offset, earlier in enumerate(story.get("history", [])):
        topic, row = row_of(earlier)
        now = moment(earlier.get("decided", NOW - 60_000))
        twins.decide([batch(topic, [row], earlier.get("offset", offset))], now)
    topic, row = row_of(story)
    twins.decide([batch(topic, [row], story.get("offset", 99))], NOW)


@pytest.mark.data
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "share", "offset_ms"), [("berka", 0.05, 0), ("olist", 0.03, 0), ("berka", 0.01, 5_400_000)]
)
def test_real_input_is_decided_alike_on_both_paths(name: str, share: float, offset_ms: int) -> None:
    if not DATA.is_dir():
        pytest.skip("needs the real input in ../shared/data")
    lots = Lots(7)
    source = getattr(sources, name)(DATA / name, lots, share)
    run = Rehearsal(offset_ms=offset_ms).run(source, phases(source, 0.9, lots))
    fates: Counter[Any] = Counter()
    for partition in range(run.partitions):
        fates.update(decide_all(run, partition))
    assert sum(fates.values()) == sum(map(len, run.events.values()))
    assert len(fates) > 6


def decide_all(run: Recording, partition: int) -> Counter[Any]:
    """Decide one partition's batches as they were cut, on both paths."""
    twins, folded, fates = Twins(partitions=run.partitions, partition=partition), 0, Counter[Any]()
    for planned in run.batches[partition]:
        asked = [
            one for one in run.requests[partition] if folded <= one.offset < planned["consent_next_offset"]
        ]
        folded = planned["consent_next_offset"]
        if asked:
            lists = ([one.key for one in asked], [one.value for one in asked])
            offsets, times = [one.offset for one in asked], [one.appended for one in asked]
            twins.fold(
                RecordBatch(
                    "consent.requests", partition, offsets, times, *lists, [()] * len(asked), 0, folded
                )
            )
        batches = []
        for span in planned["inputs"]:
            log = run.events[span["topic"], partition]
            first = bisect_left([record.offset for record in log], span["first_offset"])
            rows = [(record.key, record.value) for record in log[first : first + span["records"]]]
            batches.append(batch(span["topic"], rows, span["first_offset"], partition=partition))
        for counts in twins.decide(batches, planned["decided_at"])["counts"].values():
            fates.update(counts)
    return fates
