"""What people ask of their consents in a run: grants before it and after its first third, changes and
revocations, new grants.

`phases(...)` gives four lists of requests; the events of a run are cut in four likewise, and each list is
acknowledged before its events are sent.
"""

import hashlib
from typing import Any, NamedTuple

from tests.model import values
from tests.model.sources import Lots, Source

DAY_MS = 86_400_000
SHORT_MS = 9_000
CUTS = (1 / 3, 1 / 2, 2 / 3, 1.0)


class Ask(NamedTuple):
    """One request to be sent; `fields` of None is a value that cannot be read."""

    subject: str
    action: str
    user: str | None
    fields: dict[str, Any] | None


def is_granted(subject: str, share: float, seed: int) -> bool:
    """Whether the grant share takes this subject."""
    return int(hashlib.sha256(f"{seed}:{subject}".encode()).hexdigest()[:8], 16) / 2**32 < share


def phases(source: Source, share: float, lots: Lots) -> list[list[Ask]]:
    """The requests before each quarter of the run."""
    asks: list[list[Ask]] = [[], [], [], []]
    for subject in sorted(source.holders):
        if is_granted(subject, share, lots.seed):
            for user in source.holders[subject]:
                _holder(asks, subject, user, lots)
            _subject(asks, subject, lots)
    for phase in asks:
        phase.append(Ask("nobody:1", "REVOKE", "user:nobody", {}))
        phase.append(Ask("nobody:2", "GRANT", None, {}))
    return asks


def _holder(asks: list[list[Ask]], subject: str, user: str, lots: Lots) -> None:
    start = 0 if lots.of("start", user) < 0.6 else 1
    asks[start].append(Ask(subject, "GRANT", user, policy(user, 0, lots)))
    if lots.of("refused", user) < 0.05:
        asks[start].append(Ask(subject, "GRANT", user, {**policy(user, 0, lots), "purposes": []}))
    change = lots.of("change", user)
    if start == 0 and change < 0.5:
        asks[1].append(Ask(subject, "CHANGE", user, policy(user, 1, lots)))
    if change < 0.25:
        asks[3].append(Ask(subject, "CHANGE", user, policy(user, 2, lots)))
    if lots.of("revoke", user) < 0.25:
        asks[2].append(Ask(subject, "REVOKE", user, {}))
        if lots.of("again", user) < 0.5:
            asks[3].append(Ask(subject, "GRANT", user, policy(user, 3, lots)))


def _subject(asks: list[list[Ask]], subject: str, lots: Lots) -> None:
    match int(lots.of("subject", subject) * 100):
        case 0 | 1:
            asks[2].append(Ask(subject, "REVOKE", None, {}))
        case 2 | 3:
            asks[2].append(Ask(subject, "ERASE", None, {}))
        case 4 | 5 | 6:
            asks[1].append(Ask(subject, "GRANT", None, None))
        case 7 | 8:
            asks[2].append(Ask(subject, "GRANT", None, None))
            asks[3].append(Ask(subject, "CHANGE", "user:nobody", {}))


def policy(user: str, number: int, lots: Lots) -> dict[str, Any]:
    """What one consent allows, without its times: for nearly half of all everything."""
    wide: dict[str, Any] = {
        "consent_id": f"consent-{user[5:]}",
        "channel_ref": f"psid-{user[5:13]}",
        "locale": lots.pick(["en", "de", "pt-BR", "en-GB", "fr-FR", "de-AT"], "locale", user, number),
        "timezone": lots.pick(["Europe/Prague", "America/Sao_Paulo", "UTC", "Asia/Tokyo"], "zone", user),
    }
    if lots.of("wide", user, number) < 0.45:
        return wide
    purposes = [
        ["RECEIPT", "BALANCE", "SHIPPING"],
        ["RECEIPT", "SHIPPING"],
        ["BALANCE", "SHIPPING"],
        ["SECURITY"],
        ["RECEIPT", "BALANCE", "SHIPPING", "SECURITY"],
    ]
    narrow = {
        "purposes": lots.pick(purposes, "purposes", user, number),
        "detail_level": lots.pick(
            ["ACTIVITY_ONLY", "AMOUNT", "AMOUNT_MERCHANT", "FULL"], "detail", user, number
        ),
        "direction": lots.pick(["BOTH", "BOTH", "IN", "OUT"], "direction", user, number),
        "min_amount_minor": lots.pick([None, None, 100_000, 1_000_000], "minimum", user, number),
        "currency": lots.pick([None, "CZK", "CZK", "EUR"], "currency", user, number),
        "low_balance_minor": lots.pick([None, None, 3_000_000], "low", user, number),
    }
    if lots.of("short", user, number) < 0.2:
        narrow["valid_for_ms"] = SHORT_MS
    return wide | narrow


def encoded(ask: Ask, now: int) -> bytes:
    """The request's value, its times counted from `now`."""
    if ask.fields is None:
        return b"\x00\x00\x00\x00\x06broken"
    fields = dict(ask.fields)
    given = None
    if fields:
        given = values.consent(now + fields.pop("valid_for_ms", 30 * DAY_MS), **fields)
    return values.request(ask.subject, ask.action, ask.user, consent=given, requested_at=now)
