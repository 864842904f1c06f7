"""One truth: the compiled path and the interpreted one give the same fates, reasons and bytes."""

from random import Random

import pytest
from hypothesis import given, settings

from streams.core.consent import Consent, ConsentState
from streams.core.events import EVENT_TYPES, Event
from streams.core.policy import make_policy
from streams.wire.codec import encode_event
from streams.wire.topics import EVENT_TOPICS
from tests.core import chance as by_chance
from tests.core.stories import NOW
from tests.kernel.compiled.twins import Twins, batch

pytest.importorskip("numba", reason="the extra `fast` is not installed: there is no compiled path to compare")

SUBJECTS = (
    *(f"bank{number % 3}:account-{number:04d}" for number in range(6)),
    "bank12345:a",
    "bank 123456:b-account",
)
DAY_MS = 86_400_000


def encoded(event: Event) -> bytes | None:
    try:
        return encode_event(event)
    except (ValueError, IndexError, TypeError, AttributeError):
        return None


def some_consents(chance: Random, subject: str) -> ConsentState:
    made = by_chance.consents(chance)
    holders = made.holders[:1] if chance.random() < 0.7 else made.holders
    if chance.random() < 0.6:
        holders = tuple(holder._replace(versions=holder.versions[-1:]) for holder in holders)
    holders = tuple(holder._replace(versions=tuple(map(_writable, holder.versions))) for holder in holders)
    salt = chance.choice((None, chance.randbytes(16), chance.randbytes(16), chance.randbytes(15)))
    return made._replace(subject=subject, holders=holders, suspended=chance.random() < 0.05, salt=salt)


def _writable(version: Consent) -> Consent:
    """Return a version with codes that its schema has."""
    return version._replace(
        purposes=version.purposes & 31, detail_level=version.detail_level % 5, direction=version.direction % 4
    )


def some_value(chance: Random, event_type: int, subject: str) -> bytes | None:
    event, _ = by_chance.event(chance, event_type)
    if chance.random() < 0.08:
        event, kind = by_chance.odd_event(chance)
        if kind != event_type:
            return b"\0\0\0\0\1"
    value = encoded(event._replace(subject=subject if chance.random() < 0.97 else "bank:other"))
    if value is None or chance.random() < 0.03:
        return chance.choice((None, b"", b"\0\0\0\0\x63abc", b"\1\2\3"))
    if chance.random() < 0.04:
        place = chance.randrange(len(value))
        value = value[:place] + bytes([chance.randrange(256)]) + value[place + 1 :]
    return value


def some_headers(chance: Random) -> tuple[tuple[str, bytes | None], ...]:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    choices = (
        (), (), (("ce_id", b"x"),), (("traceparent", trace),),
        (("traceparent", trace), ("traceparent", trace[:-1] + b"g")), (("traceparent", None),),
        (("__value_schema_id", b"\0\0\0\0\1"),),
    )  # fmt: skip
    return chance.choice(choices)


@settings(max_examples=250, deadline=None)
@given(by_chance.chances)
def test_both_paths_write_the_same(chance: Random) -> None:
    policy = make_policy()._replace(
        seen_limit=chance.choice((40, 32_768)), told_limit=chance.choice((20, 4_096))
    )
    twins = Twins(policy, replay=chance.random() < 0.3, partitions=chance.choice((1, 1, 2)))
    offsets = dict.fromkeys(range(len(EVENT_TYPES)), 0)
    for subject in SUBJECTS[1:]:
        if chance.random() < 0.8:
            twins.grant(subject.encode(), some_consents(chance, subject))
    for step in range(chance.randint(1, 6)):
        batches = []
        for event_type in sorted(chance.sample(range(len(EVENT_TYPES)), chance.randint(1, 3))):
            for _ in range(chance.randint(1, 2)):
                rows, headers = [], []
                for _ in range(chance.randint(0, 25)):
                    subject = chance.choice(SUBJECTS)
                    key = (
                        subject.encode()
                        if chance.random() < 0.97
                        else chance.choice((None, b"", b"\xff\xfe"))
                    )
                    value, told = some_value(chance, event_type, subject), some_headers(chance)
                    if value is not None and chance.random() < 0.15:  # named in a header: leaves, and is told
                        value, told = value[5:], (("__value_schema_id", value[:5]),)
                    rows.append((key, value))
                    headers.append(told)
                batches.append(batch(EVENT_TOPICS[event_type], rows, offsets[event_type], headers))
                offsets[event_type] += len(rows)
        now = NOW + step * chance.choice((1_000, DAY_MS, 3 * DAY_MS))
        commits = chance.random() < 0.85
        twins.decide(batches, now, commits=commits)
        if not commits:
            for event_type, name in enumerate(EVENT_TOPICS):
                offsets[event_type] -= sum(len(one) for one in batches if one.topic == name)
        if chance.random() < 0.5:
            subject = chance.choice(SUBJECTS)
            state = None if chance.random() < 0.2 else some_consents(chance, subject)
            twins.grant(subject.encode(), state)
