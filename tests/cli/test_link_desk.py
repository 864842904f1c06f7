"""Links at the consent desk, without Kafka: what is asked, and what is made of the answers."""

import asyncio
import json
from typing import Any

import pytest

from streams.cli import consent, link_desk
from streams.cli.consent_desk import Wishes, fresh_grant, request_of
from streams.cli.link_desk import LINK_REFUSALS, forget, is_linked_still, link_for, link_request
from streams.core.codes import ConsentAction, LinkAction, LinkRefusal, LinkRequestedBy, LinkStatus
from streams.core.consent import ConsentRequest
from streams.core.links import LinkRequest, LinkState
from streams.settings import Settings
from streams.wire.codec import decode_link_request, encode_link_request
from tests.cli.conftest import Run

SETTINGS = Settings.from_env({})
LINK = LinkState("psid:1", "anna", ("bank:1", "bank:2"), LinkStatus.LINKED, 5, 7)
WISHES = Wishes(2, "full", "both", None, None, None, None, "psid:1", "en", "UTC")
GRANT = request_of(ConsentAction.GRANT, "bank:1", "anna", fresh_grant("bank:1", "anna", WISHES, SETTINGS))


class Workers:
    """Answers every link request with `outcome`; `asked` has them. `links` is what they have stored."""

    def __init__(self, outcome: str | None = "ACCEPTED", links: tuple[LinkState, ...] = (LINK,)) -> None:
        self.outcome = outcome
        self.links = links
        self.asked: list[LinkRequest] = []

    async def submit_link(self, _: Settings, request: LinkRequest, *, waits: bool) -> dict[str, Any]:
        self.asked.append(request)
        refused = self.outcome == "REFUSED"
        return {
            "request_id": request.request_id,
            "position": "link.requests/0/0",
            "outcome": self.outcome if waits else None,
            "reason": "LINKED_TO_ANOTHER" if refused else None,
            "meaning": "the channel is linked to another person" if refused else None,
            "revoked": 0,
        }

    async def link_of(self, _: Settings, channel: str) -> LinkState | None:
        return next((one for one in self.links if one.channel_ref == channel), None)

    async def links_naming(self, _: Settings, subject: str, user: str | None) -> list[LinkState]:
        return [one for one in self.links if subject in one.subjects and user in (None, one.user_id)]


def use(monkeypatch: pytest.MonkeyPatch, workers: Workers) -> Workers:
    for name in ("submit_link", "link_of", "links_naming"):
        monkeypatch.setattr(link_desk, name, getattr(workers, name))
    return workers


def test_every_refusal_has_words() -> None:
    assert set(LINK_REFUSALS) == set(LinkRefusal) - {LinkRefusal.UNKNOWN}


def test_requests_are_by_an_operator_each_with_its_own_id_and_can_be_read() -> None:
    one, other = link_request(LinkAction.UNLINK, "psid:1"), link_request(LinkAction.UNLINK, "psid:1")
    assert one.request_id != other.request_id
    assert one.requested_by == LinkRequestedBy.OPERATOR
    assert decode_link_request(encode_link_request(one)) == one


@pytest.mark.parametrize(("outcome", "is_linked"), [("ACCEPTED", True), ("REFUSED", False), (None, False)])
def test_a_grant_is_made_only_after_its_link_was_accepted(
    monkeypatch: pytest.MonkeyPatch, outcome: str | None, is_linked: bool
) -> None:
    workers = use(monkeypatch, Workers(outcome))
    assert (asyncio.run(link_for(SETTINGS, GRANT)) is None) == is_linked
    [asked] = workers.asked
    assert (asked.action, asked.channel_ref, asked.subjects) == (LinkAction.LINK, "psid:1", ("bank:1",))


@pytest.mark.parametrize(
    ("workers", "stands"),
    [
        (Workers(), True),
        (Workers(outcome=None), False),
        (Workers(links=()), False),
        (Workers(links=(LINK._replace(user_id="ben"),)), False),
        (Workers(links=(LINK._replace(subjects=("bank:2",)),)), False),
    ],
    ids=["stands", "nobody answers", "unlinked", "another's", "another subject"],
)
def test_a_link_is_looked_at_again_behind_a_request_that_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, workers: Workers, stands: bool
) -> None:
    use(monkeypatch, workers)
    assert asyncio.run(is_linked_still(SETTINGS, GRANT)) == stands
    assert [(one.action, one.subjects) for one in workers.asked] == [(LinkAction.FORGET, ())]


def test_an_erased_subject_is_taken_out_of_every_link_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    other = LINK._replace(channel_ref="psid:2", user_id="ben")
    workers = use(monkeypatch, Workers(links=(LINK, other)))
    assert asyncio.run(forget(SETTINGS, "bank:2", None, waits=True)) == []
    assert [(one.channel_ref, one.user_id, one.subjects) for one in workers.asked] == [
        ("psid:1", "anna", ("bank:2",)),
        ("psid:2", "ben", ("bank:2",)),
    ]
    silent = use(monkeypatch, Workers(None, (LINK, other)))
    assert asyncio.run(forget(SETTINGS, "bank:2", "ben", waits=True)) == [other]
    assert asyncio.run(forget(SETTINGS, "bank:2", "ben", waits=False)) == []
    assert len(silent.asked) == 2


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> list[ConsentRequest]:
    """Consent requests that the desk has sent, all accepted."""
    sent: list[ConsentRequest] = []

    async def submit(_: Settings, request: ConsentRequest, *, waits: bool) -> dict[str, Any]:
        sent.append(request)
        outcome = "ACCEPTED" if waits else None
        return {"position": "consent.requests/0/0", "outcome": outcome, "reason": None, "version": 1}

    monkeypatch.setattr(consent, "submit", submit)
    return sent


def test_a_grant_whose_link_went_meanwhile_is_revoked_again(
    monkeypatch: pytest.MonkeyPatch, notifier: Run, desk: list[ConsentRequest]
) -> None:
    use(monkeypatch, Workers(links=()))
    done = notifier("consent", "grant", "bank:1", "--user", "anna", "--purposes", "receipt")
    assert (done.code, "unlinked meanwhile" in done.err) == (1, True)
    assert [(one.action, one.user_id) for one in desk] == [
        (ConsentAction.GRANT, "anna"),
        (ConsentAction.REVOKE, "anna"),
    ]


def test_without_a_link_nothing_is_granted(
    monkeypatch: pytest.MonkeyPatch, notifier: Run, desk: list[ConsentRequest]
) -> None:
    grant = ("consent", "grant", "bank:1", "--user", "anna", "--purposes", "receipt")
    for outcome, said in (("REFUSED", "linked to another person"), (None, "no worker has answered")):
        use(monkeypatch, Workers(outcome))
        done = notifier(*grant, "--no-wait")
        assert (done.code, said in done.err) == (1, True)
        assert "Nothing is granted" in done.err
    assert desk == []


def test_an_erasure_says_when_a_link_still_names_the_subject(
    monkeypatch: pytest.MonkeyPatch, notifier: Run, desk: list[ConsentRequest]
) -> None:
    use(monkeypatch, Workers(outcome=None))
    done = notifier("consent", "erase", "bank:1", "--json")
    assert (done.code, json.loads(done.out)["outcome"]) == (1, "ACCEPTED")
    assert "It is erased, but links still name it (1)" in done.err
