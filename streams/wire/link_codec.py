"""Link requests, their answers, and the state that they fold into.

Imports `frame`; the types are the core's. Read next: `topics.py`.
"""

from typing import NamedTuple

from streams.core.codes import ConsentOutcome, LinkAction, LinkRefusal, Reason
from streams.core.links import LinkRequest, LinkState
from streams.wire.frame import framed_readers, framed_writer, read_framed, read_own
from streams.wire.schemas import our_schemas


class LinkResult(NamedTuple):
    """The answer to a link request. Source: link_result.avsc."""

    request_id: str
    channel_ref: str
    action: LinkAction | int
    outcome: ConsentOutcome | int
    reason: LinkRefusal | int | None
    revoked: int
    request_offset: int


_REQUEST_READERS = framed_readers(our_schemas(), "link_request", {"LinkRequest": LinkRequest})
_STATE_READERS = framed_readers(our_schemas(), "link_state", {"LinkState": LinkState})
_RESULT_READERS = framed_readers(our_schemas(), "link_result", {"LinkResult": LinkResult})
_write_request = framed_writer(our_schemas(), "link_request")
_write_state = framed_writer(our_schemas(), "link_state")
_write_result = framed_writer(our_schemas(), "link_result")


def decode_link_request(value: bytes, schema_header: bytes | None = None) -> LinkRequest | None:
    """Read a request; None when it cannot be read, for whatever reason. Never raises."""
    request = read_framed(_REQUEST_READERS, value, schema_header)
    return None if isinstance(request, Reason) else request


def encode_link_request(request: LinkRequest) -> bytes:
    """Write a request with its frame. Raises ValueError or IndexError for what its schema cannot hold."""
    return _write_request(request)


def decode_link_state(value: bytes) -> LinkState:
    """Read a channel's link. Raises UndecodableError."""
    result: LinkState = read_own(_STATE_READERS, value)
    return result


def encode_link_state(state: LinkState) -> bytes:
    """Write a link with its frame. Raises ValueError or IndexError for what its schema cannot hold."""
    return _write_state(state)


def decode_link_result(value: bytes) -> LinkResult:
    """Read an answer. Raises UndecodableError."""
    result: LinkResult = read_own(_RESULT_READERS, value)
    return result


def encode_link_result(result: LinkResult) -> bytes:
    """Write an answer with its frame. Raises ValueError or IndexError for what its schema cannot hold."""
    return _write_result(result)
