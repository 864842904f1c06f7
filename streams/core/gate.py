"""The gate, which decides from consents alone, before a value is opened.

Imports `prepared`. Source: docs/rules.md section 1, rules 5 and 6.
"""

from streams.core.codes import Fate, Reason
from streams.core.decision import Decision, HolderDecision
from streams.core.policy import EVENT_PURPOSES
from streams.core.prepared import PreparedConsent, PreparedHolder

_SUPPRESS = Fate.SUPPRESS
UNREADABLE = Decision(
    _SUPPRESS,
    Reason.CONSENT_UNREADABLE,
    None,
    (HolderDecision(None, _SUPPRESS, Reason.CONSENT_UNREADABLE, "unreadable"),),
)
NO_HOLDER = Decision(
    _SUPPRESS, Reason.NO_CONSENT, None, (HolderDecision(None, _SUPPRESS, Reason.NO_CONSENT, "no_consent"),)
)


def closed(prepared: PreparedConsent, event_type: int, now: int) -> Decision | None:
    """Return the decision on a record of `EVENT_TYPES[event_type]` if every holder is closed at `now` (UTC
    ms), None if one is open.

    A suspended subject is CONSENT_UNREADABLE; one without holders NO_CONSENT. Never raises.
    """
    if prepared.is_suspended:
        return UNREADABLE
    needed = EVENT_PURPOSES[event_type]
    for holder in prepared.holders:
        if holder.open_from <= now < holder.open_until and holder.purposes & needed:
            return None
    holders = tuple(_closed_holder(holder, now) for holder in prepared.holders)
    return Decision(_SUPPRESS, holders[0].reason, None, holders) if holders else NO_HOLDER


def _closed_holder(holder: PreparedHolder, now: int) -> HolderDecision:
    if holder.is_revoked:
        reason = Reason.REVOKED
    elif now >= holder.valid_until:
        reason = Reason.EXPIRED
    elif now < holder.open_from:
        reason = Reason.NOT_EFFECTIVE
    else:
        reason = Reason.PURPOSE
    return HolderDecision(holder.user_id, _SUPPRESS, reason, "gate", None, holder.consent_id, holder.version)
