"""Folds consent requests into a subject's consents, one after another in offset order.

Pure: the append time and a fresh salt come in. Nothing that a request says about its own time makes it count
earlier; a revocation is never refused.
Imports `consent`, `money` and `policy`.
Source: docs/rules.md section 8.
"""

from itertools import pairwise
from typing import NamedTuple

from streams.core.codes import ConsentAction, ConsentOutcome, DetailLevel, Direction, RefusalReason
from streams.core.consent import MAX_HOLDERS, MAX_VERSIONS, Consent, ConsentRequest, ConsentState, Holder
from streams.core.money import is_currency
from streams.core.policy import Policy
from streams.core.terms import KNOWN_PURPOSES

MAX_NAME_CHARS = 256
MAX_WORD_CHARS = 128

_ACCEPTED, _REFUSED = ConsentOutcome.ACCEPTED, ConsentOutcome.REFUSED


class FoldOutcome(NamedTuple):
    """What became of one request.

    `state` is the subject's consents after it, None when there are none. `version` and `effective_at` (UTC
    ms) are set for an accepted grant or change.
    """

    state: ConsentState | None
    outcome: ConsentOutcome
    reason: RefusalReason | None = None
    version: int | None = None
    effective_at: int | None = None


def fold(
    state: ConsentState | None,
    subject: str,
    request: ConsentRequest | None,
    appended_ms: int,
    offset: int,
    policy: Policy,
    fresh_salt: bytes,
    *,
    is_replayed: bool = False,
) -> FoldOutcome:
    """Fold one request into the consents of `subject`, which is the record's key.

    `request` None: it could not be read. `is_replayed`: it was answered before; only what takes away counts
    again. `appended_ms` is the broker's append time, `offset` the place in
    consent.requests; `fresh_salt`, random, becomes the subject's if it has none yet or somebody is erased.
    A request that cannot be read, or speaks of another subject, suspends the subject; a readable one lifts
    that, accepted or refused, but not one that is replayed. Never raises.
    """
    holders = () if state is None else state.holders
    salt = fresh_salt if state is None or state.salt is None else state.salt
    if request is None or request.action not in _ACTIONS:
        return _suspended(subject, holders, offset, salt, RefusalReason.UNREADABLE)
    if request.subject != subject:
        return _suspended(subject, holders, offset, salt, RefusalReason.SUBJECT_MISMATCH)
    if is_replayed and request.action not in _TAKING_AWAY:
        after = None if state is None else state._replace(request_offset=offset, salt=salt)
        return FoldOutcome(after, _REFUSED, RefusalReason.REPLAYED)
    stays = is_replayed and state is not None and state.suspended
    match request.action:
        case ConsentAction.REVOKE:
            left = tuple(
                _revoked(holder, appended_ms) if _is_meant(request, holder) else holder for holder in holders
            )
            return FoldOutcome(_state(subject, left, offset, salt, suspended=stays), _ACCEPTED)
        case ConsentAction.ERASE:
            left = tuple(holder for holder in holders if not _is_meant(request, holder))
            salt = salt if left == holders else fresh_salt
            return FoldOutcome(_state(subject, left, offset, salt, suspended=stays), _ACCEPTED)
        case _:
            return _granted(subject, holders, request, appended_ms, offset, policy, salt)


_TAKING_AWAY = frozenset((ConsentAction.REVOKE, ConsentAction.ERASE))
_ACTIONS = frozenset((ConsentAction.GRANT, ConsentAction.REVOKE, ConsentAction.CHANGE, ConsentAction.ERASE))


def _suspended(
    subject: str, holders: tuple[Holder, ...], offset: int, salt: bytes, reason: RefusalReason
) -> FoldOutcome:
    state = ConsentState(subject, holders, suspended=True, request_offset=offset, salt=salt)
    return FoldOutcome(state, _REFUSED, reason)


def _state(
    subject: str, holders: tuple[Holder, ...], offset: int, salt: bytes, *, suspended: bool = False
) -> ConsentState | None:
    if not holders and not suspended:
        return None
    return ConsentState(subject, holders, suspended=suspended, request_offset=offset, salt=salt)


def _is_meant(request: ConsentRequest, holder: Holder) -> bool:
    return request.user_id is None or request.user_id == holder.user_id


def _revoked(holder: Holder, appended_ms: int) -> Holder:
    return Holder(holder.user_id, (holder.versions[-1]._replace(revoked_at=appended_ms),))


def _granted(
    subject: str,
    holders: tuple[Holder, ...],
    request: ConsentRequest,
    appended_ms: int,
    offset: int,
    policy: Policy,
    salt: bytes,
) -> FoldOutcome:
    holder = next((holder for holder in holders if holder.user_id == request.user_id), None)
    asked = request.consent
    reason = _refusal(request, asked, holder, len(holders), appended_ms, policy)
    if reason is not None or asked is None or request.user_id is None:
        return FoldOutcome(_state(subject, holders, offset, salt), _REFUSED, reason)
    number = 1 if holder is None else holder.versions[-1].version + 1
    effective_at = max(appended_ms, asked.effective_at)
    granted = asked._replace(
        version=number,
        purposes=asked.purposes & KNOWN_PURPOSES,
        effective_at=effective_at,
        revoked_at=None,
    )
    earlier = () if holder is None or _current(holder) == 0 else holder.versions
    versions = _still_needed((*earlier, granted), appended_ms - policy.largest_max_age_ms)
    others = tuple(other for other in holders if other is not holder)
    after = tuple(sorted((*others, Holder(request.user_id, versions))))
    return FoldOutcome(_state(subject, after, offset, salt), _ACCEPTED, None, number, effective_at)


def _refusal(
    request: ConsentRequest,
    asked: Consent | None,
    holder: Holder | None,
    holders: int,
    appended_ms: int,
    policy: Policy,
) -> RefusalReason | None:
    """Return why a grant or change is refused: the first that applies, None if it is accepted."""
    if not request.user_id:
        return RefusalReason.NO_USER
    if asked is None:
        return RefusalReason.NO_CONSENT_GIVEN
    if request.has_unknown_purpose or asked.purposes == 0 or asked.purposes & ~KNOWN_PURPOSES:
        return RefusalReason.NO_PURPOSE
    effective_at = max(appended_ms, asked.effective_at)
    if not effective_at < asked.valid_until <= effective_at + policy.max_consent_ms:
        return RefusalReason.VALIDITY
    if not _is_valid(request.user_id, request.subject, asked):
        return RefusalReason.INVALID
    current = _current(holder)
    if request.action == ConsentAction.CHANGE and current == 0:
        return RefusalReason.NOT_GRANTED
    if request.expected_version is not None and request.expected_version != current:
        return RefusalReason.VERSION_CONFLICT
    if holder is None and holders >= MAX_HOLDERS:
        return RefusalReason.TOO_MANY_HOLDERS
    return None


def _is_valid(user_id: str, subject: str, asked: Consent) -> bool:
    names = (user_id, subject, asked.consent_id, asked.channel_ref)
    words = (asked.notice_id, asked.notice_hash, asked.locale, asked.timezone)
    minimum, currency, _ = asked.preferences
    return (
        Direction.IN <= asked.direction <= Direction.BOTH
        and DetailLevel.ACTIVITY_ONLY <= asked.detail_level <= DetailLevel.FULL
        and all(len(text) <= MAX_NAME_CHARS for text in names)
        and all(len(text) <= MAX_WORD_CHARS for text in words)
        and (minimum is None or minimum >= 0)
        and (currency is None or is_currency(currency))
    )


def _current(holder: Holder | None) -> int:
    """Return the number of the holder's standing version, 0 for none."""
    if holder is None or holder.versions[-1].revoked_at is not None:
        return 0
    return holder.versions[-1].version


def _still_needed(versions: tuple[Consent, ...], oldest_ms: int) -> tuple[Consent, ...]:
    """Leave out the oldest versions over the limit, and those that no event can meet any more.

    The last always stays.
    """
    kept = tuple(version for version, successor in pairwise(versions) if successor.effective_at >= oldest_ms)
    return (*kept, versions[-1])[-MAX_VERSIONS:]
