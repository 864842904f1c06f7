"""Consents as values: versions of every holder of a subject, as the wire carries them.

What they allow together is in `terms.py`; how requests change them is in `fold.py`. Imports `codes` only.
Read next: `terms.py`.
"""

from typing import NamedTuple

from streams.core.codes import ConsentAction, DetailLevel, Direction, RequestedBy

MAX_HOLDERS = 8
MAX_VERSIONS = 8


class Preferences(NamedTuple):
    """Thresholds of one version. Source: Preferences in consent.avsc."""

    min_amount_minor: int | None = None
    currency: str | None = None
    low_balance_minor: int | None = None


class Consent(NamedTuple):
    """One version of what one holder allows.

    `purposes` is a set of bits (`codes.Purposes`); times are UTC milliseconds.
    """

    consent_id: str
    version: int
    purposes: int
    detail_level: DetailLevel | int
    direction: Direction | int
    channel_ref: str
    effective_at: int
    valid_until: int
    revoked_at: int | None
    notice_id: str
    notice_hash: str
    locale: str
    timezone: str
    preferences: Preferences = Preferences()


class Holder(NamedTuple):
    """One person's consents for a subject; `versions` rises, the current one is last, never empty."""

    user_id: str
    versions: tuple[Consent, ...]


class ConsentState(NamedTuple):
    """All that is known of a subject's consents; `holders` in the order of user_id.

    `salt` is the key of the subject's pseudonyms, see `pseudonyms.py`.
    """

    subject: str
    holders: tuple[Holder, ...]
    suspended: bool = False
    request_offset: int = -1
    salt: bytes | None = None


class ConsentRequest(NamedTuple):
    """What is asked of a consent.

    `has_unknown_purpose` tells that the wire named a purpose that we do not know.
    """

    request_id: str
    subject: str
    user_id: str | None
    action: ConsentAction | int
    requested_at: int
    requested_by: RequestedBy | int
    consent: Consent | None = None
    expected_version: int | None = None
    has_unknown_purpose: bool = False
