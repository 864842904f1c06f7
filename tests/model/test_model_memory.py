"""The model against docs/rules.md, sections 5 to 7: what is remembered, and what notifications say."""

import uuid
from typing import Any

import pytest

from tests.model.scene import DAY, FAR, HOUR, MINUTE, NOTIFY, SUBJECT, Scene, T
from verifier.model.notice import shipment_label, subject_label

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
