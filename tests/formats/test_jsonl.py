import json
from pathlib import Path
from typing import Any

import pytest

from streams.core.codes import ConsentAction, Purposes, Severity, ShipmentStatus, TransactionStatus
from streams.core.consent import ConsentRequest, Preferences
from streams.core.events import AccountBalance, BankTransaction, SecurityAlert, ShipmentUpdate
from tests.formats.samples import parsed, read, rejects

PAYMENT = {
    "event_id": "t1", "subject": "bank:7", "occurred_at": 1_700_000_000_000, "status": "POSTED",
    "amount_minor": -1250, "currency": "EUR",
}  # fmt: skip
BALANCE = {"event_id": "b", "subject": "bank:7", "as_of": 1, "booked_minor": 2, "currency": "EUR"}
ALERT = {
    "event_id": "a", "subject": "bank:7", "occurred_at": 5, "type": "NEW_DEVICE", "severity": "HIGH",
}  # fmt: skip
PARCEL = {"event_id": "s", "subject": "shop:1", "shipment_id": "p", "status": "LOST", "status_at": 9}
CONSENT = {
    "consent_id": "c", "version": 0, "purposes": ["RECEIPT", "SHIPPING"], "detail_level": "FULL",
    "direction": "OUT", "channel_ref": "ch", "effective_at": 1, "valid_until": 2, "notice_id": "n",
    "notice_hash": "h", "locale": "de", "timezone": "Europe/Berlin",
    "preferences": {"min_amount_minor": 500, "currency": "EUR"},
}  # fmt: skip
REQUEST = {
    "request_id": "r", "subject": "bank:7", "user_id": "user:1", "action": "GRANT", "requested_at": 3,
    "requested_by": "USER", "consent": CONSENT,
}  # fmt: skip


def one(tmp_path: Path, value: Any) -> tuple[str, Any]:
    """The topic and value of a line that must be accepted."""
    outcomes = read("jsonl", tmp_path, json.dumps(value))
    assert rejects(outcomes) == []
    [only] = parsed(outcomes)
    return only.events[0]


def reason(tmp_path: Path, line: str) -> str:
    """The reason of a line that must be rejected, while its neighbours stay."""
    outcomes = read("jsonl", tmp_path, f"{json.dumps(BALANCE)}\n{line}\n{json.dumps(PARCEL)}\n")
    assert [row.line for row in parsed(outcomes)] == [1, 3]
    [(number, text)] = rejects(outcomes)
    assert number == 2
    return text


@pytest.mark.parametrize(
    ("value", "topic", "kind"),
    [
        (PAYMENT, "bank.transactions", BankTransaction),
        (BALANCE, "bank.balances", AccountBalance),
        (ALERT, "bank.security", SecurityAlert),
        (PARCEL, "shipping.events", ShipmentUpdate),
        (REQUEST, "consent.requests", ConsentRequest),
    ],
)
def test_required_fields_tell_the_record(tmp_path: Path, value: Any, topic: str, kind: type) -> None:
    found_topic, found = one(tmp_path, value)
    assert (found_topic, type(found)) == (topic, kind)


@pytest.mark.parametrize(
    "naming",
    [
        {"type": "BankTransaction"},
        {"type": "bank_transaction"},
        {"record": "BankTransaction"},
        {"schema": "notifier.v1.BankTransaction"},
        {"topic": "bank.transactions"},
        {"topic": "bank.transactions", "record": "bank_transaction"},
    ],
)
def test_a_record_may_be_named_in_several_ways(tmp_path: Path, naming: dict[str, str]) -> None:
    # With the fields of a balance too, the required fields alone would not decide.
    assert one(tmp_path, {**BALANCE, **PAYMENT, **naming})[0] == "bank.transactions"


def test_an_alert_keeps_its_own_type(tmp_path: Path) -> None:
    expected = ("bank.security", SecurityAlert("a", "bank:7", 5, "NEW_DEVICE", Severity.HIGH))
    assert one(tmp_path, {**ALERT, "record": "SecurityAlert"}) == expected
    assert one(tmp_path, {**ALERT, "topic": "bank.security"}) == expected


def test_an_alert_named_by_type_lacks_its_own(tmp_path: Path) -> None:
    assert reason(tmp_path, json.dumps({**ALERT, "type": "SecurityAlert"})) == "type is missing"


def test_times_may_be_iso_8601_with_a_zone(tmp_path: Path) -> None:
    for text in ("2023-11-14T22:13:20Z", "2023-11-14T23:13:20.000+01:00", "2023-11-14 19:13:20-03:00"):
        assert one(tmp_path, {**PAYMENT, "occurred_at": text})[1].occurred_at == 1_700_000_000_000


def test_a_symbol_that_we_do_not_know_is_unknown(tmp_path: Path) -> None:
    assert one(tmp_path, {**PAYMENT, "status": "BLOCKED"})[1].status is TransactionStatus.UNKNOWN
    assert one(tmp_path, {**PARCEL, "status": "DELIVERED"})[1].status is ShipmentStatus.DELIVERED


def test_avro_unions_and_plain_values_are_the_same(tmp_path: Path) -> None:
    plain = one(tmp_path, {**PAYMENT, "mcc": "5411", "balance_after_minor": 5, "channel": "POS"})
    unions = {"mcc": {"string": "5411"}, "balance_after_minor": {"long": 5}}
    for channel in ("Channel", "notifier.v1.Channel"):
        assert one(tmp_path, {**PAYMENT, **unions, "channel": {channel: "POS"}}) == plain


def test_fields_left_out_or_null_have_their_defaults_and_others_are_ignored(tmp_path: Path) -> None:
    assert one(tmp_path, {**PAYMENT, "mcc": None, "novelty": [1, {}]}) == one(tmp_path, PAYMENT)


def test_a_consent_request_is_read_with_its_consent(tmp_path: Path) -> None:
    request = one(tmp_path, REQUEST)[1]
    assert request.action is ConsentAction.GRANT
    assert request.consent.purposes == Purposes.RECEIPT | Purposes.SHIPPING
    assert request.consent.preferences == Preferences(500, "EUR", None)
    assert not request.has_unknown_purpose
    assert one(tmp_path, {**REQUEST, "consent": {"notifier.v1.Consent": CONSENT}})[1] == request


def test_an_unknown_purpose_is_told_and_grants_nothing(tmp_path: Path) -> None:
    for consent in (
        {**CONSENT, "purposes": ["ADVERTISING"]},
        {"Consent": {**CONSENT, "purposes": ["ADVERTISING"]}},
    ):
        request = one(tmp_path, {**REQUEST, "consent": consent})[1]
        assert request.has_unknown_purpose
        assert request.consent.purposes == 0


def test_a_revocation_needs_no_consent(tmp_path: Path) -> None:
    revoke = {key: REQUEST[key] for key in ("request_id", "subject", "requested_at")}
    request = one(tmp_path, {**revoke, "action": "REVOKE", "requested_by": "BANK"})[1]
    assert (request.action, request.user_id, request.consent) == (ConsentAction.REVOKE, None, None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"amount_minor": 12.5}, "amount_minor is not a whole number"),
        ({"amount_minor": 12.0}, "amount_minor is not a whole number"),
        ({"amount_minor": "12"}, "amount_minor is not a whole number"),
        ({"amount_minor": True}, "amount_minor is not a whole number"),
        ({"amount_minor": None}, "amount_minor is not a whole number"),
        ({"amount_minor": 2**63}, "amount_minor does not fit 64 bits"),
        ({"event_id": 7}, "event_id is not a text"),
        ({"event_id": "\ud800"}, "event_id is not valid Unicode"),
        ({"occurred_at": "2023-11-14T22:13:20"}, "occurred_at has no zone"),
        ({"occurred_at": "soon"}, "occurred_at is neither epoch milliseconds nor an ISO 8601 time"),
        ({"occurred_at": 1.5}, "occurred_at is not a whole number"),
        ({"status": 2}, "status is not a symbol"),
        ({"mcc": {"long": 5}}, "mcc is not a text"),
        ({"topic": "bank.balances"}, "topic carries another record than the line names"),
        ({"topic": "notifier.state"}, "topic is none that is published to"),
        ({"topic": 5}, "topic is none that is published to"),
        ({"record": "Notification"}, "record names none of our records"),
        ({"record": ["x"]}, "record names none of our records"),
    ],
)
def test_a_wrong_field_is_rejected_by_its_name(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    assert reason(tmp_path, json.dumps({"record": "BankTransaction", **PAYMENT, **change})) == expected


def test_a_missing_required_field_is_rejected_by_its_name(tmp_path: Path) -> None:
    for name in PAYMENT:
        left = {key: value for key, value in PAYMENT.items() if key != name}
        assert reason(tmp_path, json.dumps({**left, "record": "BankTransaction"})) == f"{name} is missing"


def test_a_fault_inside_a_consent_is_named_by_its_path(tmp_path: Path) -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"purposes": "RECEIPT"}, "consent.purposes is not a list"),
        ({"preferences": {"currency": 1}}, "consent.preferences.currency is not a text"),
        ({"preferences": []}, "consent.preferences is not an object"),
    ]
    for change, expected in faults:
        assert reason(tmp_path, json.dumps({**REQUEST, "consent": {**CONSENT, **change}})) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[]", "line is not an object"),
        ("{", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        ("[" * 100_000, "not JSON: nested too deep"),
        ("1" * 5_000, "not JSON: a number with too many digits"),
        ('{"a": NaN}', "not JSON: NaN or Infinity"),
        ('{"a": 1, "a": 2}', "a key appears twice"),
        ('{"event_id": "x"}', "which record is this? Name it in `record`, or give all its required fields"),
        (
            json.dumps({**PAYMENT, **BALANCE}),
            "which record is this? Name it in `record`, or give all its required fields",
        ),
    ],
)
def test_a_line_that_is_no_record_is_rejected(tmp_path: Path, line: str, expected: str) -> None:
    assert reason(tmp_path, line) == expected


def test_a_line_that_is_not_utf_8_is_rejected(tmp_path: Path) -> None:
    outcomes = read("jsonl", tmp_path, json.dumps(PAYMENT).encode() + b"\n\xe9\n")
    assert rejects(outcomes) == [(2, "not utf-8: byte 1 of the line")]


def test_empty_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path) -> None:
    outcomes = read("jsonl", tmp_path, f"\ufeff{json.dumps(PAYMENT)}\r\n\r\n  \n{json.dumps(BALANCE)}")
    assert [row.line for row in parsed(outcomes)] == [1, 4]
    assert rejects(outcomes) == []
