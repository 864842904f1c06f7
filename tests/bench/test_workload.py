"""The benchmark's input is what it says it is, and its judge agrees with the product's own types."""

import io
import random
import uuid
from collections import Counter
from pathlib import Path

import fastavro
import pytest

from bench.workload import (
    ACCOUNTS,
    PARTITIONS,
    TEXT_CHARACTERS,
    VALID_MS,
    Workload,
    policy_of,
    subject_of,
    user_of,
)
from streams.core.codes import ConsentAction, Direction, TransactionStatus
from streams.wire.codec import decode_consent_request

SCHEMAS = Path(__file__).parents[2] / "schemas"
BASE_MS = 1_700_000_000_000


def decode(schema: str, value: bytes) -> dict[str, object]:
    """Read a framed value to its end with fastavro, times as plain numbers."""
    stream = io.BytesIO(value[5:])
    parsed = fastavro.parse_schema(fastavro.schema.load_schema(str(SCHEMAS / f"{schema}.avsc")))
    record = fastavro.schemaless_reader(stream, parsed, None)
    assert stream.read() == b"", "bytes left over"
    assert isinstance(record, dict)
    return record


def test_every_event_is_a_whole_bank_transaction_of_about_130_bytes() -> None:
    work = Workload(3_000, BASE_MS)
    sizes = []
    for number, (key, value) in enumerate(work.messages()):
        sizes.append(len(value))
        if number % 100:
            continue
        event = decode("bank_transaction", value)
        assert value[:5] == b"\0\0\0\0\x01"
        assert key.decode() == event["subject"] == subject_of(work.accounts[number])
        assert event["event_id"] == f"{number:032x}"
        assert event["status"] == "POSTED"
        assert event["amount_minor"] == work.amounts[number] < 0
        assert event["currency"] == "EUR"
        assert str(event["merchant_name"]).endswith(" GmbH")
        assert event["lifecycle_id"] is None
        assert isinstance(event["balance_after_minor"], int)
        assert event["occurred_at"].timestamp() * 1000 == BASE_MS + number // 1_000  # type: ignore[attr-defined]
    assert 105 <= sum(sizes) / len(sizes) <= 145


def test_grants_are_readable_and_cover_three_tenths_of_the_accounts() -> None:
    work = Workload(1, BASE_MS)
    grants = list(work.grants())
    assert len(grants) == len(work.consented) == ACCOUNTS * 3 // 10
    for account, (key, value) in list(zip(sorted(work.consented), grants, strict=True))[::500]:
        decode("consent_request", value)
        request = decode_consent_request(value)
        assert request is not None
        assert request.consent is not None
        assert key.decode() == request.subject == subject_of(account)
        assert request.user_id == user_of(account)
        assert request.action == ConsentAction.GRANT
        assert request.consent.direction == Direction.BOTH
        assert request.consent.valid_until == BASE_MS + VALID_MS
        assert request.consent.preferences.min_amount_minor == policy_of(account).min_amount_minor


def test_most_consented_events_notify_and_no_other_does() -> None:
    work = Workload(20_000, BASE_MS)
    told = [number for number in range(work.events) if work.notification_id(number)]
    assert {work.accounts[number] for number in told} <= work.consented
    consented = sum(account in work.consented for account in work.accounts)
    assert 0.28 < consented / work.events < 0.32
    assert 0.9 < len(told) / consented < 1


def test_a_notification_id_is_the_uuid5_that_rules_md_names() -> None:
    work = Workload(2_000, BASE_MS)
    namespace = uuid.UUID("1b5eb6ff-3e37-4091-bfeb-9304ea67c482")
    for number in random.Random(1).sample(range(work.events), 500):
        found = work.notification_id(number)
        if found is None:
            continue
        account = work.accounts[number]
        parts = [user_of(account), subject_of(account), "RECEIPT", f"{number:032x}"]
        parts += [TransactionStatus.POSTED.name, str(work.amounts[number])]
        assert uuid.UUID(bytes=found) == uuid.uuid5(namespace, "\x1f".join(parts))


def test_offsets_count_the_events_of_each_partition_in_order() -> None:
    work = Workload(5_000, BASE_MS)
    seen: Counter[int] = Counter()
    for number, account in enumerate(work.accounts):
        partition = work.partition_of_account[account]
        assert work.offsets[number] == seen[partition]
        seen[partition] += 1
    assert set(seen) == set(range(PARTITIONS))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    first, again, other = (list(Workload(500, BASE_MS, seed).messages()) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@pytest.mark.parametrize("value_bytes", [80, 100, 129, 180, 300, 1_024, 1_160, 4_096, 4_300, 10_240])
def test_values_have_the_size_asked_for_and_no_text_beyond_the_limit(value_bytes: int) -> None:
    sizes = []
    for key, value in Workload(600, BASE_MS, value_bytes=value_bytes).messages():
        event = decode("bank_transaction", value)
        assert event["subject"] == key.decode()
        texts = [event[name] for name in ("description", "category", "merchant_name")]
        assert all(len(text) <= TEXT_CHARACTERS for text in texts if isinstance(text, str))
        sizes.append(len(value))
    assert abs(sum(sizes) / len(sizes) - value_bytes) <= 3


def test_subjects_consented_share_and_partitions_are_what_was_asked_for() -> None:
    work = Workload(5_000, BASE_MS, consented_share=0.5, subjects=1_000, partitions=16)
    assert len(work.consented) == len(list(work.grants())) == 500
    assert set(work.accounts) <= set(range(1_000))
    assert set(work.partition_of_account) == set(range(16))
    told = sum(work.notification_id(number) is not None for number in range(work.events))
    assert 0.42 < told / work.events < 0.5


def test_everybody_or_nobody_may_consent() -> None:
    assert len(Workload(1, BASE_MS, consented_share=1.0).consented) == ACCOUNTS
    assert not Workload(1, BASE_MS, consented_share=0.0).consented
