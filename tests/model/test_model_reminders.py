"""The model of notices that a consent ends: which number of days is told when, and in which words."""

from typing import Any

import pytest

from tests.model.scene import DAY, SUBJECT, Scene, T
from verifier.model.reminders import MOST_TOLD, Reminders

KEY = SUBJECT.encode()
END = T + 40 * DAY


class Told:
    """What passes may tell of one subject."""

    def __init__(self, scene: Scene) -> None:
        self.reminders = Reminders(scene.model.consents)

    def at(self, now: int) -> list[str]:
        """Return each holder and the number of days."""
        rows = self.reminders.owed(KEY, now).values()
        return [f"{row.holder} {(row.event_id or '').rpartition('/')[2]}" for row in rows]


@pytest.mark.parametrize(
    ("days_before", "off", "told"),
    [
        (30, -1, []),
        (30, 0, ["u P30D"]),
        (7, -1, ["u P30D"]),
        (7, 0, ["u P7D"]),
        (1, -1, ["u P7D"]),
        (1, 0, ["u P1D"]),
        (0, -1, ["u P1D"]),
        (0, 0, []),
    ],
)
def test_of_what_is_due_the_fewest_days_are_told_until_the_end(
    scene: Scene, days_before: int, off: int, told: list[str]
) -> None:
    scene.grant(at=T, valid_until=END)
    assert Told(scene).at(END - days_before * DAY + off) == told


@pytest.mark.parametrize(("lasts", "told"), [(7 * DAY, []), (7 * DAY + 1, ["u P7D"])])
def test_a_consent_that_was_given_for_fewer_days_needs_no_notice_of_them(
    scene: Scene, lasts: int, told: list[str]
) -> None:
    scene.grant(at=T, valid_until=T + lasts)
    assert Told(scene).at(T + lasts - 7 * DAY) == told


def test_the_last_version_alone_counts_and_only_while_it_stands(scene: Scene) -> None:
    told = Told(scene)
    scene.grant(at=T, valid_until=END)
    scene.grant("v", at=T, valid_until=END)
    assert told.at(END - DAY) == ["u P1D", "v P1D"]
    scene.grant(at=T, action="CHANGE", valid_until=END + 100 * DAY)
    assert told.at(END - DAY) == ["v P1D"]
    scene.ask("REVOKE", "v", T)
    assert told.at(END - DAY) == []


def test_of_a_suspended_subject_nothing_is_told(scene: Scene) -> None:
    scene.grant(at=T, valid_until=END)
    scene.model.fold(KEY, b"unreadable", T)
    assert Told(scene).at(END - DAY) == []


def test_a_pass_does_not_tell_what_an_earlier_one_went_past(scene: Scene) -> None:
    scene.grant(at=T, valid_until=END)
    told = Told(scene)
    told.reminders.end_pass(END - 8 * DAY, [])
    assert told.at(END - 8 * DAY) == []
    assert told.at(END - 7 * DAY) == ["u P7D"]
    told.reminders.end_pass(END - 6 * DAY, [END - 7 * DAY])
    told.reminders.end_pass(END - 8 * DAY, [])
    assert told.at(END - 7 * DAY) == [], "nor does one whose clock is behind"


def test_a_pass_that_was_cut_goes_past_what_it_told_alone(scene: Scene) -> None:
    scene.grant(at=T, valid_until=END)
    told = Told(scene)
    told.reminders.end_pass(END - 20 * DAY, [END - 31 * DAY] * MOST_TOLD)
    assert told.at(END - 20 * DAY) == ["u P30D"]
    told.reminders.end_pass(END - 20 * DAY, [END - 31 * DAY] * (MOST_TOLD - 1))
    assert told.at(END - 20 * DAY) == []


def test_a_notice_shows_no_more_than_that_a_consent_ends(scene: Scene) -> None:
    scene.grant(at=T - DAY, valid_until=END + DAY)
    scene.grant(
        at=T, action="CHANGE", valid_until=END, purposes=["SECURITY", "SHIPPING", "BALANCE"], locale="de",
        channel_ref="psid-2", timezone="UTC",
    )  # fmt: skip
    [(name, row)] = Told(scene).reminders.owed(KEY, END - 7 * DAY + 5).items()
    given: dict[str, Any] = {k: v for k, v in (row.notification or {}).items() if v is not None}
    assert given.pop("status", "P7D") == "P7D"
    assert given == {
        "notification_id": "53e5822e-2dfe-51b7-af60-62bbe39d62f1",
        "recipient": "u",
        "channel_ref": "psid-2",
        "kind": "SERVICE",
        "purpose": "BALANCE",
        "template_key": "service.consent_expires",
        "detail_level": "ACTIVITY_ONLY",
        "locale": "de",
        "timezone": "UTC",
        "priority": 2,
        "push": "REGULAR",
        "occurred_at": END - 7 * DAY,
        "decided_at": END - 7 * DAY + 5,
        "not_before": END - 7 * DAY,
        "not_after": END,
        "source_event_id": "c-1/2/P7D",
        "subject_label": "bank …1234",
        "consent_id": "c-1",
        "consent_version": 2,
    }
    assert name == given["notification_id"]
    assert (row.outcome, row.reason, row.rule, row.kind) == ("NOTIFY", None, "consent_expires", "SERVICE")
