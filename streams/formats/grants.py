"""`--grant-share`: made-up holders who consent to a share of a file's subjects, the same ones for the same
seed. Pure.

Imports `core` only. Read next: `production.py`. Source: DESIGN section 10.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from streams.core.codes import ConsentAction, DetailLevel, Direction, Purposes, RequestedBy
from streams.core.consent import Consent, ConsentRequest

VALID_DAYS = 365
_DAY_MS = 86_400_000
_MARGIN_MS = 3_600_000  # the longest validity counts from the broker's clock, which may be behind ours
_NOTICE = "Made-up consent for trying things out."
_ALL_PURPOSES = Purposes.BALANCE | Purposes.RECEIPT | Purposes.SHIPPING | Purposes.SECURITY


@dataclass(frozen=True, slots=True)
class GrantRule:
    """Which subjects are granted: a `share` of all from 0 to 1, drawn by `seed`; for how many days."""

    share: float
    seed: int
    days: int = VALID_DAYS


def is_granted(subject: str, rule: GrantRule) -> bool:
    """Say whether the subject belongs to the share. Never raises."""
    drawn = int(hashlib.sha256(f"{rule.seed}:{subject}".encode()).hexdigest()[:8], 16)
    return drawn / 2**32 < rule.share


def user_of(subject: str) -> str:
    """Return the user id of the subject's first holder. Never raises."""
    return f"user:{_digest(subject)}"


def grants(
    subjects: Iterable[str], joint: Mapping[str, tuple[str, ...]], rule: GrantRule, now: int
) -> Iterator[ConsentRequest]:
    """Yield the grant of every holder of the granted subjects, in their order; `now` is UTC milliseconds."""
    for subject in subjects:
        if is_granted(subject, rule):
            for user_id in (user_of(subject), *joint.get(subject, ())):
                yield grant(subject, user_id, rule, now)


def grant(subject: str, user_id: str, rule: GrantRule, now: int) -> ConsentRequest:
    """Return a grant of everything: all purposes, FULL, BOTH, no minimum. Never raises."""
    identity = _digest(f"{rule.seed}:{subject}:{user_id}")
    consent = Consent(
        consent_id=f"consent:{identity}",
        version=0,
        purposes=_ALL_PURPOSES,
        detail_level=DetailLevel.FULL,
        direction=Direction.BOTH,
        channel_ref=f"channel:{_digest(user_id)}",
        effective_at=now,
        valid_until=now + rule.days * _DAY_MS - _MARGIN_MS,
        revoked_at=None,
        notice_id="notice:made-up",
        notice_hash=hashlib.sha256(_NOTICE.encode()).hexdigest(),
        locale="en",
        timezone="UTC",
    )
    return ConsentRequest(
        request_id=f"grant:{identity}:{now}",
        subject=subject,
        user_id=user_id,
        action=ConsentAction.GRANT,
        requested_at=now,
        requested_by=RequestedBy.USER,
        consent=consent,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
