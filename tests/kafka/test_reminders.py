"""Passes over consents: in small looks, what changed looked at again, the earliest first of very many."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from streams.core.codes import Direction, Fate, Kind, Purposes
from streams.core.consent import Consent, ConsentState, Holder
from streams.core.expiry import last_of_pass
from streams.kafka import reminders
from streams.kafka.partition_store import PartitionStore
from streams.kafka.reminders import VERSIONS_A_LOOK, Reminders, Told
from streams.kernel.subjects import PlainSubjects
from streams.wire.codec import decode_notification, encode_consent_state

DAY = 86_400_000
NOW = 1_772_712_000_000
SINCE = NOW - 3_600_000
INTERVAL_S = 0.05
MANY = 3 * VERSIONS_A_LOOK


def state(subject: str, left_ms: int = 30 * DAY - 5, **fields: Any) -> bytes:
    given = Consent(
        f"consent:{subject}", 1, Purposes.RECEIPT, 4, Direction.BOTH, "psid:1", 0, NOW + left_ms, None, "n",
        "h", "en", "UTC",
    )  # fmt: skip
    holder = Holder(f"user:{subject}", (given._replace(**fields),))
    return encode_consent_state(ConsentState(subject, (holder,), request_offset=7, salt=bytes(16)))


def store_of(values: Mapping[str, bytes]) -> PartitionStore:
    store = PartitionStore(PlainSubjects())
    store.merge_consents({subject.encode(): value for subject, value in values.items()}, (), 1)
    return store


def begun(since: int | None = SINCE) -> Reminders:
    passes = Reminders(INTERVAL_S)
    passes.begin_anew(since, NOW)
    return passes


def looked(passes: Reminders, store: PartitionStore, now: int = NOW) -> int:
    """Look until nothing is left; return how often it took."""
    looks = 1
    while not passes.look(store, now):
        looks += 1
    return looks


async def tell(passes: Reminders) -> Told:
    return await passes.tell("app", 3, 9, "policy")


def people(told: Told) -> list[str]:
    return [output.key.decode().removeprefix("user:") for output in told.result.outputs]


async def passed(passes: Reminders, store: PartitionStore, now: int = NOW) -> Told:
    """Go through one pass and note it as committed."""
    looked(passes, store, now)
    told = await tell(passes)
    passes.reached(told.until)
    return told


def test_a_pass_tells_who_is_owed_something_with_a_row_and_a_record_each() -> None:
    async def scenario() -> None:
        store = store_of({"a:1": state("a:1"), "a:2": state("a:2", 90 * DAY), "a:3": state("a:3", 7 * DAY)})
        told = await passed(begun(), store)
        assert people(told) == ["a:1", "a:3"]
        assert told.until == NOW
        assert (told.result.inputs, told.result.counts, told.result.no_consent_runs) == ([], {}, [])
        row, output = told.result.rows[0], told.result.outputs[0]
        assert row[:3] == ("consent.requests", 7, "consent:a:1/1/P30D")
        assert (row.outcome, row.reason, row.rule, row.kind) == (
            Fate.NOTIFY, None, "consent_expires", Kind.SERVICE,
        )  # fmt: skip
        headers = dict(output.headers)
        assert headers["notifier.source"] == b"consent.requests/3/7"
        assert headers["notifier.consent"] == b"9"
        assert headers["ce_id"].decode() == row.notification_id
        assert decode_notification(output.value).decided_at == NOW

    asyncio.run(scenario())


def test_no_look_takes_more_than_some_consents() -> None:
    async def scenario() -> None:
        store = store_of({f"a:{number}": state(f"a:{number}") for number in range(MANY)})
        assert looked(begun(), store) >= 3

    asyncio.run(scenario())


def test_what_changed_since_it_was_looked_at_is_looked_at_again() -> None:
    async def scenario() -> None:
        store = store_of({f"a:{number}": state(f"a:{number}") for number in range(3)})
        passes = begun()
        looked(passes, store)
        changes = {b"a:0": state("a:0", revoked_at=NOW), b"a:1": None, b"b:9": state("b:9")}
        store.merge_consents(changes, (), 2)
        passes.changed(changes)
        assert people(await tell(passes)) == ["a:2", "b:9"]

    asyncio.run(scenario())


def test_what_is_told_is_what_is_owed_at_that_moment() -> None:
    async def scenario() -> None:
        store = store_of({"a:1": state("a:1")})
        passes = begun()
        looked(passes, store)
        store.merge_consents({b"a:1": state("a:1", revoked_at=NOW)}, (), 2)  # though nobody said so
        assert people(await tell(passes)) == []

    asyncio.run(scenario())


def test_the_next_pass_comes_after_the_interval_and_tells_nothing_twice() -> None:
    async def scenario() -> None:
        store, passes = store_of({"a:1": state("a:1")}), begun()
        assert passes.is_due()
        assert people(await passed(passes, store)) == ["a:1"]
        assert not passes.is_due()
        await asyncio.sleep(INTERVAL_S)
        assert passes.is_due()
        assert people(await passed(passes, store, NOW + 1)) == []
        assert passes.reminded_until == NOW + 1

    asyncio.run(scenario())


def test_without_a_mark_nothing_is_told_and_the_mark_is_set() -> None:
    async def scenario() -> None:
        passes = begun(None)
        assert not passes.is_due()
        assert passes.reminded_until == NOW
        await asyncio.sleep(INTERVAL_S)
        assert people(await passed(passes, store_of({"a:1": state("a:1")}), NOW + 1)) == []

    asyncio.run(scenario())


def test_a_clock_that_was_set_back_tells_nothing_and_takes_nothing_back() -> None:
    async def scenario() -> None:
        passes = begun(NOW + DAY)
        assert people(await passed(passes, store_of({"a:1": state("a:1")}))) == []
        assert passes.reminded_until == NOW + DAY

    asyncio.run(scenario())


@pytest.mark.parametrize("room", [1, 1_000])
def test_of_very_many_the_earliest_are_told_and_the_next_pass_follows_at_once(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(reminders, "FOUND_LIMIT", room)
        values = {f"a:{number}": state(f"a:{number}", 30 * DAY - 1_000 + number // 2) for number in range(9)}
        store, passes = store_of(values), begun()
        first = await passed(passes, store)
        assert people(first) == ["a:0", "a:1", "a:2", "a:3"]  # the fourth is due with the third
        assert passes.reminded_until == first.until == NOW - 999
        assert passes.is_due()
        assert people(await passed(passes, store)) == ["a:4", "a:5", "a:6", "a:7"]
        assert people(await passed(passes, store)) == ["a:8"]
        assert not passes.is_due()

    monkeypatch.setattr(reminders, "last_of_pass", partial(last_of_pass, most=3))
    asyncio.run(scenario())
