"""The worker with nothing but the join, to be run as `python -m bench.contenders.bare_join`.

What the other contenders do, and no more: look the subject up, ask its consent, write the notification. The
carrier, its barrier and its commits are the worker's. Left out are the memory of what was seen and told, the
decisions, the headers, the check of keys without consent, the limits of fields, and the Python path: a
subject with several holders or versions is not told. So it is here to be measured, and nowhere else.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from streams.agents.worker import run_worker
from streams.core.codes import Fate, Kind, Reason
from streams.core.rules import NOTIFY
from streams.kernel.batch_result import BatchResult, Encoded
from streams.kernel.compiled.buffers import process_buffers
from streams.kernel.compiled.bytes_out import put_sized
from streams.kernel.compiled.decider import NOTIFICATION_FRAME, CompiledDecider
from streams.kernel.compiled.event_plans import EventPlan
from streams.kernel.compiled.fields import FieldPlan, read_fields
from streams.kernel.compiled.hashes import murmur2
from streams.kernel.compiled.holder import gate, kind_of, rule_of
from streams.kernel.compiled.index import SIMPLE, find, unpack_person
from streams.kernel.compiled.jit import compiled_anew
from streams.kernel.compiled.join import DONE, NO_ROOM, OUT_ROOM
from streams.kernel.compiled.layout import (
    DELIVERIES,
    EVENT_TYPE,
    NO_REASON,
    OUT_COUNT,
    OUT_USED,
    Call,
)
from streams.kernel.compiled.notice import identify, put_notification
from streams.kernel.compiled.raw_batch import RawRecordBatch
from streams.kernel.compiled.subjects import PackedSubjects
from streams.kernel.compiled.tables import TABLES, TIME_FIELD
from streams.kernel.compiled.types import whole
from streams.kernel.compiled.warm_up import warm_up
from streams.kernel.interpret import SubjectView, note_input
from streams.kernel.path import Decide, Path, Setup
from streams.kernel.record_batch import RecordBatch
from streams.kernel.subjects import Subjects
from streams.settings import Settings

HAS_NO_HEADERS = 0


@compiled_anew
def bare_join(
    call: Any, tables: Any, plans: Any, index: Any, policies: Any, source: Any, columns: Any, scratch: Any,
    outputs: Any, frame: Any, start: int,
) -> tuple[int, int]:  # fmt: skip
    """Write the notifications of the records from `start` on; see `join` of the worker."""
    counter, out, person = outputs.counter, outputs.out, scratch.person
    event_type = call.number[EVENT_TYPE]
    plan = FieldPlan(plans.steps, plans.symbols, plans.defaults)
    records = columns.offsets.size
    for record in range(start, records):
        if counter[OUT_USED] + OUT_ROOM > out.size:
            return record, NO_ROOM
        key, key_size = whole(columns.key_places[record]), whole(columns.key_sizes[record])
        if key_size <= 0:
            continue
        slot = find(index, source, key, key_size)
        if slot < 0 or index.kind[slot] != SIMPLE:
            continue
        holder = index.record_at[slot] + 2 + key_size
        if gate(call, tables, index, policies, holder) != NO_REASON:
            continue
        value, size = whole(columns.value_places[record]), whole(columns.value_sizes[record])
        end = value + size
        if size < 5 or end != read_fields(
            source, value + 5, end, plan, scratch.number, scratch.place, scratch.size, scratch.chars,
            scratch.is_null,
        ):  # fmt: skip
            continue
        kind, event_time = kind_of(tables, event_type, scratch), scratch.number[TIME_FIELD[event_type]]
        if rule_of(call, tables, index, policies, source, scratch, holder, kind, event_time) != NOTIFY:
            continue
        unpack_person(index, holder, person, scratch.person_size)
        user_size = scratch.person_size[0]
        id_place = identify(call, tables, source, scratch, key, key_size, kind, whole(0))
        body = put_notification(
            call, tables, index, policies, source, scratch, frame, holder, key, key_size, kind, event_time,
            id_place,
        )  # fmt: skip
        number = counter[OUT_COUNT]
        at = put_sized(out, counter[OUT_USED], person, whole(0), user_size)
        at = put_sized(out, at, scratch.body, whole(0), body)
        out[at] = HAS_NO_HEADERS
        counter[OUT_USED], counter[OUT_COUNT] = at + 1, number + 1
        outputs.out_at[number + 1] = at + 1
        outputs.out_partition[number] = murmur2(person, whole(0), user_size) % call.number[DELIVERIES]
    return records, DONE


class BareDecider(CompiledDecider):
    """Decides whole batches by `bare_join`."""

    def decide(
        self,
        batches: Sequence[RecordBatch],
        view: SubjectView,  # noqa: ARG002 - the decider's signature
        consent_next_offset: int,
        now_ms: int,
    ) -> BatchResult:
        """Write the notifications of every record; see `CompiledDecider.decide`."""
        result = BatchResult(self._partition, now_ms, consent_next_offset)
        buffers = process_buffers()
        buffers.begin(sum(map(len, batches)))
        for batch in batches:
            before = int(buffers.outputs.counter[OUT_COUNT])
            self._write(batch, self._call(batch.topic, [], now_ms))
            told = int(buffers.outputs.counter[OUT_COUNT]) - before
            note_input(batch, result)
            counts = result.counts.setdefault(batch.topic, {})
            for slot, count in (
                ((Fate.NOTIFY, None, Kind.RECEIPT), told),
                ((Fate.SUPPRESS, Reason.NO_CONSENT, None), len(batch) - told),
            ):
                counts[slot] = counts.get(slot, 0) + count
        deliveries = self._deliver(result, [], buffers)
        result.encoded = Encoded(self._subjects.stamp, deliveries, [], b"", 0, b"", 0, {}, {})
        return result

    def _write(self, batch: RecordBatch, called: tuple[Call, EventPlan]) -> None:
        call, plan = called
        raw = batch if isinstance(batch, RawRecordBatch) else RawRecordBatch.of(batch)
        buffers, subjects, start = process_buffers(), self._subjects, 0
        while len(raw):
            start, why = bare_join(
                call, TABLES, plan.plans, subjects.index, subjects.policies, raw.buffer, raw.columns,
                buffers.scratch, buffers.outputs, NOTIFICATION_FRAME, start,
            )  # fmt: skip
            if why == DONE:
                return
            buffers.grow()


def _decide_with(setup: Setup, subjects: Subjects) -> Decide:
    assert isinstance(subjects, PackedSubjects)
    return BareDecider(setup, subjects).decide


def _warm_up() -> None:
    warm_up()
    warm_up(BareDecider)


def main() -> int:
    """Run the worker on the bare join until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--guarantee", required=True)
    arguments = parser.parse_args()
    settings = Settings(kafka=arguments.kafka, guarantee=arguments.guarantee, ops_port=0)
    path = Path("bare join", PackedSubjects, _decide_with, _warm_up, lambda: False)
    return run_worker(settings, lambda _: path)


if __name__ == "__main__":
    sys.exit(main())
