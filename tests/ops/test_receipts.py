from typing import Any

import pytest

from streams.core.codes import DetailLevel, Direction, Purposes
from streams.core.consent import Consent, ConsentState, Holder, Preferences
from streams.errors import CheckFailedError
from streams.ops.erasure import NEVER_MS, Removal, erasure_receipt, removal
from streams.ops.receipts import consent_receipt
from streams.wire.topics import CONSENT_STATE, DELIVERY, TOPIC_BY_NAME

DAY_MS, NOW = 86_400_000, 1_800_000_000_000
GIVEN = Consent(
    "consent:1", 1, Purposes.RECEIPT, DetailLevel.AMOUNT, Direction.OUT, "psid:1", NOW - DAY_MS,
    NOW + DAY_MS, None, "notice:1", "ab" * 32, "de-AT", "Europe/Vienna", Preferences(1_000, "EUR"),
)  # fmt: skip


def receipt_of(*versions: Consent, user: str = "anna") -> dict[str, Any]:
    state = ConsentState("bank:1", (Holder("anna", versions), Holder("ben", (GIVEN,))))
    return consent_receipt(state, user, "The Bank", "receipt:1", NOW)


def test_a_receipt_says_who_what_for_which_data_how_long_and_how_to_take_it_back() -> None:
    receipt = receipt_of(GIVEN)
    assert receipt["receipt_metadata"] == {
        "schema_version": "ISO/IEC TS 27560:2023", "receipt_id": "receipt:1",
        "issued_at": "2027-01-15T08:00:00.000Z",
    }  # fmt: skip
    assert receipt["notice"] == {"notice_id": "notice:1", "notice_sha256": "ab" * 32, "language": "de-AT"}
    [processing] = receipt["pii_processing"]
    assert (processing["purpose"], processing["lawful_basis"]) == ("RECEIPT", "consent")
    fields = {one["field"] for one in processing["pii_information"]}
    assert {"amount_minor", "recipient"} <= fields
    assert not {"merchant_name", "booked_minor", "location"} & fields
    assert processing["limits"] == {"min_amount_minor": 1_000, "currency": "EUR"}
    assert processing["retention_period"] == ["PT24H"]
    assert "revoke" in processing["withdrawal_method"]


def test_more_detail_and_more_purposes_show_more_data() -> None:
    everything = GIVEN._replace(purposes=30, detail_level=DetailLevel.FULL)
    shown = {
        one["purpose"]: {field["field"] for field in one["pii_information"]}
        for one in receipt_of(everything)["pii_processing"]
    }
    assert shown.keys() == {"BALANCE", "RECEIPT", "SHIPPING", "SECURITY"}
    assert "merchant_name" in shown["RECEIPT"]
    assert "booked_minor" in shown["BALANCE"]
    assert "location" in shown["SHIPPING"]


def test_every_version_and_the_withdrawal_are_events_of_this_person_only() -> None:
    later = GIVEN._replace(version=2, effective_at=NOW, revoked_at=NOW)
    events = receipt_of(GIVEN, later)["events"]
    assert [(one["event_type"], one["version"], one["entity_id"]) for one in events] == [
        ("consent given", 1, "anna"), ("consent changed", 2, "anna"), ("consent withdrawn", 2, "anna"),
    ]  # fmt: skip


def test_whoever_has_no_consent_gets_no_receipt() -> None:
    with pytest.raises(CheckFailedError, match="cleo has no consent"):
        receipt_of(GIVEN, user="cleo")


def test_a_topic_with_retention_forgets_after_it_a_segment_and_the_broker_s_delays() -> None:
    config = {
        "retention.ms": "1000", "segment.ms": "200", "file.delete.delay.ms": "30",
        "message.timestamp.type": "LogAppendTime", "message.timestamp.after.max.ms": "9999",
    }  # fmt: skip
    assert removal(TOPIC_BY_NAME[DELIVERY], config, 5, 7, 0).latest_ms == 1_235
    created = {**config, "message.timestamp.type": "CreateTime"}
    assert removal(TOPIC_BY_NAME[DELIVERY], created, 5, 7, 0).latest_ms == 1_235 + 9_999
    assert removal(TOPIC_BY_NAME[DELIVERY], {**config, "retention.ms": "-1"}, 5, 7, 0).latest_ms == NEVER_MS


def test_a_compacted_topic_forgets_a_value_and_then_its_tombstone() -> None:
    config = {"max.compaction.lag.ms": "100", "delete.retention.ms": "20", "file.delete.delay.ms": "3"}
    found = removal(TOPIC_BY_NAME[CONSENT_STATE], config, 5, 7, 0)
    assert (found.latest_ms, found.by) == (100 + 100 + 20 + 14 + 3, "compaction")


@pytest.mark.parametrize("is_shared", [True, False])
def test_an_erasure_says_what_is_kept_and_what_has_no_end(is_shared: bool) -> None:
    removed = [
        Removal("a", NOW, "retention"),
        Removal("b", NEVER_MS, "retention"),
        Removal("c", NEVER_MS // 2, "x"),
    ]
    receipt = erasure_receipt(
        "bank:1", "anna", {"position": "consent.requests/0/1"}, removed, "The Bank", "receipt:1", NOW,
        is_shared=is_shared,
    )  # fmt: skip
    assert [one["latest"] for one in receipt["topics"]] == ["2027-01-15T08:00:00.000Z", None, None]
    assert [one["topic"] for one in receipt["kept"]] == ["consent.evidence", "notifier.state"][
        : 1 + is_shared
    ]
    assert ("memory of what was told" in receipt["at_once"]) is not is_shared


def test_a_consent_whose_end_is_past_all_calendars_has_a_receipt() -> None:
    [event] = receipt_of(GIVEN._replace(valid_until=2**60))["events"]
    assert event["valid_until"] is None
