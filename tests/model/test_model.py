"""The model against outcomes written down by hand from docs/rules.md, one case per sentence of that page."""

import uuid
from typing import Any

import pytest

from tests.model import values
from verifier.model.consents import Answer
from verifier.model.notice import shipment_label, subject_label
from verifier.model.opening import is_valid
from verifier.model.partitions import murmur2, partition_of
from verifier.model.rules import Model, Record, fate

T = 1_700_000_000_000
HOUR, DAY, MINUTE = 3_600_000, 86_400_000, 60_000
SUBJECT = "bank:account-00001234"
FAR = T + 100 * DAY


class Scene:
    """One subject in a model of one partition; every answer is `holder:OUTCOME reason` joined by commas."""

    def __init__(self) -> None:
        self.model = Model(0, 1)
        self.last: dict[str, Any] = {}

    def ask(
        self, action: str, user: str | None, at: int, *, subject: str = SUBJECT, **fields: Any
    ) -> Answer | None:
        value = values.request(subject, action, user, **fields)
        return self.model.fold(SUBJECT.encode(), value, at)

    def grant(
        self, user: str = "u", at: int = T - DAY, action: str = "GRANT", **consent: Any
    ) -> Answer | None:
        given = values.consent(**{"valid_until": FAR, **consent})
        return self.ask(action, user, at, consent=given)

    def raw(
        self, value: bytes | None, now: int = T, topic: str = "bank.transactions", key: bytes | None = None
    ) -> str:
        rows = self.model.decide(Record(topic, 0, 0, SUBJECT.encode() if key is None else key, value), now)
        self.last = next((row.notification for row in rows if row.notification), {})
        return ", ".join(f"{row.holder or ''}:{row.outcome} {row.reason or row.rule}" for row in rows)

    def pay(self, event_id: str, at: int = T, now: int = T, **fields: Any) -> str:
        return self.raw(values.transaction(SUBJECT, at, event_id=event_id, **fields), now)

    def step(self, event_id: str, status: str, amount: int = -1000, **fields: Any) -> str:
        named = {"lifecycle_id": "l-1", "status": status, "amount_minor": amount, **fields}
        return self.pay(event_id, **named)

    def hold(self, event_id: str, at: int = T, now: int = T, **fields: Any) -> str:
        return self.raw(values.balance(SUBJECT, at, event_id=event_id, **fields), now, "bank.balances")

    def warn(self, event_id: str, at: int = T, now: int = T, **fields: Any) -> str:
        return self.raw(values.alert(SUBJECT, at, event_id=event_id, **fields), now, "bank.security")

    def ship(self, event_id: str, status: str, at: int = T, now: int = T, **fields: Any) -> str:
        value = values.shipment(SUBJECT, at, event_id=event_id, status=status, **fields)
        return self.raw(value, now, "shipping.events")


NOTIFY = "u:NOTIFY notify"


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def granted(scene: Scene) -> Scene:
    scene.grant()
    return scene


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


# Section 5


def test_an_event_seen_is_a_duplicate_whatever_its_holders_met(scene: Scene) -> None:
    scene.grant(direction="IN")
    assert scene.pay("e-1") == "u:SUPPRESS DIRECTION"
    assert scene.pay("e-1") == ":DUPLICATE seen"
    assert scene.hold("e-1") == NOTIFY


def test_a_stale_event_is_not_remembered(granted: Scene) -> None:
    for _ in range(2):
        assert granted.pay("e-1", at=T - 7 * HOUR) == "u:SUPPRESS STALE"


def test_a_subject_without_room_for_another_event_is_told_nothing(granted: Scene) -> None:
    for number in range(32_768):
        granted.model._seen._entries.setdefault(SUBJECT.encode(), {})["bank.transactions", f"x-{number}"] = (
            FAR
        )
    assert granted.pay("e-1") == "u:SUPPRESS STATE_LIMIT"
    entries = granted.model._seen._entries[SUBJECT.encode()]
    entries["bank.transactions", "x-0"] = T
    assert granted.pay("e-2") == NOTIFY


# Section 6


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([("PENDING", -1000)], NOTIFY),
        ([("REVERSED", -1000)], "u:SUPPRESS UNCHANGED"),
        ([("PENDING", -1000), ("PENDING", -1000)], "u:DUPLICATE told"),
        ([("PENDING", -1000), ("POSTED", -1000)], "u:SUPPRESS UNCHANGED"),
        ([("PENDING", -1000), ("POSTED", -1050)], "u:SUPPRESS UNCHANGED"),
        ([("PENDING", -1000), ("POSTED", -1051)], NOTIFY),
        ([("PENDING", -1000), ("PENDING", -949)], NOTIFY),
        ([("PENDING", 0), ("POSTED", 1)], NOTIFY),
        ([("POSTED", -1000), ("PENDING", -5000)], "u:SUPPRESS UNCHANGED"),
        ([("POSTED", -1000), ("REVERSED", -1000)], NOTIFY),
        ([("PENDING", -1000), ("REVERSED", -1000)], NOTIFY),
        ([("POSTED", -1000), ("REVERSED", -1000), ("REVERSED", -1000)], "u:DUPLICATE told"),
        ([("POSTED", -1000), ("REVERSED", -1000), ("REVERSED", -1050)], "u:SUPPRESS UNCHANGED"),
        ([("POSTED", -1000), ("REVERSED", -1000), ("REVERSED", -2000)], NOTIFY),
        ([("POSTED", -1000), ("REVERSED", -1000), ("POSTED", -9000)], "u:SUPPRESS UNCHANGED"),
        ([("PENDING", -1000), ("PENDING", -2000), ("PENDING", -1000)], "u:DUPLICATE told"),
        ([("DECLINED", -1000), ("DECLINED", -2000), ("DECLINED", -1000)], "u:DUPLICATE told"),
        ([("DECLINED", -1000), ("DECLINED", -1000)], "u:DUPLICATE told"),
        ([("DECLINED", -1000), ("DECLINED", -1001)], NOTIFY),
        ([("DECLINED", -1000), ("POSTED", -1000)], NOTIFY),
        ([("POSTED", -1000), ("DECLINED", -1000)], NOTIFY),
        ([("DECLINED", -1000), ("REVERSED", -1000)], "u:SUPPRESS UNCHANGED"),
    ],
)
def test_the_last_step_of_a_payment(granted: Scene, steps: list[tuple[str, int]], outcome: str) -> None:
    answers = [granted.step(f"e-{number}", *one) for number, one in enumerate(steps)]
    assert answers[-1] == outcome
    assert set(answers[:-1]) <= {NOTIFY}


def test_only_what_was_told_moves_a_lifecycle(granted: Scene) -> None:
    granted.step("e-1", "PENDING", -1000)
    assert granted.step("e-2", "POSTED", -1040) == "u:SUPPRESS UNCHANGED"
    assert granted.step("e-3", "POSTED", -1080) == NOTIFY


def test_a_told_step_is_forgotten_after_21_days(granted: Scene) -> None:
    granted.step("e-1", "POSTED")
    assert granted.step("e-2", "REVERSED", at=T + 21 * DAY, now=T + 21 * DAY - 1) == NOTIFY
    granted.step("e-3", "POSTED", lifecycle_id="l-2")
    late = granted.step("e-4", "REVERSED", lifecycle_id="l-2", at=T + 21 * DAY, now=T + 21 * DAY)
    assert late == "u:SUPPRESS UNCHANGED"


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([("UNKNOWN", {})], "u:SUPPRESS UNCHANGED"),
        ([("IN_TRANSIT", {}), ("IN_TRANSIT", {})], "u:DUPLICATE told"),
        ([("IN_TRANSIT", {}), ("IN_TRANSIT", {"at": T + 1})], "u:SUPPRESS UNCHANGED"),
        ([("IN_TRANSIT", {}), ("OUT_FOR_DELIVERY", {})], NOTIFY),
        ([("IN_TRANSIT", {}), ("PRE_TRANSIT", {})], "u:SUPPRESS UNCHANGED"),
        ([("IN_TRANSIT", {}), ("PRE_TRANSIT", {"at": T + 1})], NOTIFY),
        ([("IN_TRANSIT", {}), ("DELIVERED", {"at": T - 1})], "u:SUPPRESS UNCHANGED"),
        ([("IN_TRANSIT", {}), ("DELIVERED", {"at": T - 1, "correction_of": "s-0"})], NOTIFY),
        ([("DELIVERED", {}), ("LOST", {"at": T + 1})], "u:SUPPRESS UNCHANGED"),
        ([("DELIVERED", {}), ("LOST", {"at": T + 1, "correction_of": "s-0"})], NOTIFY),
        ([("DELIVERED", {}), ("RETURNING", {"at": T + 1})], NOTIFY),
        ([("IN_TRANSIT", {"eta_at": T}), ("IN_TRANSIT", {"eta_at": T + 3 * DAY})], "u:DUPLICATE told"),
        ([("IN_TRANSIT", {"eta_at": T}), ("IN_TRANSIT", {"eta_at": T + 3 * DAY, "now": T + DAY})], NOTIFY),
        ([("IN_TRANSIT", {"eta_at": T}), ("IN_TRANSIT", {"eta_at": T, "now": T + DAY})], "u:DUPLICATE told"),
        ([("IN_TRANSIT", {}), ("IN_TRANSIT", {"eta_at": T, "now": T + DAY})], "u:DUPLICATE told"),
    ],
)
def test_the_last_step_of_a_parcel(
    granted: Scene, steps: list[tuple[str, dict[str, Any]]], outcome: str
) -> None:
    answers = [granted.ship(f"s-{number}", status, **fields) for number, (status, fields) in enumerate(steps)]
    assert answers[-1] == outcome


def test_a_balance_older_than_the_one_told_is_unchanged(granted: Scene) -> None:
    assert granted.hold("b-1") == NOTIFY
    assert granted.hold("b-2", at=T - 1) == "u:SUPPRESS UNCHANGED"
    assert granted.hold("b-3") == NOTIFY


# Section 7


@pytest.mark.parametrize(
    ("kind", "fields", "text"),
    [
        ("pay", {}, "RECEIPT|e-1|POSTED|-1250"),
        ("pay", {"lifecycle_id": "l-1", "status": "DECLINED"}, "DECLINED|l-1|DECLINED|-1250"),
        ("hold", {}, "BALANCE|e-1|100000"),
        ("warn", {}, "SECURITY|e-1"),
    ],
)
def test_an_id_is_made_of_recipient_subject_kind_key_and_revision(
    granted: Scene, kind: str, fields: dict[str, Any], text: str
) -> None:
    assert getattr(granted, kind)("e-1", **fields) == NOTIFY
    namespace = uuid.UUID("1b5eb6ff-3e37-4091-bfeb-9304ea67c482")
    joined = "\x1f".join(["u", SUBJECT, *text.split("|")])
    assert granted.last["notification_id"] == str(uuid.uuid5(namespace, joined))


def test_a_shipments_id_holds_its_time_and_that_of_a_new_eta_its_date(granted: Scene) -> None:
    namespace = uuid.UUID("1b5eb6ff-3e37-4091-bfeb-9304ea67c482")
    start = ["u", SUBJECT, "SHIPPING", "parcel-0001", "IN_TRANSIT"]
    granted.ship("s-1", "IN_TRANSIT", eta_at=T)
    assert granted.last["notification_id"] == str(uuid.uuid5(namespace, "\x1f".join([*start, str(T)])))
    granted.ship("s-2", "IN_TRANSIT", now=T + DAY, eta_at=T + 3 * DAY)
    assert granted.last["notification_id"] == str(uuid.uuid5(namespace, "\x1f".join([*start, "2023-11-17"])))


def test_a_payment_at_each_detail_level_shows_what_the_tags_allow(scene: Scene) -> None:
    whole: dict[str, Any] = {
        "original_amount_minor": 7,
        "original_currency": "EUR",
        "merchant_name": "Shop",
        "merchant_country": "DE",
        "category": "food",
        "balance_after_minor": 3,
        "decline_reason": "OTHER",
    }
    shown = {}
    for level in ("ACTIVITY_ONLY", "AMOUNT", "AMOUNT_MERCHANT", "FULL"):
        scene.grant(at=T - HOUR, detail_level=level)
        assert scene.pay(level, status="DECLINED", **whole) == "u:NOTIFY notify"
        names = ("amount_minor", "currency", "merchant_name", "decline_reason", *whole)
        shown[level] = {name for name in names if scene.last[name] is not None}
        assert scene.last["status"] == "DECLINED"
        scene.ask("ERASE", "u", T)
    assert shown["ACTIVITY_ONLY"] == set()
    amounts = {
        "amount_minor",
        "currency",
        "original_amount_minor",
        "original_currency",
        "balance_after_minor",
    }
    assert shown["AMOUNT"] == amounts
    assert shown["AMOUNT_MERCHANT"] == amounts | {"merchant_name", "merchant_country", "category"}
    assert shown["FULL"] == shown["AMOUNT_MERCHANT"] | {"decline_reason"}


def test_the_envelope_of_a_notification(granted: Scene) -> None:
    assert granted.warn("a-1", at=T - MINUTE) == NOTIFY
    told = granted.last
    assert (told["kind"], told["template_key"], told["priority"], told["push"]) == (
        "SECURITY",
        "security",
        0,
        "REGULAR",
    )
    assert (told["occurred_at"], told["not_before"], told["decided_at"]) == (T - MINUTE, T - MINUTE, T)
    assert told["not_after"] == T + 14 * MINUTE
    assert (told["subject_label"], told["alert_type"], told["severity"]) == (
        "bank …1234",
        "NEW_DEVICE",
        "HIGH",
    )
    assert (told["consent_id"], told["consent_version"], told["channel_ref"]) == ("c-1", 1, "psid-1")
    assert (told["thread_id"], told["items"], told["currency"]) == (None, None, None)


def test_labels_mask_all_but_four_characters_of_eight() -> None:
    assert subject_label("bank:1234567") == "bank"
    assert subject_label("bank:12345678") == "bank …5678"
    assert subject_label("a-name-of-seventeen") == "a-name-of-sevent"
    assert shipment_label({"carrier": "DHL", "shipment_id": "12345678"}) == "DHL …5678"
    assert shipment_label({"carrier": None, "shipment_id": "1234567"}) == "…"


# Section 8


def test_requests_are_answered_in_the_order_of_the_page(scene: Scene) -> None:
    good = values.consent(FAR)
    answers = [
        (scene.ask("GRANT", None, T, consent=good), "NO_USER"),
        (scene.ask("GRANT", "", T, consent=None), "NO_USER"),
        (scene.ask("GRANT", "u", T, consent=None), "NO_CONSENT_GIVEN"),
        (scene.grant(purposes=[], valid_until=0), "NO_PURPOSE"),
        (scene.grant(purposes=["RECEIPT", "UNKNOWN"]), "NO_PURPOSE"),
        (scene.grant(at=T, valid_until=T, direction="UNKNOWN"), "VALIDITY"),
        (scene.grant(at=T, valid_until=T + 365 * DAY + 1), "VALIDITY"),
        (scene.grant(direction="UNKNOWN", action="CHANGE"), "INVALID"),
        (scene.grant(detail_level="UNKNOWN"), "INVALID"),
        (scene.grant(consent_id="x" * 257), "INVALID"),
        (scene.grant(min_amount_minor=-1), "INVALID"),
        (scene.grant(currency="euro"), "INVALID"),
        (scene.grant(action="CHANGE"), "NOT_GRANTED"),
        (scene.ask("GRANT", "u", T, consent=good, expected_version=1), "VERSION_CONFLICT"),
        (scene.ask("GRANT", "u", T, consent=good, expected_version=0), None),
        (scene.ask("CHANGE", "u", T, consent=good, expected_version=0), "VERSION_CONFLICT"),
        (scene.ask("CHANGE", "u", T, consent=good, expected_version=1), None),
        (scene.ask("REVOKE", "nobody", T), None),
        (scene.ask("UNKNOWN", "u", T), "UNREADABLE"),
        (scene.ask("GRANT", "u", T, subject="bank:2", consent=good), "SUBJECT_MISMATCH"),
    ]
    assert [answer.reason if answer else "none" for answer, _ in answers] == [reason for _, reason in answers]


def test_a_ninth_holder_is_one_too_many(scene: Scene) -> None:
    for number in range(8):
        assert scene.grant(f"u-{number}") == Answer(None, 1, T - DAY)
    assert scene.grant("u-8") == Answer("TOO_MANY_HOLDERS")
    assert scene.grant("u-7") == Answer(None, 2, T - DAY)


def test_an_unreadable_request_suspends_until_the_next_readable_one(granted: Scene) -> None:
    key = SUBJECT.encode()
    for broken in (None, b"", b"\x00\x00\x00\x00\x06garbage"):
        assert granted.model.fold(key, broken, T) == Answer("UNREADABLE")
        assert granted.pay("e-1") == ":SUPPRESS CONSENT_UNREADABLE"
        assert granted.ask("GRANT", None, T) == Answer("NO_USER")
    assert granted.pay("e-1") == NOTIFY


def test_a_subject_that_never_granted_is_suspended_too(scene: Scene) -> None:
    scene.model.fold(SUBJECT.encode(), b"", T)
    assert scene.raw(b"garbage") == ":SUPPRESS CONSENT_UNREADABLE"
    scene.ask("REVOKE", None, T)
    assert scene.raw(b"garbage") == ":SUPPRESS NO_CONSENT"


def test_a_request_of_another_partition_folds_nothing() -> None:
    model = Model((partition_of(SUBJECT.encode(), 4) + 1) % 4, 4)
    value = values.request(SUBJECT, "GRANT", "u", consent=values.consent(FAR))
    assert model.fold(SUBJECT.encode(), value, T) == Answer("MISROUTED")
    assert model.fold(None, value, T) is None
    assert model.consents.find(SUBJECT.encode()) is None


def test_a_revocation_counts_at_once_and_a_new_grant_revives_nothing(scene: Scene) -> None:
    scene.grant(at=T - 3 * HOUR)
    assert scene.ask("REVOKE", None, T - 2 * HOUR, requested_at=T + DAY) == Answer(None)
    assert scene.pay("e-1", at=T - 2 * HOUR - 1) == "u:SUPPRESS REVOKED"
    assert scene.grant(at=T - HOUR) == Answer(None, 2, T - HOUR)
    assert scene.pay("e-2", at=T - 2 * HOUR - 1) == "u:SUPPRESS NOT_EFFECTIVE"
    assert scene.pay("e-3") == NOTIFY
    assert scene.last["consent_version"] == 2


def test_a_request_may_ask_for_later_but_never_earlier(scene: Scene) -> None:
    assert scene.grant("a", at=T, effective_at=T - DAY) == Answer(None, 1, T)
    assert scene.grant("b", at=T, effective_at=T + DAY) == Answer(None, 1, T + DAY)


def test_erased_holders_are_gone_and_with_the_last_one_the_subject(scene: Scene) -> None:
    scene.grant("a")
    scene.grant("b")
    scene.ask("ERASE", "a", T)
    assert scene.pay("e-1") == "b:NOTIFY notify"
    scene.ask("ERASE", None, T)
    assert scene.raw(b"garbage") == ":SUPPRESS NO_CONSENT"
    assert scene.grant("a") == Answer(None, 1, T - DAY)


def test_an_erased_subject_takes_along_what_was_remembered_of_it(granted: Scene) -> None:
    assert granted.step("e-1", "POSTED") == NOTIFY
    granted.ask("ERASE", None, T)
    granted.grant()
    assert granted.step("e-1", "POSTED") == NOTIFY


def test_eight_versions_are_kept(scene: Scene) -> None:
    for number in range(10):
        scene.grant(at=T - 20 * HOUR + number)
    subject = scene.model.consents.find(SUBJECT.encode())
    assert subject is not None
    assert [one["version"] for one in subject.holders["u"]] == [3, 4, 5, 6, 7, 8, 9, 10]


def test_a_version_whose_successor_is_older_than_any_event_that_counts_is_dropped(scene: Scene) -> None:
    scene.grant(at=T - 4 * DAY)
    scene.grant(at=T - 3 * DAY)
    scene.grant(at=T)
    subject = scene.model.consents.find(SUBJECT.encode())
    assert subject is not None
    assert [one["version"] for one in subject.holders["u"]] == [2, 3]
