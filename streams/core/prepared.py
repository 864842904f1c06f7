"""A subject's consents made ready.

All that does not depend on the event, computed once and kept by the caller. Imports `consent`, `project`,
`pseudonyms` and `terms`. Read next: `gate.py`.
"""

import hashlib

from streams.core.consent import ConsentState, Holder
from streams.core.project import Projection, projections, subject_label
from streams.core.pseudonyms import subject_pseudonym, user_pseudonym
from streams.core.terms import KNOWN_PURPOSES, Terms, intersection

NEVER = -(2**63)
_INTERN_LIMIT = 4_096
_interned: dict[str, str] = {}

Chain = tuple[int, Terms, tuple[Projection | None, ...]]
"""From when on it applies (UTC ms), the terms of a version and every later one, and what they show."""


class PreparedHolder:
    """One holder, made ready.

    `open_from` and `open_until` bound the times (UTC ms) at which a value may be opened at all; `chains`
    starts with the newest; empty once revoked.
    """

    __slots__ = (
        "chains", "channel_ref", "consent_id", "is_revoked", "locale", "open_from", "open_until", "pseudonym",
        "purposes", "timezone", "user_id", "valid_until", "version",
    )  # fmt: skip

    def __init__(self, holder: Holder, salt: bytes | None) -> None:
        versions = holder.versions
        last = versions[-1]
        self.user_id = holder.user_id
        self.pseudonym = user_pseudonym(salt, holder.user_id)
        self.channel_ref = last.channel_ref
        self.consent_id = last.consent_id
        self.version = last.version
        self.locale = _intern(last.locale)
        self.timezone = _intern(last.timezone)
        self.is_revoked = last.revoked_at is not None
        self.valid_until = last.valid_until
        self.purposes = last.purposes & KNOWN_PURPOSES
        self.open_from = min(version.effective_at for version in versions)
        self.open_until = NEVER if self.is_revoked else last.valid_until
        self.chains: tuple[Chain, ...] = ()
        if not self.is_revoked:
            self.chains = tuple(_chain(holder, index) for index in range(len(versions) - 1, -1, -1))


class PreparedConsent:
    """A subject's consents, made ready; immutable by convention.

    While suspended it has no holders. `asked` tells apart different lists of holders; `pseudonym` is the
    subject's.
    """

    __slots__ = ("asked", "holders", "is_suspended", "pseudonym", "subject_label")

    def __init__(self, state: ConsentState) -> None:
        self.is_suspended = state.suspended
        self.subject_label = subject_label(state.subject)
        known = () if state.suspended else state.holders
        self.pseudonym = subject_pseudonym(state.salt, state.subject) if state.subject else None
        self.holders = tuple(PreparedHolder(holder, state.salt) for holder in known if holder.versions)
        names = "\0".join(f"{len(holder.user_id)}:{holder.user_id}" for holder in self.holders)
        digest = hashlib.blake2b(names.encode("utf-8", "surrogatepass"), digest_size=4).digest()
        self.asked = int.from_bytes(digest, "little")

    def pseudonym_of(self, user_id: str | None) -> str | None:
        """Return the pseudonym of a holder, None for nobody. Raises StopIteration for one who is none."""
        return user_id and next(one.pseudonym for one in self.holders if one.user_id == user_id)


def prepare(state: ConsentState) -> PreparedConsent:
    """Return a subject's consents made ready for `closed` and `decide`. Never raises."""
    return PreparedConsent(state)


def _chain(holder: Holder, index: int) -> Chain:
    terms = intersection(holder.versions[index:])
    return holder.versions[index].effective_at, terms, projections(terms.purposes, terms.detail_level)


def _intern(text: str) -> str:
    """Share equal locales and zones; the table is bounded, texts beyond it are simply kept."""
    found = _interned.get(text)
    if found is not None:
        return found
    if len(_interned) < _INTERN_LIMIT:
        _interned[text] = text
    return text
