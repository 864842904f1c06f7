"""What the consent desk asks of links: before a grant, at an erasure, and to end one.

Imports core, wire, kafka and ops. Read next: `streams/core/links.py`, which decides about requests.
"""

import time
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streams.cli.asking import Question, ask
from streams.core.codes import ConsentOutcome, LinkAction, LinkRefusal, LinkRequestedBy
from streams.core.consent import ConsentRequest
from streams.core.links import LinkRequest, LinkState, link_before
from streams.ops.links import link_of, links_naming
from streams.settings import Settings
from streams.wire.codec import LinkResult, decode_link_result, encode_link_request
from streams.wire.topics import LINK_REQUESTS, LINK_RESULTS

LINK_REFUSALS: Mapping[LinkRefusal, str] = MappingProxyType({
    LinkRefusal.UNREADABLE: "the request cannot be read",
    LinkRefusal.MISROUTED: "the request is in another partition than its channel's",
    LinkRefusal.CHANNEL_MISMATCH: "the channel of the request is not the key of its record",
    LinkRefusal.REPLAYED: "a request with this id was answered before",
    LinkRefusal.NO_USER: "it does not say which person is behind the channel",
    LinkRefusal.INVALID: "a field breaks its limits",
    LinkRefusal.LINKED_TO_ANOTHER: "the channel is linked to another person",
    LinkRefusal.TOO_MANY_SUBJECTS: "the channel would have more subjects than are allowed",
})  # fmt: skip
"""What each refusal means, for a person; a clause without a full stop."""


def link_request(
    action: LinkAction, channel: str, user: str | None = None, subjects: tuple[str, ...] = ()
) -> LinkRequest:
    """Return a request by an operator, with an id of its own."""
    now_ms, by = time.time_ns() // 1_000_000, LinkRequestedBy.OPERATOR
    return LinkRequest(str(uuid.uuid4()), channel, user, action, subjects, now_ms, by)


async def submit_link(settings: Settings, request: LinkRequest, *, waits: bool) -> dict[str, Any]:
    """Store a link request; wait for its answer if asked to, see `asking.ask`.

    Returns position, outcome (None without an answer), reason, its meaning, and how many subjects were
    revoked.
    """

    def own(value: bytes) -> LinkResult | None:
        read = decode_link_result(value)
        return read if read.request_id == request.request_id else None

    key = request.channel_ref.encode()
    question = Question(LINK_REQUESTS, LINK_RESULTS, key, encode_link_request(request))
    position, result = await ask(settings, question, own, waits=waits)
    reason = None if result is None or result.reason is None else LinkRefusal(result.reason)
    return {
        "request_id": request.request_id,
        "position": position,
        "outcome": ConsentOutcome(result.outcome).name if result is not None else None,
        "reason": reason.name if reason is not None else None,
        "meaning": LINK_REFUSALS.get(reason) if reason is not None else None,
        "revoked": result.revoked if result is not None else None,
    }


async def link_for(settings: Settings, grant: ConsentRequest) -> dict[str, Any] | None:
    """Ask for the link that a grant needs, and wait; return why there is none, None if there is one."""
    link = link_before(grant)
    assert link is not None, "a grant of the desk names person and channel"
    outcome = await submit_link(settings, link, waits=True)
    return None if outcome["outcome"] == ConsentOutcome.ACCEPTED.name else outcome


async def is_linked_still(settings: Settings, grant: ConsentRequest) -> bool:
    """Tell whether the link of a stored grant stands: an unlink after this revokes the grant by itself.

    An unlink before it may have come too early to meet the grant. A request that changes nothing is answered
    after it, so what is read then is not older. False also where nobody answers.
    """
    assert grant.consent is not None
    channel = grant.consent.channel_ref
    nothing = link_request(LinkAction.FORGET, channel)
    if (await submit_link(settings, nothing, waits=True))["outcome"] is None:
        return False
    link = await link_of(settings, channel)
    return link is not None and link.user_id == grant.user_id and grant.subject in link.subjects


async def forget(settings: Settings, subject: str, user: str | None, *, waits: bool) -> list[LinkState]:
    """Take an erased subject out of every link of the person, or of anybody; return the links that have it.

    Without `waits` the requests are stored only, and no link is returned.
    """
    left = []
    for link in await links_naming(settings, subject, user):
        request = link_request(LinkAction.FORGET, link.channel_ref, link.user_id, (subject,))
        outcome = await submit_link(settings, request, waits=waits)
        if waits and outcome["outcome"] is None:
            left.append(link)
    return left
