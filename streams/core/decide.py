"""Decides one opened event: who is told what, and why the others are not. The heart of the product.

Pure: event, consents, memory, policy and time come in, a decision and the new memory go out. Rules by name
and order: `rules.py`; memory of lifecycles: `lifecycle.py`; what is shown: `notice.py`. Source: docs/rules.md
sections 1 (from rule 11 on) and 4 to 7.
"""

import hashlib
from operator import itemgetter

from streams.core.codes import Kind
from streams.core.decision import Decision, HolderDecision, Notification
from streams.core.events import Event
from streams.core.facts import FACTS, Facts
from streams.core.gate import NO_HOLDER, UNREADABLE
from streams.core.lifecycle import ANSWERS, ENTRIES, REPEATABLE, SCOPES, revision_key, told_key
from streams.core.limits import MAX_ID_CHARS
from streams.core.notice import make_notification
from streams.core.policy import KINDS, MINIMUM_AMOUNT, NO_THRESHOLD, SEEN_SLACK_MS, Policy
from streams.core.prepared import PreparedConsent, PreparedHolder
from streams.core.project import Projection
from streams.core.rules import (
    HOLDER_RULES,
    NOTIFY,
    RECORD_RULES,
    STATE_LIMIT,
    TOLD,
    UNCHANGED,
    Rule,
    holder_rule,
    is_future,
    is_stale,
)
from streams.core.steps import GO_ON, GO_ON_ETA, IS_TOLD, IS_UNCHANGED, NO_ROOM, NOT_ASKED
from streams.core.subject_state import (
    AS_NEW_ETA,
    SeenEntry,
    SubjectState,
    find_seen,
    find_told,
    with_seen,
    with_seen_room,
    with_told,
)
from streams.core.terms import Terms

_INVALID, _FUTURE, _SEEN = RECORD_RULES[10:13]
_TYPE_BYTES = tuple(bytes((number,)) for number in range(4))
_RULE_OF_ANSWER = {IS_TOLD: TOLD, IS_UNCHANGED: UNCHANGED, NO_ROOM: STATE_LIMIT}
_NO_TERMS = Terms(0, 0, 0, 0, None, None, None, None)
_FATE = itemgetter(1)


def decide(
    event: Event,
    event_type: int,
    offset: int,
    prepared: PreparedConsent,
    state: SubjectState,
    policy: Policy,
    now: int,
    *,
    replay: bool = False,
) -> tuple[Decision, SubjectState]:
    """Decide for every holder one event of `EVENT_TYPES[event_type]`, read at `offset` of its topic.

    `now` is in UTC ms. Returns the decision and the memory after it (the same object when nothing changed).
    `replay` (at_least_once): an event equal to its own memory is decided again, with the answers that it gave
    the first time. The caller has checked that the subject is the key, and has asked the gate. Never raises.
    """
    if not prepared.holders:
        return (UNREADABLE if prepared.is_suspended else NO_HOLDER), state
    facts = FACTS[event_type](event)
    if facts is None:
        return _whole(event, _INVALID, None), state
    event_time, kind = facts[0], facts[1]
    if is_future(event_time, now, policy.future_tolerance_ms):
        return _whole(event, _FUTURE, KINDS[kind].kind), state
    name = _TYPE_BYTES[event_type] + event.event_id.encode("utf-8", "surrogatepass")
    key = hashlib.blake2b(name, digest_size=8).digest()
    own = find_seen(state, key, now) if state.seen else None
    has_gone_stale = is_stale(event_time, now, policy.max_age_ms[kind])
    if own is not None and not (replay and own[2] == offset):
        if not (replay and has_gone_stale and own[2] > offset):
            return _whole(event, _SEEN, KINDS[kind].kind), state
        own = None
    if own is not None or has_gone_stale:
        holders, _, after = _ask_holders(
            event, event_type, offset, prepared, state, policy, now, facts, own, True, replay
        )
    else:
        after, has_room = with_seen_room(state, now, policy.seen_limit)
        holders, answers, after = _ask_holders(
            event, event_type, offset, prepared, after, policy, now, facts, None, has_room, replay
        )
        if has_room:
            expires_at = event_time + policy.largest_max_age_ms + SEEN_SLACK_MS
            after = with_seen(after, key, expires_at, offset, prepared.asked, answers)
    first = holders[0] if len(holders) == 1 else min(holders, key=_FATE)
    return Decision(first.fate, first.reason, event.event_id, tuple(holders)), after


def _ask_holders(
    event: Event,
    event_type: int,
    offset: int,
    prepared: PreparedConsent,
    state: SubjectState,
    policy: Policy,
    now: int,
    facts: Facts,
    own: SeenEntry | None,
    has_room: bool,
    replay: bool,
) -> tuple[list[HolderDecision], int, SubjectState]:
    """Ask every holder in order.

    Returns what each met, the answers of section 6 (4 bits each), and the memory with the steps told.
    """
    event_time, kind, is_transaction, has_been_removed, amount, currency = facts
    kind_, needed, _, threshold, _, _ = KINDS[kind]
    max_age_ms = policy.max_age_ms[kind]
    at = min(event_time, now)
    decisions, answers, shift = [], 0, 0
    for holder in prepared.holders:
        terms, shown = _terms(holder, at)
        purposes, detail_level, direction, valid_until, minimum, min_currency, low, low_currency = terms
        limit, other = (minimum, min_currency) if threshold == MINIMUM_AMOUNT else (low, low_currency)
        place = holder_rule(
            holder.is_revoked,
            holder.valid_until,
            terms is not _NO_TERMS,
            valid_until,
            purposes,
            direction,
            limit is not None and threshold != NO_THRESHOLD,
            other is not None and other != currency,
            limit or 0,
            needed,
            threshold,
            max_age_ms,
            is_transaction,
            has_been_removed,
            amount,
            event_time,
            now,
        )
        notification: Notification | None = None
        hidden: tuple[str, ...] = ()
        if place == NOTIFY:
            first = own[4] >> shift & 15 if own is not None and own[3] == prepared.asked else NOT_ASKED
            answer_, state = _answer(
                event, event_type, offset, holder, state, policy, now, first, own, has_room, replay
            )
            answers |= answer_ << shift
            projection = shown[kind]
            if answer_ > GO_ON_ETA:
                place = _RULE_OF_ANSWER[answer_]
            elif projection is not None:
                notification, hidden = make_notification(
                    event, event_type, event_time, kind, answer_, holder, projection, detail_level,
                    prepared.subject_label, max_age_ms, now,
                )  # fmt: skip
        name, fate, reason, _, _ = HOLDER_RULES[place]
        decisions.append(
            HolderDecision(
                holder.user_id,
                fate,
                reason,
                name,
                kind_,
                holder.consent_id,
                holder.version,
                notification,
                hidden,
            )
        )
        shift += 4
    return decisions, answers, state


def _terms(holder: PreparedHolder, at: int) -> tuple[Terms, tuple[Projection | None, ...]]:
    """Return the terms that hold for an event at `at`, _NO_TERMS if no version was effective."""
    for effective_at, terms, shown in holder.chains:
        if effective_at <= at:
            return terms, shown
    return _NO_TERMS, ()


def _answer(
    event: Event,
    event_type: int,
    offset: int,
    holder: PreparedHolder,
    state: SubjectState,
    policy: Policy,
    now: int,
    first: int,
    own: SeenEntry | None,
    has_room: bool,
    replay: bool,
) -> tuple[int, SubjectState]:
    """Answer what is new for a holder whom no other rule leaves out, and remember the step if it is told.

    `first` is the answer given the first time, NOT_ASKED if there is none. A step that memory has gone past
    in a replay is not written again.
    """
    scope = SCOPES[event_type](event)
    if scope is None:
        return first or (GO_ON if has_room else NO_ROOM), state
    key = told_key(scope, holder.user_id)
    told = find_told(state, key, now) if state.told else None
    is_own_step = replay and told is not None and told[6] == offset
    if first != NOT_ASKED:
        found = first
    elif is_own_step and told is not None:
        found = GO_ON_ETA if told[2] & AS_NEW_ETA else GO_ON
    else:
        found = ANSWERS[event_type](event, told, now)
    if found > GO_ON_ETA:
        return found, state
    if not has_room:
        return NO_ROOM, state
    if is_own_step or (own is not None and told is not None and told[6] > offset):
        return found, state
    entry = ENTRIES[event_type](event, key, found, offset, now)
    after: SubjectState | None = state
    if told is not None and event_type in REPEATABLE:
        earlier = find_told(state, revision_key(entry), now) if first == NOT_ASKED else None
        if earlier is not None and not (replay and earlier[6] == offset):
            return IS_TOLD, state
        after = with_told(state, (revision_key(told), *told[1:]), now, policy.told_limit)
    if after is not None:
        after = with_told(after, entry, now, policy.told_limit)
    if after is None:
        return (found if first != NOT_ASKED else NO_ROOM), state
    return found, after


def _whole(event: Event, rule: Rule, kind: Kind | None) -> Decision:
    """Return the decision of a rule that decides the whole record.

    An event_id that breaks its limits is not repeated.
    """
    event_id = event.event_id if 0 < len(event.event_id) <= MAX_ID_CHARS else None
    return Decision(
        rule.fate, rule.reason, event_id, (HolderDecision(None, rule.fate, rule.reason, rule.name, kind),)
    )
