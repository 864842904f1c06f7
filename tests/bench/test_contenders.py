"""The contenders of the benchmark: who there is, who a quick run takes, and what the Python peers write."""

import io
import json
from pathlib import Path
from uuid import UUID

import fastavro
import pytest

from bench.__main__ import chosen
from bench.contenders import ALL
from bench.contenders.fastavro_join import Consents, join, read_grant
from bench.rounds import Plan, timed_events, warmup_events
from bench.workload import Workload, policy_of

SCHEMA = fastavro.schema.load_schema(str(Path(__file__).parents[2] / "schemas" / "notification.avsc"))
WORK = Workload(3_000, 1_700_000_000_000, subjects=500)
SHOWN = {
    2: {"status", "amount_minor", "currency"},
    3: {"status", "amount_minor", "currency", "merchant_name", "merchant_country"},
    4: {"status", "amount_minor", "currency", "merchant_name", "merchant_country", "category"},
}


def test_contenders_have_names_groups_and_settings_of_their_own() -> None:
    names = [one.name for one in ALL]
    assert len(set(names)) == len(names)
    others = [one for one in ALL if not one.name.startswith("ours-")]
    assert len({one.group for one in others}) == len(others)
    assert all(one.settings for one in ALL), "settings are published with the figures"
    json.dumps([dict(one.settings) for one in ALL])


def test_every_guarantee_store_and_form_of_kafka_streams_is_a_contender() -> None:
    found = {one.name for one in ALL if one.name.startswith("kafka-streams-")}
    assert found == {
        f"kafka-streams-{guarantee}{form}{store}"
        for guarantee in ("exactly-once-v2", "at-least-once")
        for form in ("", "-idiomatic")
        for store in ("", "-rocksdb")
    }


def test_only_floors_have_no_output_to_judge() -> None:
    floors = [one.name for one in ALL if one.is_floor]
    assert floors == ["floor-raw-fetch", "floor-aiokafka-consume"]
    assert all(one.output_topic for one in ALL if not one.is_floor)


def test_a_quick_run_takes_ours_and_the_main_peers_and_a_full_one_all() -> None:
    quick = [one.name for one in chosen(None, is_quick=True)]
    ours = [one.name for one in ALL if one.name.startswith("ours-")]
    peers = ["naive-faust", "kafka-streams-exactly-once-v2", "kafka-streams-at-least-once"]
    assert quick == [*ours, *peers, "flink-exactly-once", "floor-aiokafka-consume"]
    assert chosen(None, is_quick=False) == list(ALL)
    assert [one.name for one in chosen(["quix-streams"], is_quick=True)] == ["quix-streams"]


@pytest.fixture(scope="module")
def consents() -> Consents:
    found = ((key, read_grant(value)) for key, value in WORK.grants())
    return {key: consent for key, consent in found if consent is not None}


def test_python_peers_tell_what_the_workload_expects(consents: Consents) -> None:
    told = 0
    for number, (key, value) in enumerate(WORK.messages()):
        expected = WORK.notification_id(number)
        made = join(consents, key, value)
        assert (made is None) == (expected is None)
        if made is None or expected is None:
            continue
        told += 1
        recipient, framed = made
        assert framed[:5] == b"\0\0\0\0\x09"
        found = fastavro.schemaless_reader(io.BytesIO(framed[5:]), SCHEMA, None)
        assert isinstance(found, dict)
        assert UUID(str(found["notification_id"])).bytes == expected
        assert str(found["recipient"]).encode() == recipient
        level = policy_of(WORK.accounts[number]).detail_level
        projected = {name for name in SHOWN[4] if found[name] is not None}
        assert projected == SHOWN[level]
    assert told > 500


def test_a_contender_with_a_window_of_its_own_still_has_one_in_a_short_run() -> None:
    plan = Plan(events=200_000, warmup_events=40_000, rounds=1, limit_s=1)
    for one in ALL:
        assert warmup_events(one, plan) + timed_events(one, plan) <= plan.events
        assert timed_events(one, plan) >= 90_000
