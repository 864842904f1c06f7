"""Link requests, links and answers as bytes."""

import pytest

from streams.core.codes import ConsentOutcome, LinkAction, LinkRefusal, LinkRequestedBy, LinkStatus
from streams.core.links import LinkRequest, LinkState
from streams.wire.codec import (
    LinkResult,
    UndecodableError,
    decode_link_request,
    decode_link_result,
    decode_link_state,
    encode_link_request,
    encode_link_result,
    encode_link_state,
)
from tests.wire.avro_values import GOLDEN

SUBJECTS = ("berka:1787", "olist:861eff47")
LINK, BY = LinkAction.LINK, LinkRequestedBy.CHANNEL
REQUEST = LinkRequest("link-1", "psid:Jiří", "user:1", LINK, SUBJECTS, 1732000000123, BY)
STATE = LinkState("psid:Jiří", "user:1", SUBJECTS, LinkStatus.LINKED, 1732000000456, 8191)
REFUSED, MISMATCH = ConsentOutcome.REFUSED, LinkRefusal.CHANNEL_MISMATCH
RESULT = LinkResult("link-1", "psid:Jiří", LinkAction.UNLINK, REFUSED, MISMATCH, 64, 300)


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def test_golden_links_are_read_and_written() -> None:
    assert decode_link_request(golden("link_request")) == REQUEST
    assert decode_link_state(golden("link_state")) == STATE
    assert decode_link_result(golden("link_result")) == RESULT
    assert encode_link_request(REQUEST) == golden("link_request")
    assert encode_link_state(STATE) == golden("link_state")
    assert encode_link_result(RESULT) == golden("link_result")


def test_an_unlink_needs_the_channel_only() -> None:
    unlink = REQUEST._replace(user_id=None, action=LinkAction.UNLINK, subjects=())
    assert decode_link_request(encode_link_request(unlink)) == unlink


def test_what_comes_from_outside_is_read_or_none_and_what_is_ours_raises() -> None:
    value = golden("link_request")
    for broken in (b"", value[:-1], value + b"\x00", golden("link_state")):
        assert decode_link_request(broken) is None
    with pytest.raises(UndecodableError):
        decode_link_state(golden("link_state")[:-1])
    with pytest.raises(UndecodableError):
        decode_link_result(golden("link_state"))
