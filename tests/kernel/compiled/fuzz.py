"""Mutated record batches against the compiled kernel: `python -m tests.kernel.compiled.fuzz`.

Each batch is well-formed bytes with changes anywhere: in the record section (lengths, counts, headers) and in
keys and values. It must be refused as malformed, or every record must get one fate. Run it with
NOTIFIER_KERNEL_BOUNDS_CHECK=1 to have every index checked. Prints one JSON line; a batch that fails is named
by its seed. `--seed` begins a part of a longer run: 10,000,000 batches take GROUP times fewer seeds.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random

import numpy as np

from streams.core.codes import Direction, Purposes
from streams.core.consent import Consent, ConsentState, Holder, Preferences
from streams.core.policy import make_policy
from streams.kafka.partition_store import PartitionStore
from streams.kernel.compiled.raw_batch import RawRecordBatch, read_columns
from streams.kernel.path import Decide, Setup, choose_path
from streams.wire.codec import encode_consent_state, encode_event
from streams.wire.topics import EVENT_TOPICS
from streams.wire.varint import write_bytes, write_long, write_string
from tests.core import chance as by_chance
from tests.core.stories import NOW

SUBJECTS = tuple(f"bank:account-{number:04d}" for number in range(6))
RECORDS, MUTATIONS = 8, 6
GROUP, MUTANTS = 64, 32
"""Batches of one decision; and how many of them are one section and what mutations made of it."""
FORGET_EVERY = 100
"""Seeds after which the subjects remember nothing again."""
RECURSION = b"\0\0\0\0\1" + b"\2" * 5_000
"""Of reliability tests: what crashes a recursive reader, and six bytes that claim twenty million items."""
MANY_ITEMS = b"\0\0\0\0\1\xda\xc4\x93\x13"


def section(chance: Random, event_type: int) -> bytes:
    """Return an encoded record section of RECORDS records, with some values mutated."""
    out = b""
    for delta in range(RECORDS):
        subject = chance.choice(SUBJECTS)
        event, _ = by_chance.event(chance, event_type)
        value = encode_event(event._replace(subject=subject))
        if chance.random() < 0.5:
            value = mutated(chance, value)
        if chance.random() < 0.02:
            value = chance.choice((RECURSION, MANY_ITEMS, b"", b"\xff" * 64))
        headers = [("traceparent", b"00-" + b"a" * 32)] if chance.random() < 0.2 else []
        body = b"\0" + write_long(0) + write_long(delta) + write_string(subject) + write_bytes(value)
        body += write_long(len(headers)) + b"".join(
            write_string(name) + write_bytes(text) for name, text in headers
        )
        out += write_bytes(body)
    return mutated(chance, out) if chance.random() < 0.5 else out


def mutated(chance: Random, data: bytes) -> bytes:
    """Return bytes with a few changes: flipped, cut, doubled, and numbers that claim too much."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, MUTATIONS)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0 if place < len(changed):
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                del changed[place : place + chance.randint(1, 9)]
            case 2:
                changed[place:place] = changed[place : place + chance.randint(1, 9)]
            case 3:
                changed[place : place + 5] = write_long(chance.choice((-1, 2**31 - 1, 2**62, -(2**63), 127)))
            case _:
                changed[place:place] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
    return bytes(changed)


def flipped(chance: Random, data: bytes) -> bytes:
    """Return bytes of the same length, a few of them changed: most records stay where they are."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, MUTATIONS)):
        place = chance.randrange(len(changed))
        changed[place] = chance.choice((changed[place] ^ 1 << chance.randrange(8), 0xFF, 0x80, 0, 0x7F))
    return bytes(changed)


def new_decider() -> tuple[PartitionStore, Decide]:
    """Return a store in which some subjects have an open consent, and its decider."""
    path = choose_path("compiled")
    store = PartitionStore(path.new_subjects())
    for number, subject in enumerate(SUBJECTS[:4]):
        consent = Consent(
            "consent", 1, Purposes(30), 4, Direction.BOTH, "psid", 0, NOW * 2, None, "n", "h", "en", "UTC",
            Preferences(1_000 if number % 2 else None),
        )  # fmt: skip
        state = ConsentState(subject, (Holder(f"user-{number}", (consent,)),))
        store.merge_consents({subject.encode(): encode_consent_state(state)}, (), 0)
    setup = Setup("fuzz", 0, 1, 3, make_policy(), 4_096, bytes, False, 1_048_576)
    return store, path.decide_with(setup, store.subjects)


def fuzz(batches: int, first_seed: int) -> dict[str, int]:
    """Decide mutated batches, GROUP a seed; raises AssertionError naming the seed that fails."""
    found: Counter[str] = Counter()
    seed = first_seed
    store, decide = new_decider()
    while found["batches"] < batches:
        if seed % FORGET_EVERY == 0:
            store, decide = new_decider()
        chance = Random(seed)
        topic, count = (
            EVENT_TOPICS[chance.randrange(len(EVENT_TOPICS))],
            min(GROUP, batches - found["batches"]),
        )
        group = [batch for batch in _group(chance, topic, seed * GROUP * RECORDS, count) if batch is not None]
        found["batches"] += count
        found["malformed"] += count - len(group)
        records = sum(map(len, group))
        result = decide(group, store, 0, NOW)
        fates = sum(result.counts[topic].values()) if records else 0
        assert fates == records, f"seed {seed}: {records} records, {fates} fates"
        found["records"] += fates
        for (fate, _, _), number in result.counts.get(topic, {}).items():
            found[fate.name] += number
        if chance.random() < 0.5 and result.encoded is not None:
            store.subjects.commit(result.encoded.stamp)
            for key, state in result.states.items():
                store.subjects.set_state(key, state)
        seed += 1
    return dict(found)


def _group(chance: Random, topic: str, offset: int, count: int) -> Iterator[RawRecordBatch | None]:
    """Give mutated batches of one topic, in offset order; None in place of one that is malformed."""
    for number in range(0, count, MUTANTS):
        original = section(chance, EVENT_TOPICS.index(topic))
        for mutant in range(min(MUTANTS, count - number)):
            data = flipped(chance, original) if mutant else original
            buffer = np.frombuffer(data + b"\0", np.uint8)[: len(data)]
            first = offset + (number + mutant) * RECORDS
            columns = read_columns(buffer, RECORDS, first, RECORDS - 1, 0, NOW, has_deltas=True)
            if columns is None:
                yield None
            else:
                yield RawRecordBatch(topic, 0, buffer, columns, first, first + RECORDS)


def main() -> int:
    """Fuzz as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.stdout.write(json.dumps(fuzz(arguments.batches, arguments.seed)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
