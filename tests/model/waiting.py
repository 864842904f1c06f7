"""Waits until a worker has decided all there is."""

import time

from verifier.avro import Reader, load_schema, schema_ids, unframe
from verifier.evidence import EVENT_TOPICS
from verifier.topics import DECISIONS, Topics


def wait_until_decided(bootstrap: str, seconds: float) -> None:
    """Wait until decision batches cover every record of the event topics; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        reached, topics = _decided(bootstrap), Topics(bootstrap)
        ends = topics.ends(EVENT_TOPICS)
        topics.close()
        left = {
            place: end - reached.get(place, 0) for place, end in ends.items() if end > reached.get(place, 0)
        }
        if not left:
            return
        assert time.monotonic() < deadline, f"not decided after {seconds:.0f} s: {left}"
        time.sleep(0.5)


def _decided(bootstrap: str) -> dict[tuple[str, int], int]:
    """The position up to which each event topic's partition is decided."""
    topics, ids = Topics(bootstrap), schema_ids()
    batches = Reader(load_schema("decision_batch"))
    reached: dict[tuple[str, int], int] = {}
    try:
        for message in topics.read(DECISIONS, list(topics.starts(DECISIONS))):
            value = batches.read(unframe(message.value() or b"", (ids["decision_batch"],))[1])
            reached |= {(span["topic"], value["partition"]): span["next_offset"] for span in value["inputs"]}
    finally:
        topics.close()
    return reached
