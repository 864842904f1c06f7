"""What becomes of link requests: one person per channel, every subject revoked with the link."""

import pytest

from streams.core.codes import (
    ConsentOutcome,
    LinkAction,
    LinkRefusal,
    LinkRequestedBy,
    LinkStatus,
    RequestedBy,
)
from streams.core.fold import MAX_NAME_CHARS
from streams.core.links import MAX_SUBJECTS, LinkRequest, LinkState, fold_link, link_before
from streams.formats.grants import GrantRule, grant

CHANNEL, ANNA, BEN = "psid:1", "anna", "ben"
APPENDED_MS, OFFSET = 1_700_000_000_000, 40
LINKED = LinkState(CHANNEL, ANNA, ("bank:1", "shop:1"), LinkStatus.LINKED, 5, 7)
MANY = tuple(f"bank:{number}" for number in range(MAX_SUBJECTS))
LONG = "x" * MAX_NAME_CHARS


def request(
    action: LinkAction | int, *subjects: str, user: str | None = ANNA, channel: str = CHANNEL
) -> LinkRequest:
    return LinkRequest("r", channel, user, action, subjects, 3, LinkRequestedBy.USER)


def link(*subjects: str, user: str | None = ANNA, channel: str = CHANNEL) -> LinkRequest:
    return request(LinkAction.LINK, *subjects, user=user, channel=channel)


def linked(*subjects: str, user: str = ANNA, at: int = APPENDED_MS) -> LinkState:
    return LinkState(CHANNEL, user, subjects, LinkStatus.LINKED, at, OFFSET)


@pytest.mark.parametrize(
    ("state", "asked", "after", "revoked"),
    [
        (None, link("bank:1"), linked("bank:1"), ()),
        (None, link("b", "a", "b"), linked("b", "a"), ()),
        (None, link(*MANY), linked(*MANY), ()),
        (None, link(LONG, user=LONG), linked(LONG, user=LONG), ()),
        (LINKED, link("bank:2", "bank:1"), linked("bank:1", "shop:1", "bank:2", at=5), ()),
        (LINKED, link(*LINKED.subjects), linked(*LINKED.subjects, at=5), ()),
        (LINKED._replace(status=LinkStatus.UNLINKED), link("b", user=BEN), linked("b", user=BEN), ()),
        (LINKED, request(LinkAction.UNLINK), None, LINKED.subjects),
        (LINKED, request(LinkAction.UNLINK, "bank:9", user=None), None, LINKED.subjects),
        (LINKED, request(LinkAction.UNLINK, user=BEN), None, LINKED.subjects),
        (LINKED._replace(status=LinkStatus.UNLINKED), request(LinkAction.UNLINK), None, ()),
        (None, request(LinkAction.UNLINK, user=None), None, ()),
        (LINKED, request(LinkAction.FORGET, "bank:1"), linked("shop:1", at=5), ()),
        (LINKED, request(LinkAction.FORGET, "bank:9", user=None), LINKED, ()),
        (LINKED, request(LinkAction.FORGET), LINKED, ()),
        (LINKED, request(LinkAction.FORGET, "shop:1", "bank:1"), None, ()),
        (None, request(LinkAction.FORGET, "bank:1"), None, ()),
    ],
)
def test_what_is_accepted(
    state: LinkState | None, asked: LinkRequest, after: LinkState | None, revoked: tuple[str, ...]
) -> None:
    expected = (after, ConsentOutcome.ACCEPTED, None, revoked)
    assert fold_link(state, CHANNEL, asked, APPENDED_MS, OFFSET) == expected


@pytest.mark.parametrize(
    ("state", "asked", "reason"),
    [
        (LINKED, None, LinkRefusal.UNREADABLE),
        (LINKED, request(LinkAction.UNKNOWN, "bank:1"), LinkRefusal.UNREADABLE),
        (LINKED, request(17, "bank:1"), LinkRefusal.UNREADABLE),
        (LINKED, link("bank:2", channel="psid:2"), LinkRefusal.CHANNEL_MISMATCH),
        (LINKED, request(LinkAction.UNLINK, channel="psid:2"), LinkRefusal.CHANNEL_MISMATCH),
        (None, link("bank:1", user=None), LinkRefusal.NO_USER),
        (None, link("bank:1", user=""), LinkRefusal.NO_USER),
        (None, link(), LinkRefusal.INVALID),
        (None, link("bank:1", ""), LinkRefusal.INVALID),
        (None, link("bank:1", LONG + "x"), LinkRefusal.INVALID),
        (None, link("bank:1", user=LONG + "x"), LinkRefusal.INVALID),
        (LINKED, link("bank:2", user=BEN), LinkRefusal.LINKED_TO_ANOTHER),
        (LINKED, link(*MANY, user=BEN), LinkRefusal.LINKED_TO_ANOTHER),
        (LINKED, request(LinkAction.FORGET, "bank:1", user=BEN), LinkRefusal.LINKED_TO_ANOTHER),
        (None, link(*MANY, "one:more"), LinkRefusal.TOO_MANY_SUBJECTS),
        (LINKED, link(*MANY), LinkRefusal.TOO_MANY_SUBJECTS),
    ],
)
def test_what_is_refused_changes_nothing(
    state: LinkState | None, asked: LinkRequest | None, reason: LinkRefusal
) -> None:
    expected = (state, ConsentOutcome.REFUSED, reason, ())
    assert fold_link(state, CHANNEL, asked, APPENDED_MS, OFFSET) == expected


def test_a_channel_of_too_many_characters_is_refused() -> None:
    channel = LONG + "x"
    outcome = fold_link(None, channel, link("bank:1", channel=channel), APPENDED_MS, OFFSET)
    assert outcome.reason == LinkRefusal.INVALID


def test_a_link_that_is_asked_again_is_refused_and_what_takes_away_is_not() -> None:
    again = fold_link(None, CHANNEL, link("bank:1"), APPENDED_MS, OFFSET, is_replayed=True)
    assert again == (None, ConsentOutcome.REFUSED, LinkRefusal.REPLAYED, ())
    kept = fold_link(LINKED, CHANNEL, link("bank:9"), APPENDED_MS, OFFSET, is_replayed=True)
    assert kept == (LINKED, ConsentOutcome.REFUSED, LinkRefusal.REPLAYED, ())
    unlink = request(LinkAction.UNLINK)
    ended = fold_link(LINKED, CHANNEL, unlink, APPENDED_MS, OFFSET, is_replayed=True)
    assert ended == (None, ConsentOutcome.ACCEPTED, None, LINKED.subjects)
    forget = request(LinkAction.FORGET, "bank:1")
    left = fold_link(LINKED, CHANNEL, forget, APPENDED_MS, OFFSET, is_replayed=True)
    assert left.state == linked("shop:1", at=5)


def test_a_grant_is_linked_first_to_the_channel_that_it_names() -> None:
    asked = grant("bank:1", ANNA, GrantRule(1, 1), APPENDED_MS)
    assert asked.consent is not None
    expected = LinkRequest(
        f"link:{asked.request_id}",
        asked.consent.channel_ref,
        ANNA,
        LinkAction.LINK,
        ("bank:1",),
        APPENDED_MS,
        LinkRequestedBy.USER,
    )
    assert link_before(asked) == expected
    by_bank = link_before(asked._replace(requested_by=RequestedBy.BANK))
    assert by_bank == expected._replace(requested_by=LinkRequestedBy.OPERATOR)
    assert link_before(asked._replace(consent=None)) is None
    assert link_before(asked._replace(user_id=None)) is None
