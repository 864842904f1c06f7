"""The door of the codec: frames, headers, what comes back for broken input, round trips of the core's
types.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.codes import ConsentAction, Fate, Kind, Purposes, Reason, RequestedBy, TransactionStatus
from streams.core.consent import Consent, ConsentRequest, ConsentState, Holder, Preferences
from streams.core.decision import Notification
from streams.core.events import EVENT_TYPES, AccountBalance, BankTransaction, SecurityAlert, ShipmentUpdate
from streams.wire import codec
from streams.wire.schemas import our_schemas
from streams.wire.write_plan import compile_writer
from tests.wire.avro_values import GOLDEN, as_avro, raw_schema

SCHEMA = our_schemas().current("decision_batch")
EVENT_NAMES = ("bank_transaction", "account_balance", "security_alert", "shipment_update")
GOLDEN_EVENTS = (
    BankTransaction(
        "tx-0001",
        "berka:1787",
        1732000000123,
        TransactionStatus.POSTED,
        -123456789012,
        "CZK",
        "auth-77",
        None,
        4999,
        "EUR",
        "Bäckerei Čapek 🥐",
        "CZ",
        "5812",
        "dining",
        1,
        None,
        "POS 4711 PRAHA",
        None,
        0,
    ),
    AccountBalance("bal-1", "berka:1787", 1732000000123, -1, "CZK", 2**63 - 1, 64),
    SecurityAlert("sec-1", "bank:a", 0, "NEW_DEVICE", 5, "devices"),
    ShipmentUpdate(
        "ship-1",
        "olist:861eff4711a542e4b93843c6dd7febb0",
        "e481f51cbdc54678b7cc49136f2d6af7",
        12,
        1732000000123,
        "order-1",
        "DHL",
        1732172800123,
        "São Paulo",
        True,
        None,
        "held",
    ),
)
CONSENT = Consent(
    "consent-1",
    0,
    Purposes.RECEIPT | Purposes.SECURITY,
    3,
    3,
    "psid:1",
    5,
    9,
    None,
    "n",
    "h",
    "de",
    "UTC",
    Preferences(500, "EUR"),
)
REQUEST = ConsentRequest("req-1", "s:1", "user:1", ConsentAction.GRANT, 7, RequestedBy.USER, CONSENT, 0)


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


@pytest.mark.parametrize("event_type", range(4))
def test_golden_events_are_read_into_the_cores_types(event_type: int) -> None:
    event = codec.decode_event(event_type, golden(EVENT_NAMES[event_type]))
    assert event == GOLDEN_EVENTS[event_type]
    assert type(event) is EVENT_TYPES[event_type]
    assert codec.encode_event(GOLDEN_EVENTS[event_type]) == golden(EVENT_NAMES[event_type])


@pytest.mark.parametrize("event_type", range(4))
def test_the_header_names_the_schema_by_id_or_guid_and_the_value_has_no_frame(event_type: int) -> None:
    schema = our_schemas().current(EVENT_NAMES[event_type])
    value = golden(EVENT_NAMES[event_type])
    for header in (schema.frame, b"\x01" + schema.guid):
        assert codec.decode_event(event_type, value[5:], header) == GOLDEN_EVENTS[event_type]
        assert codec.decode_event(event_type, value, header) is Reason.UNDECODABLE


def test_a_frame_of_another_schema_is_unknown_on_this_topic() -> None:
    assert codec.decode_event(0, golden("account_balance")) is Reason.UNKNOWN_SCHEMA
    assert codec.decode_event(0, b"\x00\x7f\xff\xff\xff") is Reason.UNKNOWN_SCHEMA
    assert codec.decode_event(0, b"\x02s", b"\x01" + bytes(16)) is Reason.UNKNOWN_SCHEMA
    assert codec.decode_event(0, b"\x02s", b"\x00\x00\x00\x00\x63") is Reason.UNKNOWN_SCHEMA


@pytest.mark.parametrize(
    "value", [b"", b"\x00", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00\x01", b'{"event_id": "1"}']
)
def test_a_value_without_a_frame_is_undecodable(value: bytes) -> None:
    assert codec.decode_event(0, value) is Reason.UNDECODABLE


@pytest.mark.parametrize(
    "header", [b"", b"\x00", b"\x00\x00\x00\x01", b"\x01" + bytes(15), b"\x02" + bytes(16), b"\x00" * 17]
)
def test_a_header_that_is_none_is_undecodable(header: bytes) -> None:
    assert codec.decode_event(0, golden("bank_transaction")[5:], header) is Reason.UNDECODABLE


@pytest.mark.parametrize("event_type", range(4))
def test_a_frame_with_nothing_behind_it_and_bytes_left_over_are_undecodable(event_type: int) -> None:
    value = golden(EVENT_NAMES[event_type])
    assert codec.decode_event(event_type, value[:5]) is Reason.UNDECODABLE
    assert codec.decode_event(event_type, value + b"\x00") is Reason.UNDECODABLE


def test_an_unknown_symbol_and_half_a_character_are_undecodable() -> None:
    value = golden("security_alert")
    at = value.index(b"NEW_DEVICE") + len("NEW_DEVICE")
    assert value[at] == 10
    assert codec.decode_event(2, value[:at] + bytes([12]) + value[at + 1 :]) is Reason.UNDECODABLE
    assert codec.decode_event(2, value.replace(b"NEW_DEVICE", b"NEW_DEVIC\xc3")) is Reason.UNDECODABLE


@settings(max_examples=300, deadline=None)
@given(event_type=st.integers(0, 3), value=st.binary(max_size=60), header=st.none() | st.binary(max_size=20))
def test_decoding_gives_a_value_or_a_reason_and_never_raises(
    event_type: int, value: bytes, header: bytes | None
) -> None:
    frame = our_schemas().current(EVENT_NAMES[event_type]).frame
    for data in (value, frame + value):
        result = codec.decode_event(event_type, data, header)
        assert isinstance(result, EVENT_TYPES[event_type]) or result in {
            Reason.UNDECODABLE,
            Reason.UNKNOWN_SCHEMA,
        }
    codec.decode_consent_request(value, header)
    codec.decode_consent_state(our_schemas().current("consent_state").frame + value)


def test_a_notification_of_the_core_is_the_golden_one_without_digest() -> None:
    sample: dict[str, Any] = json.loads((GOLDEN / "notification.json").read_text())
    golden_one = codec.decode_notification(golden("notification"))
    assert golden_one.kind == Kind.RECEIPT
    assert golden_one.merchant_name == sample["merchant_name"]
    notification = golden_one._replace(items=None)
    value = codec.encode_notification(notification)
    assert type(codec.decode_notification(value)) is Notification
    assert codec.decode_notification(value) == notification
    assert as_avro(notification, raw_schema("notification")) == {**sample, "items": None}


def test_a_broken_value_of_our_own_raises() -> None:
    decoders = {
        "notification": codec.decode_notification,
        "consent_result": codec.decode_consent_result,
        "decision_batch": codec.decode_decision_batch,
        "subject_state": codec.decode_subject_state,
        "position_marker": codec.decode_position_marker,
    }
    for name, decode in decoders.items():
        decode(golden(name))
        for broken in (golden(name)[:-1], b"", golden("recall")):
            with pytest.raises(codec.UndecodableError, match="cannot be read"):
                decode(broken)


def test_requests_come_back_as_they_went() -> None:
    revoke = REQUEST._replace(action=ConsentAction.REVOKE, user_id=None, consent=None, expected_version=None)
    for request in (REQUEST, revoke, REQUEST._replace(has_unknown_purpose=True)):
        value = codec.encode_consent_request(request)
        assert codec.decode_consent_request(value) == request
        header = our_schemas().current("consent_request").frame
        assert codec.decode_consent_request(value[5:], header) == request


def test_a_purpose_that_we_do_not_know_is_told_and_grants_nothing() -> None:
    request = codec.decode_consent_request(
        codec.encode_consent_request(REQUEST._replace(has_unknown_purpose=True))
    )
    assert request is not None
    assert request.consent == CONSENT
    state = ConsentState("s:1", (Holder("user:1", (CONSENT._replace(purposes=CONSENT.purposes | 1),)),))
    assert codec.decode_consent_state(codec.encode_consent_state(state)) == ConsentState(
        "s:1", (Holder("user:1", (CONSENT,)),)
    )


def test_a_request_and_a_state_that_cannot_be_read_are_none() -> None:
    value = codec.encode_consent_request(REQUEST)
    for broken in (b"", value[:-1], value + b"\x00", golden("consent_state"), golden("bank_transaction")):
        assert codec.decode_consent_request(broken) is None
    for broken in (b"", golden("consent_state")[:-1], value):
        assert codec.decode_consent_state(broken) is None


def test_states_results_and_markers_come_back_as_they_went() -> None:
    state = codec.decode_consent_state(golden("consent_state"))
    assert state is not None
    assert [len(holder.versions) for holder in state.holders] == [2, 1]
    assert state.holders[0].versions[0].purposes == Purposes.RECEIPT
    assert (state.suspended, state.request_offset) == (True, 8191)
    assert codec.encode_consent_state(state) == golden("consent_state")
    assert codec.encode_consent_result(codec.decode_consent_result(golden("consent_result"))) == golden(
        "consent_result"
    )
    assert codec.encode_position_marker(codec.decode_position_marker(golden("position_marker"))) == golden(
        "position_marker"
    )
    assert codec.decode_subject_state(golden("subject_state")) == (70000, b"\x00\x01\x7f\x80\xffpacked")
    assert codec.encode_subject_state(70000, b"\x00\x01\x7f\x80\xffpacked") == golden("subject_state")


def batch(offset: int) -> codec.DecisionBatch:
    row = codec.DecisionRow("t", offset, "e", "u", Fate.NOTIFY, None, "notify", Kind.RECEIPT, "c", 1, "n")
    count = codec.FateCount(Fate.SUPPRESS, Reason.NO_CONSENT, None, 2)
    return codec.DecisionBatch(
        3,
        (codec.InputRange("t", offset, offset, offset + 1, 1),),
        0,
        9,
        "1",
        (count,),
        (codec.OffsetRun("t", 1, 2, 2),),
        (row,),
    )


def test_the_golden_batch_has_its_own_hash() -> None:
    assert codec.verify_hash(golden("decision_batch"))


def test_a_chain_of_batches_is_checked_by_each_hash_and_the_one_before() -> None:
    first, first_hash = codec.encode_decision_batch(batch(1), "")
    second, second_hash = codec.encode_decision_batch(batch(2), first_hash)
    assert codec.decode_decision_batch(first) == batch(1)._replace(hash=first_hash)
    assert codec.decode_decision_batch(second) == batch(2)._replace(
        previous_hash=first_hash, hash=second_hash
    )
    assert codec.verify_hash(first)
    assert codec.verify_hash(second)
    other, _ = codec.encode_decision_batch(batch(2), second_hash)
    assert codec.decode_decision_batch(other).hash != second_hash


def test_a_changed_batch_fails_its_hash() -> None:
    value, own_hash = codec.encode_decision_batch(batch(1), "")
    assert not codec.verify_hash(value.replace(b"notify", b"nobody"))
    nonsense = batch(1)._replace(previous_hash="not hexadecimal")
    assert not codec.verify_hash(compile_writer(SCHEMA.avro, SCHEMA.frame)(nonsense._replace(hash=own_hash)))
    forged = "0" if own_hash[-1] != "0" else "1"
    assert not codec.verify_hash(value[:-1] + forged.encode())


def test_a_batch_without_a_chain_has_no_hash_to_verify() -> None:
    value, own_hash = codec.encode_decision_batch(batch(1), None)
    assert own_hash == ""
    assert codec.decode_decision_batch(value) == batch(1)
    assert not codec.verify_hash(value)
