"""Runs of link requests: what each channel's link becomes, who is answered what, whose consents go."""

import uuid

import pytest

from streams.core.codes import (
    ConsentAction,
    ConsentOutcome,
    LinkAction,
    LinkRefusal,
    LinkRequestedBy,
    LinkStatus,
    Reason,
    RequestedBy,
)
from streams.core.consent import ConsentRequest
from streams.core.ids import NAMESPACE
from streams.core.links import MAX_SUBJECTS, LinkRequest, LinkState
from streams.kernel import fold_links as module
from streams.kernel.fold_links import FoldedLinks, fold_links
from streams.kernel.recent_requests import RecentRequests
from streams.kernel.record_batch import RecordBatch
from streams.wire.codec import LinkResult, encode_link_request
from streams.wire.partition import partition_of
from streams.wire.topics import LINK_REQUESTS

PARTITIONS, NOW_MS, FIRST = 4, 1_700_000_000_000, 100
CHANNELS = [f"psid:{number}" for number in range(50)]
HERE = partition_of(CHANNELS[0].encode(), PARTITIONS)
ONE, TWO, *_ = [one for one in CHANNELS if partition_of(one.encode(), PARTITIONS) == HERE]
ELSEWHERE = next(one for one in CHANNELS if partition_of(one.encode(), PARTITIONS) != HERE)
Sent = tuple[bytes | None, bytes | None]


class Links:
    """The committed links of a partition, by channel."""

    def __init__(self, *links: LinkState) -> None:
        self.recent = RecentRequests()
        self._links = {one.channel_ref.encode(): one for one in links}

    def link(self, key: bytes) -> LinkState | None:
        return self._links.get(key)


def state(channel: str, *subjects: str, user: str = "anna") -> LinkState:
    return LinkState(channel, user, subjects, LinkStatus.LINKED, 5, 7)


def value(
    action: LinkAction, channel: str = ONE, *subjects: str, user: str | None = "anna", request_id: str = ""
) -> bytes:
    name = request_id or str(uuid.uuid4())
    return encode_link_request(LinkRequest(name, channel, user, action, subjects, 3, LinkRequestedBy.USER))


def sent(action: LinkAction, channel: str = ONE, *subjects: str, request_id: str = "") -> Sent:
    return channel.encode(), value(action, channel, *subjects, request_id=request_id)


def batch(*records: Sent, first: int = FIRST) -> RecordBatch:
    offsets, times = range(first, first + len(records)), [NOW_MS] * len(records)
    keys, values = [one[0] for one in records], [one[1] for one in records]
    after = first + len(records) + 1  # the mark of a transaction
    return RecordBatch(LINK_REQUESTS, HERE, offsets, times, keys, values, [()] * len(records), first, after)


def folded(view: Links, *records: Sent) -> FoldedLinks:
    return fold_links([batch(*records)], view, PARTITIONS)


def reasons(result: FoldedLinks) -> list[LinkRefusal | int | None]:
    return [answer.reason for _, answer in result.answers]


def test_requests_of_one_run_see_each_other() -> None:
    asked = sent(LinkAction.LINK, ONE, "a"), sent(LinkAction.LINK, ONE, "b"), sent(LinkAction.LINK, TWO, "c")
    result = folded(Links(), *asked, sent(LinkAction.UNLINK, ONE))
    assert result.changes == {
        ONE.encode(): None,
        TWO.encode(): LinkState(TWO, "anna", ("c",), LinkStatus.LINKED, NOW_MS, FIRST + 2),
    }
    assert [one.subject for one in result.revocations] == ["a", "b"]
    assert result.next_offset == FIRST + 5


def test_an_unlink_revokes_every_subject_of_the_link_and_says_how_many() -> None:
    result = folded(Links(state(ONE, "a", "b"), state(TWO, "a")), sent(LinkAction.UNLINK, request_id="u"))
    expected = [
        ConsentRequest(
            str(uuid.uuid5(uuid.UUID(NAMESPACE), f"link.requests/{HERE}/{FIRST}\x1f{subject}")),
            subject,
            "anna",
            ConsentAction.REVOKE,
            NOW_MS,
            RequestedBy.CHANNEL,
        )
        for subject in ("a", "b")
    ]
    assert result.revocations == expected
    assert result.changes == {ONE.encode(): None}
    accepted = ConsentOutcome.ACCEPTED
    assert result.answers == [
        (ONE.encode(), LinkResult("u", ONE, LinkAction.UNLINK, accepted, None, 2, FIRST))
    ]
    assert folded(Links(), sent(LinkAction.UNLINK)).answers[0][1].revoked == 0


@pytest.mark.parametrize(
    ("key", "content", "refusal", "reason"),
    [
        (ELSEWHERE, value(LinkAction.UNLINK, ELSEWHERE), LinkRefusal.MISROUTED, Reason.MISROUTED),
        (ELSEWHERE, b"broken", LinkRefusal.MISROUTED, Reason.MISROUTED),
        (ONE, b"broken", LinkRefusal.UNREADABLE, Reason.UNDECODABLE),
        (ONE, value(LinkAction.UNKNOWN), LinkRefusal.UNREADABLE, Reason.UNDECODABLE),
        (ONE, None, LinkRefusal.UNREADABLE, Reason.TOMBSTONE),
        (ONE, value(LinkAction.UNLINK, TWO), LinkRefusal.CHANNEL_MISMATCH, Reason.SUBJECT_MISMATCH),
    ],
)
def test_what_is_no_request_of_its_channel_is_answered_and_a_dead_letter(
    key: str, content: bytes | None, refusal: LinkRefusal, reason: Reason
) -> None:
    known = Links(state(ONE, "a"), state(TWO, "b"))
    result = folded(known, (key.encode(), content))
    assert (reasons(result), result.changes, result.revocations) == ([refusal], {}, [])
    assert [(one.key, one.reason, one.value) for one in result.dead_letters] == [(key.encode(), reason, None)]


def test_a_key_that_is_no_text_is_compared_byte_for_byte() -> None:
    keys = (b"\xff" + str(number).encode() for number in range(50))
    key = next(one for one in keys if partition_of(one, PARTITIONS) == HERE)
    result = folded(Links(), (key, value(LinkAction.LINK, key.decode("utf-8", "replace"), "a")))
    assert reasons(result) == [LinkRefusal.CHANNEL_MISMATCH]


def test_a_record_without_a_key_is_a_dead_letter_and_nobody_is_answered() -> None:
    result = folded(Links(), (None, value(LinkAction.UNLINK)), (b"", value(LinkAction.UNLINK)))
    assert [one.reason for one in result.dead_letters] == [Reason.NO_KEY, Reason.NO_KEY]
    assert result.answers == []


def test_a_link_that_comes_again_brings_nothing_back() -> None:
    link, unlink = sent(LinkAction.LINK, ONE, "a", request_id="x"), sent(LinkAction.UNLINK, request_id="y")
    result = folded(Links(), link, unlink, link, unlink)
    assert reasons(result) == [None, None, LinkRefusal.REPLAYED, None]
    assert result.changes == {ONE.encode(): None}
    view = Links()
    for request, offset in result.seen.items():
        view.recent.note(request, offset)
    later = fold_links([batch(link, first=FIRST + 10)], view, PARTITIONS)
    assert reasons(later) == [LinkRefusal.REPLAYED]


def test_one_result_holds_so_many_revocations_and_requests_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links = [state(one, *(f"{one}-{number}" for number in range(MAX_SUBJECTS))) for one in (ONE, TWO)]
    asked = batch(sent(LinkAction.UNLINK, ONE), sent(LinkAction.UNLINK, TWO), sent(LinkAction.UNLINK, ONE))
    monkeypatch.setattr(module, "MAX_REVOCATIONS", MAX_SUBJECTS)
    first = fold_links([asked], Links(*links), PARTITIONS)
    assert (len(first.revocations), first.next_offset) == (MAX_SUBJECTS, FIRST + 1)
    rest = fold_links([asked.since(first.next_offset)], Links(links[1]), PARTITIONS)
    assert (len(rest.revocations), rest.next_offset) == (MAX_SUBJECTS, FIRST + 2)
    monkeypatch.setattr(module, "MAX_REQUESTS", 2)
    assert fold_links([asked], Links(), PARTITIONS).next_offset == FIRST + 2
