"""Folds link requests into the link of one messenger channel: one person, and the subjects that they linked.

Pure: the append time comes in. An unlink is never refused and takes every subject's consent with it; a
channel belongs to one person until it is unlinked. Imports `codes`, `consent`, and `fold` for its limits.
Source: docs/rules.md section 10.
"""

from typing import NamedTuple

from streams.core.codes import (
    ConsentOutcome,
    LinkAction,
    LinkRefusal,
    LinkRequestedBy,
    LinkStatus,
    RequestedBy,
)
from streams.core.consent import ConsentRequest
from streams.core.fold import MAX_NAME_CHARS

MAX_SUBJECTS = 256

_ACCEPTED, _REFUSED = ConsentOutcome.ACCEPTED, ConsentOutcome.REFUSED


class LinkRequest(NamedTuple):
    """What is asked of a link. Source: link_request.avsc."""

    request_id: str
    channel_ref: str
    user_id: str | None
    action: LinkAction | int
    subjects: tuple[str, ...]
    requested_at: int
    requested_by: LinkRequestedBy | int


class LinkState(NamedTuple):
    """The link of one channel; times are UTC milliseconds. Source: link_state.avsc."""

    channel_ref: str
    user_id: str
    subjects: tuple[str, ...]
    status: LinkStatus | int
    linked_at: int
    request_offset: int


class LinkOutcome(NamedTuple):
    """What became of one request.

    `state` is the channel's link after it, None without one; `revoked` are the subjects of which the
    person's consent is to be revoked.
    """

    state: LinkState | None
    outcome: ConsentOutcome
    reason: LinkRefusal | None = None
    revoked: tuple[str, ...] = ()


def link_before(grant: ConsentRequest) -> LinkRequest | None:
    """Return the link that must be asked for before this grant; None if it grants nothing to anybody."""
    if grant.consent is None or grant.user_id is None:
        return None
    return LinkRequest(
        f"link:{grant.request_id}",
        grant.consent.channel_ref,
        grant.user_id,
        LinkAction.LINK,
        (grant.subject,),
        grant.requested_at,
        _ASKING.get(grant.requested_by, LinkRequestedBy.OPERATOR),
    )


_ASKING: dict[int, LinkRequestedBy] = {
    RequestedBy.USER: LinkRequestedBy.USER,
    RequestedBy.CHANNEL: LinkRequestedBy.CHANNEL,
}


def fold_link(
    state: LinkState | None,
    channel_ref: str,
    request: LinkRequest | None,
    appended_ms: int,
    offset: int,
    *,
    is_replayed: bool = False,
) -> LinkOutcome:
    """Fold one request into the link of `channel_ref`, which is the record's key.

    `request` None: it could not be read. `is_replayed`: it was answered before; only what takes away counts
    again. `appended_ms` is the broker's append time, `offset` the place in link.requests. Never raises.
    """
    known = state if state is not None and state.status == LinkStatus.LINKED else None
    if request is None or request.action not in _ACTIONS:
        return LinkOutcome(known, _REFUSED, LinkRefusal.UNREADABLE)
    if request.channel_ref != channel_ref:
        return LinkOutcome(known, _REFUSED, LinkRefusal.CHANNEL_MISMATCH)
    match request.action:
        case LinkAction.UNLINK:
            return LinkOutcome(None, _ACCEPTED, None, known.subjects if known is not None else ())
        case LinkAction.FORGET:
            return _forgotten(known, request, offset)
        case _:
            return _linked(known, request, appended_ms, offset, is_replayed=is_replayed)


_ACTIONS = frozenset((LinkAction.LINK, LinkAction.UNLINK, LinkAction.FORGET))


def _forgotten(known: LinkState | None, request: LinkRequest, offset: int) -> LinkOutcome:
    if known is None:
        return LinkOutcome(None, _ACCEPTED)
    if request.user_id is not None and request.user_id != known.user_id:
        return LinkOutcome(known, _REFUSED, LinkRefusal.LINKED_TO_ANOTHER)
    left = tuple(subject for subject in known.subjects if subject not in request.subjects)
    if left == known.subjects:
        return LinkOutcome(known, _ACCEPTED)
    return LinkOutcome(known._replace(subjects=left, request_offset=offset) if left else None, _ACCEPTED)


def _linked(
    known: LinkState | None, request: LinkRequest, appended_ms: int, offset: int, *, is_replayed: bool
) -> LinkOutcome:
    together = (*known.subjects, *request.subjects) if known is not None else request.subjects
    subjects = tuple(dict.fromkeys(together))
    reason = LinkRefusal.REPLAYED if is_replayed else _refusal(known, request, len(subjects))
    if reason is not None or request.user_id is None:
        return LinkOutcome(known, _REFUSED, reason)
    linked_at = known.linked_at if known is not None else appended_ms
    after = LinkState(request.channel_ref, request.user_id, subjects, LinkStatus.LINKED, linked_at, offset)
    return LinkOutcome(after, _ACCEPTED)


def _refusal(known: LinkState | None, request: LinkRequest, together: int) -> LinkRefusal | None:
    """Return why a LINK is refused: the first that applies, None if it is accepted."""
    if not request.user_id:
        return LinkRefusal.NO_USER
    names = (request.user_id, request.channel_ref, *request.subjects)
    if not request.subjects or not all(0 < len(name) <= MAX_NAME_CHARS for name in names):
        return LinkRefusal.INVALID
    if known is not None and known.user_id != request.user_id:
        return LinkRefusal.LINKED_TO_ANOTHER
    if together > MAX_SUBJECTS:
        return LinkRefusal.TOO_MANY_SUBJECTS
    return None
