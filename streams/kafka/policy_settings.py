"""The rules' limits that settings state, as the core takes them.

Imports settings and core. Read next: `partition_owner.py`.
"""

from streams.core.policy import Policy, make_policy
from streams.settings import Settings


def policy_of(settings: Settings) -> Policy:
    """Return the rules' limits that these settings state. Never raises."""
    return make_policy(
        receipt_s=settings.max_age_receipt_s,
        balance_s=settings.max_age_balance_s,
        security_s=settings.max_age_security_s,
        shipping_s=settings.max_age_shipping_s,
        future_s=settings.future_tolerance_s,
        max_consent_days=settings.consent_max_days,
    )
