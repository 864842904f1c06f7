"""What the operator may set, and the table of kinds: what each one needs, how urgent and how old it may be.

Imports `codes` only. Read next: `rules.py`. Source: docs/rules.md section 4.
"""

import hashlib
from typing import NamedTuple

from streams.core.codes import Kind, Purposes

SEEN_LIMIT = 32_768
TOLD_LIMIT = 4_096
SEEN_SLACK_MS = 600_000
TOLD_FOR_MS = 21 * 86_400_000

RECEIPT, BALANCE = int(Purposes.RECEIPT), int(Purposes.BALANCE)
SHIPPING, SECURITY = int(Purposes.SHIPPING), int(Purposes.SECURITY)

NO_THRESHOLD, MINIMUM_AMOUNT, LOW_BALANCE = 0, 1, 2


class KindRule(NamedTuple):
    """One row of the table of kinds.

    `purposes`: bits, any of them allows the kind; priority 0 is the most urgent.
    """

    kind: Kind
    purposes: int
    priority: int
    threshold: int
    name: str
    template_key: str


KINDS: tuple[KindRule, ...] = (
    KindRule(Kind.UNKNOWN, 0, 4, NO_THRESHOLD, "UNKNOWN", "unknown"),
    KindRule(Kind.RECEIPT, RECEIPT, 3, MINIMUM_AMOUNT, "RECEIPT", "receipt"),
    KindRule(Kind.DECLINED, RECEIPT | SECURITY, 1, NO_THRESHOLD, "DECLINED", "declined"),
    KindRule(Kind.REFUND, RECEIPT, 3, MINIMUM_AMOUNT, "REFUND", "refund"),
    KindRule(Kind.BALANCE, BALANCE, 2, LOW_BALANCE, "BALANCE", "balance"),
    KindRule(Kind.SHIPPING, SHIPPING, 4, NO_THRESHOLD, "SHIPPING", "shipping"),
    KindRule(Kind.SECURITY, SECURITY, 0, NO_THRESHOLD, "SECURITY", "security"),
)
"""Indexed by Kind; kinds after SECURITY are not made from a single event."""

KIND_OF_TRANSACTION = (Kind.UNKNOWN, Kind.RECEIPT, Kind.RECEIPT, Kind.REFUND, Kind.DECLINED, Kind.RECEIPT)
"""Indexed by TransactionStatus."""

EVENT_PURPOSES = (RECEIPT | SECURITY, BALANCE, SECURITY, SHIPPING)
"""Indexed by event type: what the kinds of a topic can need at all."""


class Policy(NamedTuple):
    """The operator's settings as the core uses them.

    `max_age_ms` is indexed by Kind; `version` names the values.
    """

    version: str
    max_age_ms: tuple[int, ...]
    future_tolerance_ms: int
    largest_max_age_ms: int
    max_consent_ms: int
    seen_limit: int = SEEN_LIMIT
    told_limit: int = TOLD_LIMIT


def make_policy(
    *,
    receipt_s: int = 21_600,
    balance_s: int = 3_600,
    security_s: int = 900,
    shipping_s: int = 172_800,
    future_s: int = 300,
    max_consent_days: int = 365,
) -> Policy:
    """Return the policy of these settings. Never raises.

    Equal settings give an equal `version`. Source: docs/rules.md section 4.
    """
    seconds = (0, receipt_s, receipt_s, receipt_s, balance_s, shipping_s, security_s, 0, 0, 0)
    max_age_ms = tuple(age * 1_000 for age in seconds)
    values = (*max_age_ms, future_s * 1_000, max_consent_days * 86_400_000, SEEN_LIMIT, TOLD_LIMIT)
    digest = hashlib.sha256(",".join(map(str, values)).encode()).hexdigest()
    return Policy(
        f"1-{digest[:12]}", max_age_ms, future_s * 1_000, max(max_age_ms), max_consent_days * 86_400_000
    )
