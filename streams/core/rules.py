"""The ordered rules, stated once: what decides a record, and what decides it for one holder.

A predicate is a small function over scalars (integers, codes, flags): no objects, closures or exceptions, so
that the same source can be compiled over columns. `holder_rule` asks them in the order of the table; what
needs memory (seen, told, unchanged, state_limit) follows in `decide.py` with the functions of `steps.py`.
Imports `codes` and `policy`. Read next: `decide.py`. Source: docs/rules.md sections 1 and 4;
`tests/core/test_rules.py` compares table and document.
"""

from collections.abc import Callable
from typing import NamedTuple

from streams.core.codes import Fate, Reason
from streams.core.policy import LOW_BALANCE, MINIMUM_AMOUNT

BOTH = 3


class Rule(NamedTuple):
    """One row.

    `predicate` is None where the rule looks at bytes (the kernel applies it) or at memory (`decide` does).
    """

    name: str
    fate: Fate
    reason: Reason | None
    doc: str
    predicate: Callable[..., bool] | None = None


def is_future(event_time: int, now: int, future_tolerance_ms: int) -> bool:
    """Tell whether an event claims a time that has not come."""
    return event_time > now + future_tolerance_ms


def is_revoked(has_revoked_at: bool) -> bool:
    """Tell whether the holder has taken the consent back."""
    return has_revoked_at


def is_expired(now: int, last_valid_until: int) -> bool:
    """Tell whether the last version has run out."""
    return now >= last_valid_until


def is_not_effective(has_terms: bool) -> bool:
    """Tell whether no version was effective at the event's time."""
    return not has_terms


def is_expired_earlier(now: int, valid_until: int) -> bool:
    """Tell whether a version that still counts has run out."""
    return now >= valid_until


def lacks_purpose(purposes: int, needed: int) -> bool:
    """Tell whether the terms hold none of the purposes that the kind needs."""
    return purposes & needed == 0


def is_stale(event_time: int, now: int, max_age_ms: int) -> bool:
    """Tell whether the event is too old for its kind."""
    return event_time < now - max_age_ms


def is_removed(has_been_removed: bool) -> bool:
    """Tell whether the bank withdrew the transaction."""
    return has_been_removed


def is_other_direction(is_transaction: bool, direction: int, amount: int) -> bool:
    """Tell whether the money moves in a direction that the terms do not cover.

    An amount of 0 moves in none.
    """
    if not is_transaction or direction == BOTH:
        return False
    return not ((direction == 1 and amount > 0) or (direction == 2 and amount < 0))


def is_other_currency(has_threshold: bool, has_other_currency: bool) -> bool:
    """Tell whether a threshold applies that is stated in another currency."""
    return has_threshold and has_other_currency


def is_below_minimum(threshold: int, has_threshold: bool, limit: int, amount: int) -> bool:
    """Tell whether an amount is too small, or a balance not low enough, to be told."""
    if not has_threshold:
        return False
    return (threshold == MINIMUM_AMOUNT and abs(amount) < limit) or (
        threshold == LOW_BALANCE and amount >= limit
    )


RECORD_RULES: tuple[Rule, ...] = (
    Rule("no_key", Fate.REJECT, Reason.NO_KEY, "The key is null or empty."),
    Rule("too_large", Fate.REJECT, Reason.TOO_LARGE, "The value is over the size limit."),
    Rule("misrouted", Fate.REJECT, Reason.MISROUTED, "The key belongs to another partition."),
    Rule("no_consent", Fate.SUPPRESS, Reason.NO_CONSENT, "Nobody has consented for the subject."),
    Rule("unreadable", Fate.SUPPRESS, Reason.CONSENT_UNREADABLE, "A consent request could not be read."),
    Rule("gate", Fate.SUPPRESS, None, "Every holder is closed."),
    Rule("tombstone", Fate.REJECT, Reason.TOMBSTONE, "The value is null."),
    Rule("unknown_schema", Fate.REJECT, Reason.UNKNOWN_SCHEMA, "The schema is not one of the topic's."),
    Rule("undecodable", Fate.REJECT, Reason.UNDECODABLE, "The value is not what its schema says."),
    Rule("subject_mismatch", Fate.REJECT, Reason.SUBJECT_MISMATCH, "The subject differs from the key."),
    Rule("invalid", Fate.REJECT, Reason.INVALID, "A field breaks its limits."),
    Rule("future", Fate.REJECT, Reason.FUTURE, "The event's time has not come.", is_future),
    Rule("seen", Fate.DUPLICATE, None, "The same event was seen before."),
)

HOLDER_RULES: tuple[Rule, ...] = (
    Rule("revoked", Fate.SUPPRESS, Reason.REVOKED, "The holder took the consent back.", is_revoked),
    Rule("expired", Fate.SUPPRESS, Reason.EXPIRED, "The last version has run out.", is_expired),
    Rule(
        "not_effective",
        Fate.SUPPRESS,
        Reason.NOT_EFFECTIVE,
        "No version was in force then.",
        is_not_effective,
    ),
    Rule(
        "expired_earlier",
        Fate.SUPPRESS,
        Reason.EXPIRED,
        "A version that counts has run out.",
        is_expired_earlier,
    ),
    Rule("purpose", Fate.SUPPRESS, Reason.PURPOSE, "Not a purpose that was granted.", lacks_purpose),
    Rule("stale", Fate.SUPPRESS, Reason.STALE, "Too old for its kind.", is_stale),
    Rule("removed", Fate.SUPPRESS, Reason.REMOVED, "The bank withdrew it.", is_removed),
    Rule(
        "direction", Fate.SUPPRESS, Reason.DIRECTION, "Not a direction that was granted.", is_other_direction
    ),
    Rule(
        "currency",
        Fate.SUPPRESS,
        Reason.CURRENCY_NO_RULE,
        "The threshold is in another currency.",
        is_other_currency,
    ),
    Rule(
        "minimum",
        Fate.SUPPRESS,
        Reason.BELOW_MINIMUM,
        "Below what the holder wants to hear of.",
        is_below_minimum,
    ),
    Rule("told", Fate.DUPLICATE, None, "The same revision was told."),
    Rule("unchanged", Fate.SUPPRESS, Reason.UNCHANGED, "Nothing new for this holder."),
    Rule("state_limit", Fate.SUPPRESS, Reason.STATE_LIMIT, "What must be remembered does not fit."),
    Rule("notify", Fate.NOTIFY, None, "The holder is told."),
)

TOLD, UNCHANGED, STATE_LIMIT, NOTIFY = 10, 11, 12, 13
"""Places in HOLDER_RULES of the rules that need memory.

`holder_rule` returns NOTIFY where none of the rules before them applies.
"""


def holder_rule(
    has_revoked_at: bool,
    last_valid_until: int,
    has_terms: bool,
    valid_until: int,
    purposes: int,
    direction: int,
    has_threshold: bool,
    has_other_currency: bool,
    limit: int,
    needed: int,
    threshold: int,
    max_age_ms: int,
    is_transaction: bool,
    has_been_removed: bool,
    amount: int,
    event_time: int,
    now: int,
) -> int:
    """Return the place in HOLDER_RULES of the first rule without memory that applies, NOTIFY if none does.

    `amount` is the booked balance of a balance, `limit` the threshold that the kind's row names. Never
    raises. Source: docs/rules.md section 4.
    """
    if is_revoked(has_revoked_at):
        return 0
    if is_expired(now, last_valid_until):
        return 1
    if is_not_effective(has_terms):
        return 2
    if is_expired_earlier(now, valid_until):
        return 3
    if lacks_purpose(purposes, needed):
        return 4
    if is_stale(event_time, now, max_age_ms):
        return 5
    if is_removed(has_been_removed):
        return 6
    if is_other_direction(is_transaction, direction, amount):
        return 7
    if is_other_currency(has_threshold, has_other_currency):
        return 8
    if is_below_minimum(threshold, has_threshold, limit, amount):
        return 9
    return NOTIFY
