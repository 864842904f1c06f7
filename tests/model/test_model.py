"""The model against outcomes written down by hand from docs/rules.md, sections 1 to 4: a case a sentence."""

from typing import Any

import pytest

from tests.model import values
from tests.model.scene import DAY, HOUR, MINUTE, NOTIFY, SUBJECT, Scene, T
from verifier.model.opening import is_valid
from verifier.model.partitions import murmur2, partition_of
from verifier.model.rules import Model, Record, fate

# Section 1: before the value is opened


def test_the_first_rule_that_applies_decides_before_the_value_is_opened(scene: Scene) -> None:
    assert scene.raw(b"garbage", key=b"") == ":REJECT NO_KEY"
    assert scene.raw(b"x" * 1_048_577) == ":REJECT TOO_LARGE"
    assert scene.raw(b"x" * 1_048_576) == ":SUPPRESS NO_CONSENT"
    assert scene.raw(None) == ":SUPPRESS NO_CONSENT"


def test_a_key_that_belongs_to_another_partition_is_misrouted_unless_it_has_consent() -> None:
    own = partition_of(b"bank:1", 4)
    for partition in range(4):
        rows = Model(partition, 4).decide(Record("bank.transactions", partition, 0, b"bank:1", b""), T)
        assert rows[0].reason == ("NO_CONSENT" if partition == own else "MISROUTED")


def test_murmur2_is_that_of_the_java_client() -> None:
    # The vectors of Kafka's UtilsTest.testMurmur2.
    vectors = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    vectors |= {b"a-little-bit-longer-string": -1486304829, b"abc": 479470107}
    vectors |= {b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971}
    assert {key: murmur2(key) for key in vectors} == {
        key: hash_ & 0xFFFFFFFF for key, hash_ in vectors.items()
    }


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (None, "REJECT TOMBSTONE"),
        (b"", "REJECT UNDECODABLE"),
        (b"\x01\x00\x00\x00\x01", "REJECT UNDECODABLE"),
        (b"\x00\x00\x00\x00\x02", "REJECT UNKNOWN_SCHEMA"),
        (b"\x00\x00\x00\x00\x01", "REJECT UNDECODABLE"),
        (values.transaction(SUBJECT, T) + b"\x00", "REJECT UNDECODABLE"),
        (values.transaction("bank:2", T), "REJECT SUBJECT_MISMATCH"),
        (values.transaction(SUBJECT, T, status="UNKNOWN"), "REJECT INVALID"),
        (values.transaction(SUBJECT, T + 5 * MINUTE + 1), "REJECT FUTURE"),
    ],
)
def test_a_value_of_a_consented_subject_is_rejected_for_the_first_thing_wrong(
    granted: Scene, value: bytes | None, outcome: str
) -> None:
    assert granted.raw(value) == ":" + outcome


def test_an_event_five_minutes_ahead_is_not_yet_the_future(granted: Scene) -> None:
    assert granted.pay("e", at=T + 5 * MINUTE) == NOTIFY


def test_closed_holders_keep_the_value_shut_and_each_gives_its_reason(scene: Scene) -> None:
    scene.grant("c", purposes=["SHIPPING"])
    scene.grant("b")
    scene.ask("REVOKE", "b", T - HOUR)
    scene.grant("a", valid_until=T)
    scene.grant("d", effective_at=T + 1)
    gated = "a:SUPPRESS EXPIRED, b:SUPPRESS REVOKED, c:SUPPRESS PURPOSE, d:SUPPRESS NOT_EFFECTIVE"
    assert scene.raw(b"garbage") == gated
    scene.grant("e")
    assert scene.raw(b"garbage") == ":REJECT UNDECODABLE"
    assert scene.pay("e-1") == gated + ", e:NOTIFY notify"


def test_security_alone_opens_transactions_for_declined_payments_only(scene: Scene) -> None:
    scene.grant(purposes=["SECURITY"])
    assert scene.pay("e-1") == "u:SUPPRESS PURPOSE"
    assert scene.pay("e-2", status="DECLINED") == NOTIFY
    assert scene.last["purpose"] == "SECURITY"
    assert scene.hold("b-1") == "u:SUPPRESS PURPOSE"


# Section 2


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        ("bank_transaction", {"event_id": ""}),
        ("bank_transaction", {"event_id": "x" * 129}),
        ("bank_transaction", {"lifecycle_id": ""}),
        ("bank_transaction", {"currency": "EURO"}),
        ("bank_transaction", {"currency": "eur"}),
        ("bank_transaction", {"original_currency": "E1R"}),
        ("bank_transaction", {"merchant_country": "DEU"}),
        ("bank_transaction", {"mcc": "12a4"}),
        ("bank_transaction", {"description": "x" * 1025}),
        ("bank_transaction", {"occurred_at": -1}),
        ("bank_transaction", {"amount_minor": 10**15}),
        ("bank_transaction", {"balance_after_minor": -(10**15)}),
        ("security_alert", {"type": ""}),
        ("security_alert", {"type": "x" * 65}),
        ("shipment_update", {"eta_at": 253_402_300_800_000}),
        ("shipment_update", {"shipment_id": ""}),
    ],
)
def test_a_field_past_its_limit_makes_the_event_invalid(schema: str, fields: dict[str, Any]) -> None:
    assert not is_valid(schema, {"status": "POSTED", **fields})


def test_fields_at_their_limits_are_valid() -> None:
    fields = {"event_id": "x" * 128, "amount_minor": 10**15 - 1, "mcc": "0000", "merchant_country": "DE"}
    fields["status"] = "POSTED"
    assert is_valid(
        "bank_transaction", {**fields, "description": "x" * 1024, "order_ref": None, "currency": "EUR"}
    )


# Section 3


def test_terms_are_the_intersection_of_the_version_at_the_event_and_all_later_ones(scene: Scene) -> None:
    scene.grant(at=T - 3 * HOUR, purposes=["RECEIPT", "SECURITY"], direction="IN")
    scene.grant(at=T - HOUR, purposes=["RECEIPT", "BALANCE"], direction="BOTH", detail_level="AMOUNT")
    assert scene.pay("e-1", at=T - 2 * HOUR) == "u:SUPPRESS DIRECTION"
    assert scene.pay("e-2", at=T - 2 * HOUR, amount_minor=5, balance_after_minor=9) == NOTIFY
    assert (scene.last["detail_level"], scene.last["balance_after_minor"]) == ("AMOUNT", None)
    assert scene.pay("e-3", balance_after_minor=9) == NOTIFY
    assert scene.last["balance_after_minor"] == 9
    assert scene.pay("e-4", at=T - 4 * HOUR) == "u:SUPPRESS NOT_EFFECTIVE"


def test_in_with_out_allows_nothing_and_no_amount_matches_neither(scene: Scene) -> None:
    scene.grant(at=T - 2 * HOUR, direction="IN")
    assert scene.pay("e-0", amount_minor=0) == "u:SUPPRESS DIRECTION"
    scene.grant(at=T - HOUR, direction="OUT")
    assert scene.pay("e-1", at=T - 2 * HOUR, amount_minor=5) == "u:SUPPRESS DIRECTION"
    assert scene.pay("e-2", at=T - 2 * HOUR, amount_minor=-5) == "u:SUPPRESS DIRECTION"


def test_an_earlier_end_of_the_chain_ends_it(scene: Scene) -> None:
    scene.grant(at=T - 2 * HOUR, valid_until=T)
    scene.grant(at=T - HOUR)
    assert scene.pay("e-1", at=T - HOUR - 1) == "u:SUPPRESS EXPIRED"
    assert scene.pay("e-2", at=T - HOUR) == NOTIFY


def test_a_later_version_not_effective_yet_narrows_at_once(scene: Scene) -> None:
    scene.grant(at=T - 2 * HOUR)
    scene.grant(at=T - HOUR, effective_at=T + HOUR, purposes=["BALANCE"])
    assert scene.hold("b-1") == NOTIFY
    assert scene.pay("e-1") == "u:SUPPRESS PURPOSE"


def test_a_threshold_compares_only_in_its_own_currency(scene: Scene) -> None:
    scene.grant(min_amount_minor=1000, currency="EUR", low_balance_minor=500)
    assert scene.pay("e-1") == "u:SUPPRESS CURRENCY_NO_RULE"
    assert scene.pay("e-2", currency="EUR", amount_minor=-999) == "u:SUPPRESS BELOW_MINIMUM"
    assert scene.pay("e-3", currency="EUR", amount_minor=-1000) == NOTIFY
    assert scene.pay("e-4", status="DECLINED", amount_minor=-1) == NOTIFY
    assert scene.hold("b-1") == "u:SUPPRESS CURRENCY_NO_RULE"
    assert scene.hold("b-2", currency="EUR", booked_minor=500) == "u:SUPPRESS BELOW_MINIMUM"
    assert scene.hold("b-3", currency="EUR", booked_minor=499) == NOTIFY


def test_two_thresholds_in_two_currencies_allow_no_currency(scene: Scene) -> None:
    scene.grant(at=T - 2 * HOUR, min_amount_minor=1, currency="EUR")
    scene.grant(at=T - HOUR, min_amount_minor=1, currency="CZK")
    assert scene.pay("e-1", at=T - 2 * HOUR) == "u:SUPPRESS CURRENCY_NO_RULE"
    assert scene.pay("e-2", at=T - 2 * HOUR, currency="EUR") == "u:SUPPRESS CURRENCY_NO_RULE"
    assert scene.pay("e-3") == NOTIFY


def test_the_highest_minimum_of_the_chain_holds(scene: Scene) -> None:
    scene.grant(at=T - 2 * HOUR, min_amount_minor=2000)
    scene.grant(at=T - HOUR, min_amount_minor=1000)
    assert scene.pay("e-1", at=T - 2 * HOUR) == "u:SUPPRESS BELOW_MINIMUM"
    assert scene.pay("e-2") == NOTIFY


# Section 4


@pytest.mark.parametrize(
    ("kind", "age", "outcome"),
    [
        ("pay", 6 * HOUR, NOTIFY),
        ("pay", 6 * HOUR + 1, "u:SUPPRESS STALE"),
        ("hold", HOUR, NOTIFY),
        ("hold", HOUR + 1, "u:SUPPRESS STALE"),
        ("warn", 15 * MINUTE, NOTIFY),
        ("warn", 15 * MINUTE + 1, "u:SUPPRESS STALE"),
    ],
)
def test_an_event_older_than_its_kind_allows_is_stale(
    granted: Scene, kind: str, age: int, outcome: str
) -> None:
    assert getattr(granted, kind)("e-1", at=T - age) == outcome


def test_a_shipment_is_stale_after_two_days(scene: Scene) -> None:
    scene.grant(at=T - 3 * DAY)
    assert scene.ship("s-1", "IN_TRANSIT", at=T - 2 * DAY) == NOTIFY
    assert scene.ship("s-2", "DELIVERED", at=T - 2 * DAY - 1) == "u:SUPPRESS STALE"


def test_removed_is_never_told_and_comes_before_direction(scene: Scene) -> None:
    scene.grant(direction="IN")
    assert scene.pay("e-1", status="REMOVED") == "u:SUPPRESS REMOVED"
    assert scene.pay("e-2") == "u:SUPPRESS DIRECTION"
    assert scene.pay("e-3", status="DECLINED") == "u:SUPPRESS DIRECTION"
    assert scene.pay("e-4", amount_minor=1) == NOTIFY


def test_the_records_fate_is_the_strongest_of_its_holders(scene: Scene) -> None:
    scene.grant("a", purposes=["SECURITY"])
    scene.grant("b")
    rows = scene.model.decide(
        Record("bank.transactions", 0, 0, SUBJECT.encode(), values.transaction(SUBJECT, T)), T
    )
    assert [row.outcome for row in rows] == ["SUPPRESS", "NOTIFY"]
    assert fate(rows).holder == "b"
