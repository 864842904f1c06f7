"""Decides the inputs of a recording with the product's own fold and interpreted kernel, batch by batch,
without a broker.

`python -m tests.product_run INPUTS OUTPUT`: both are files of `verifier.recording`. Run from a copy of
the tree it decides with that copy's core, which is how `tests/test_broken_builds.py` runs its mutants.
"""

import sys
from bisect import bisect_left, bisect_right
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from streams.core.consent import ConsentState
from streams.core.policy import make_policy
from streams.core.prepared import PreparedConsent, prepare
from streams.core.pseudonyms import SALT_BYTES
from streams.core.subject_state import EMPTY_STATE, SubjectState
from streams.kernel.batch_result import BatchResult
from streams.kernel.fold_batch import Secrets, fold_batches
from streams.kernel.interpret import Interpreter
from streams.kernel.recent_requests import RecentRequests
from streams.kernel.record_batch import NO_HEADERS, RecordBatch
from streams.wire.codec import encode_consent_state
from tests.model.saved import load, save
from verifier.avro import Reader, load_schema, unframe
from verifier.recording import Recording, Sent


class Memory:
    """The consents and states of one partition number, as dicts."""

    def __init__(self) -> None:
        self.consents: dict[bytes, ConsentState] = {}
        self.ready: dict[bytes, PreparedConsent] = {}
        self.states: dict[bytes, SubjectState] = {}
        self.recent = RecentRequests()

    def consent_state(self, key: bytes) -> ConsentState | None:
        return self.consents.get(key)

    def prepared(self, key: bytes) -> PreparedConsent | None:
        if key in self.consents and key not in self.ready:
            self.ready[key] = prepare(self.consents[key])
        return self.ready.get(key)

    def state(self, key: bytes) -> SubjectState:
        return self.states.get(key, EMPTY_STATE)

    def merge(self, changes: dict[bytes, ConsentState | None], forgotten: set[bytes]) -> None:
        for key in forgotten:
            self.states.pop(key, None)
        for key, state in changes.items():
            self.ready.pop(key, None)
            if state is None:
                self.consents.pop(key, None)
                self.states.pop(key, None)
            else:
                self.consents[key] = state


class ProductRun:
    """One pass over the inputs."""

    def __init__(self, inputs: Recording) -> None:
        self._inputs = inputs
        self._policy = make_policy()
        self._reader = Reader(load_schema("notification"))
        self._found = Recording(inputs.partitions, inputs.events, inputs.requests)
        self._secrets = Secrets(partial(Random(1).randbytes, SALT_BYTES))

    def run(self) -> Recording:
        """Return the recording with everything that was decided in it."""
        for partition in range(self._inputs.partitions):
            memory = Memory()
            kernel = Interpreter("notifier", partition, self._inputs.partitions, self._policy, replay=False)
            folded = 0
            for planned in self._inputs.batches[partition]:
                requests = [
                    one
                    for one in self._inputs.requests[partition]
                    if folded <= one.offset < planned["consent_next_offset"]
                ]
                if requests:
                    batch = _batch(
                        "consent.requests", partition, requests, [one.appended for one in requests]
                    )
                    folds = fold_batches(
                        [batch], memory, self._inputs.partitions, self._policy, self._secrets
                    )
                    for request, offset in folds.seen.items():
                        memory.recent.note(request, offset)
                    memory.merge(folds.changes, folds.forgotten)
                    for key, state in folds.changes.items():
                        value = None if state is None else encode_consent_state(state)
                        self._found.keep_state(partition, key, value)
                folded = planned["consent_next_offset"]
                batches = [self._span(span, partition) for span in planned["inputs"]]
                result = kernel.decide(batches, memory, folded, planned["decided_at"])
                memory.states.update(result.states)
                self._note(planned, result)
        return self._found

    def _span(self, span: dict[str, Any], partition: int) -> RecordBatch:
        log = self._inputs.events[span["topic"], partition]
        offsets = [record.offset for record in log]
        part = log[bisect_left(offsets, span["first_offset"]) : bisect_right(offsets, span["last_offset"])]
        return _batch(span["topic"], partition, part, [0] * len(part))

    def _note(self, planned: dict[str, Any], result: BatchResult) -> None:
        rows = [_row(row) for row in result.rows]
        self._found.batches.setdefault(result.partition, []).append({**planned, "decisions": rows})
        for output in result.outputs:
            body = unframe(output.value, (9,))[1]
            headers = dict(output.headers)
            sent = Sent(
                0, len(self._found.sent), output.key.decode(), self._reader.read(body), headers, output.value
            )
            self._found.sent.append(sent)
        self._found.dead_letters += [dict(one.headers) for one in result.dead_letters]


def _batch(topic: str, partition: int, records: list[Any], times: list[int]) -> RecordBatch:
    offsets = [one.offset for one in records]
    after = offsets[-1] + 1 if offsets else 0
    keys, values = [one.key for one in records], [one.value for one in records]
    return RecordBatch(
        topic,
        partition,
        offsets,
        times,
        keys,
        values,
        [NO_HEADERS] * len(records),
        offsets[0] if offsets else 0,
        after,
    )


def _row(row: Any) -> dict[str, Any]:
    values: dict[str, Any] = row._asdict()
    for name in ("outcome", "reason", "kind"):
        values[name] = None if values[name] is None else values[name].name
    return values


if __name__ == "__main__":
    save(ProductRun(load(Path(sys.argv[1]))).run(), Path(sys.argv[2]))
