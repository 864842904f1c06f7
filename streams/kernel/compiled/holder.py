"""Asks the gate and the rules without memory for the one holder of a subject.

The compiled side of `core/gate.py` and of `_ask_holders` in `core/decide.py`; the rules are the core's own.
Imports `layout`, `index` and `policies`. Read next: `told.py`. Source: docs/rules.md sections 1 and 4.
"""

from streams.core import rules
from streams.core.codes import Kind, Reason, TransactionStatus
from streams.core.policy import MINIMUM_AMOUNT, NO_THRESHOLD
from streams.kernel.compiled import policies as of_policy
from streams.kernel.compiled.bytes_out import get_number
from streams.kernel.compiled.index import EFFECTIVE_AT, FLAGS, POLICY, REVOKED, VALID_UNTIL, IndexArrays
from streams.kernel.compiled.jit import compiled_rules, inlined
from streams.kernel.compiled.layout import (
    AMOUNT,
    BALANCE,
    BALANCE_CURRENCY,
    BANK,
    BOOKED,
    CURRENCY,
    EVENT_TYPE,
    MAX_AGE,
    NO_REASON,
    NOW,
    SECURITY,
    STATUS,
    Call,
    Scratch,
)
from streams.kernel.compiled.policies import PolicyArrays
from streams.kernel.compiled.tables import Tables
from streams.kernel.compiled.types import Bytes, whole

_TWINS = compiled_rules(
    [
        rules.is_revoked, rules.is_expired, rules.is_not_effective, rules.is_expired_earlier,
        rules.lacks_purpose, rules.is_stale, rules.is_removed, rules.is_other_direction,
        rules.is_other_currency, rules.is_below_minimum, rules.holder_rule,
    ]
)  # fmt: skip
holder_rule = _TWINS["holder_rule"]

_REVOKED, _EXPIRED = int(Reason.REVOKED), int(Reason.EXPIRED)
_NOT_EFFECTIVE, _PURPOSE = int(Reason.NOT_EFFECTIVE), int(Reason.PURPOSE)
_BALANCE_KIND, _SHIPPING_KIND, _SECURITY_KIND = int(Kind.BALANCE), int(Kind.SHIPPING), int(Kind.SECURITY)
_REMOVED = int(TransactionStatus.REMOVED)


@inlined
def gate(call: Call, tables: Tables, index: IndexArrays, policies: PolicyArrays, holder: int) -> int:
    """Return the reason for which a holder is closed, NO_REASON if it is open. Source: `core/gate.py`."""
    arena, now = index.arena, call.number[NOW]
    if arena[holder + FLAGS] & REVOKED:
        return _REVOKED
    if now >= get_number(arena, holder + VALID_UNTIL, 6):
        return _EXPIRED
    if now < get_number(arena, holder + EFFECTIVE_AT, 6):
        return _NOT_EFFECTIVE
    purposes = policies.number[get_number(arena, holder + POLICY, 2), of_policy.PURPOSES]
    if purposes & tables.event_purposes[call.number[EVENT_TYPE]] == 0:
        return _PURPOSE
    return NO_REASON


@inlined
def kind_of(tables: Tables, event_type: int, scratch: Scratch) -> int:
    """Return the kind of notification that an event can become. Source: `core/facts.py`."""
    if event_type == BANK:
        return whole(tables.kind_of_transaction[scratch.number[STATUS]])
    return (
        _BALANCE_KIND
        if event_type == BALANCE
        else _SECURITY_KIND
        if event_type == SECURITY
        else _SHIPPING_KIND
    )


@inlined
def rule_of(
    call: Call, tables: Tables, index: IndexArrays, policies: PolicyArrays, source: Bytes, scratch: Scratch,
    holder: int, kind: int, event_time: int,
) -> int:  # fmt: skip
    """Ask the rules without memory for the one holder. Source: `_ask_holders` in `core/decide.py`."""
    arena, event_type, now = index.arena, call.number[EVENT_TYPE], call.number[NOW]
    terms = policies.number[get_number(arena, holder + POLICY, 2)]
    valid_until = get_number(arena, holder + VALID_UNTIL, 6)
    has_terms = get_number(arena, holder + EFFECTIVE_AT, 6) <= min(event_time, now)
    threshold = tables.threshold[kind]
    is_minimum = threshold == MINIMUM_AMOUNT
    has_limit = terms[of_policy.HAS_MINIMUM if is_minimum else of_policy.HAS_LOW] == 1
    limit = terms[of_policy.MINIMUM if is_minimum else of_policy.LOW]
    currency = terms[of_policy.MINIMUM_CURRENCY if is_minimum else of_policy.LOW_CURRENCY]
    amount, event_currency = 0, of_policy.NO_SUCH_CURRENCY
    if event_type == BANK or event_type == BALANCE:
        amount = scratch.number[AMOUNT if event_type == BANK else BOOKED]
        place = scratch.place[CURRENCY if event_type == BANK else BALANCE_CURRENCY]
        event_currency = whole(source[place]) << 16 | whole(source[place + 1]) << 8 | whole(source[place + 2])
    place = holder_rule(
        arena[holder + FLAGS] & REVOKED != 0,
        valid_until,
        has_terms,
        valid_until if has_terms else 0,
        terms[of_policy.PURPOSES] if has_terms else 0,
        terms[of_policy.DIRECTION] if has_terms else 0,
        has_terms and has_limit and threshold != NO_THRESHOLD,
        has_terms and currency != of_policy.ANY_CURRENCY and currency != event_currency,
        limit if has_terms else 0,
        tables.needed[kind],
        threshold,
        call.number[MAX_AGE + kind],
        event_type == BANK,
        event_type == BANK and scratch.number[STATUS] == _REMOVED,
        amount,
        event_time,
        now,
    )
    return whole(place)
