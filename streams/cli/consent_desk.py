"""What the consent desk sends and reads: requests and their answers, and the state they fold into.

Imports core, wire, kafka and ops. Read next: `streams/core/fold.py`, which decides about requests.
"""

import hashlib
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import typer

from streams.cli.asking import Question, ask
from streams.core.codes import (
    ConsentAction,
    ConsentOutcome,
    DetailLevel,
    Direction,
    Purpose,
    RefusalReason,
    RequestedBy,
)
from streams.core.consent import Consent, ConsentRequest, ConsentState, Preferences
from streams.errors import CheckFailedError
from streams.ops.consent_states import consent_values
from streams.settings import Settings
from streams.wire.codec import (
    ConsentResult,
    decode_consent_result,
    decode_consent_state,
    encode_consent_request,
)
from streams.wire.topics import CONSENT_REQUESTS, CONSENT_RESULTS

NOTICE = "Granted by an operator on the command line."
_DAY_MS = 86_400_000
_MARGIN_MS = 3_600_000  # validity is counted from the broker's clock, which may be behind ours

REFUSALS: Mapping[RefusalReason, str] = MappingProxyType({
    RefusalReason.UNREADABLE: "the request cannot be read",
    RefusalReason.MISROUTED: "the request is in another partition than its subject's",
    RefusalReason.SUBJECT_MISMATCH: "the subject of the request is not the key of its record",
    RefusalReason.NO_USER: "it does not say which person is to be told",
    RefusalReason.NO_CONSENT_GIVEN: "it does not say what is granted",
    RefusalReason.NO_PURPOSE: "it names no purpose, or one that does not exist",
    RefusalReason.VALIDITY: "it ends before it begins, or is valid for longer than allowed",
    RefusalReason.NOT_GRANTED: "there is no standing consent to change",
    RefusalReason.VERSION_CONFLICT: "the consent has changed meanwhile: look at it and try again",
    RefusalReason.TOO_MANY_HOLDERS: "this subject has as many holders as are allowed",
    RefusalReason.INVALID: "a field breaks its limits",
    RefusalReason.REPLAYED: "a request with this id was answered before",
})  # fmt: skip
"""What each refusal means, for a person; a clause without a full stop."""


class Wishes(NamedTuple):
    """What the options of `grant` and `change` say; None is not said."""

    purposes: int | None
    detail: str | None
    direction: str | None
    min_amount: int | None
    currency: str | None
    low_balance: int | None
    valid_days: int | None
    channel_ref: str | None
    locale: str | None
    timezone: str | None


def parse_purposes(text: str) -> int:
    """Return the bits of comma-separated purposes. Raises typer.BadParameter for a word that is none."""
    bits = 0
    for word in text.split(","):
        bits |= 1 << _code(Purpose, word.strip(), "--purposes")
    return bits


def fresh_grant(subject: str, user: str, wishes: Wishes, settings: Settings) -> Consent:
    """Return a new consent as `grant` asks for it. Raises typer.BadParameter for a word that is none."""
    now = _now()
    days = min(wishes.valid_days or settings.consent_max_days, settings.consent_max_days)
    start = Consent(
        consent_id=f"consent:{_digest(subject, user)}",
        version=0,
        purposes=0,
        detail_level=DetailLevel.AMOUNT_MERCHANT,
        direction=Direction.BOTH,
        channel_ref=user,
        effective_at=now,
        valid_until=now + days * _DAY_MS - _MARGIN_MS,
        revoked_at=None,
        notice_id="notice:command-line",
        notice_hash=hashlib.sha256(NOTICE.encode()).hexdigest(),
        locale="en",
        timezone="UTC",
    )
    return _with(start, wishes._replace(valid_days=None))


def changed(state: ConsentState | None, subject: str, user: str, wishes: Wishes) -> tuple[Consent, int]:
    """Return the standing consent with the wishes in it, and its version.

    Raises:
        CheckFailedError: the person has no standing consent for the subject.
    """
    holders = state.holders if state is not None else ()
    standing = next((one.versions[-1] for one in holders if one.user_id == user), None)
    if standing is None or standing.revoked_at is not None:
        raise CheckFailedError(f"{user} has no standing consent for {subject}: use `notifier consent grant`.")
    return _with(standing._replace(version=0, effective_at=_now()), wishes), standing.version


def request_of(
    action: ConsentAction,
    subject: str,
    user: str | None,
    consent: Consent | None = None,
    expected_version: int | None = None,
) -> ConsentRequest:
    """Return a request by an operator, with an id of its own."""
    return ConsentRequest(
        request_id=str(uuid.uuid4()),
        subject=subject,
        user_id=user,
        action=action,
        requested_at=_now(),
        requested_by=RequestedBy.OPERATOR,
        consent=consent,
        expected_version=expected_version,
    )


async def submit(settings: Settings, request: ConsentRequest, *, waits: bool) -> dict[str, Any]:
    """Store a request; wait for its answer if asked to, see `asking.ask`.

    Returns position, outcome (None without an answer), reason, its meaning, version and effective_at.

    Raises:
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """

    def own(value: bytes) -> ConsentResult | None:
        read = decode_consent_result(value)
        return read if read.request_id == request.request_id else None

    key = request.subject.encode()
    question = Question(CONSENT_REQUESTS, CONSENT_RESULTS, key, encode_consent_request(request))
    return _outcome(request, *await ask(settings, question, own, waits=waits))


async def current_state(settings: Settings, subject: str) -> ConsentState | None:
    """Return the subject's consents as the workers have stored them, None if there are none.

    Raises:
        CheckFailedError: they cannot be read.
        TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
    """
    value = (await consent_values(settings, [subject])).get(subject)
    if value is None:
        return None
    state = decode_consent_state(value)
    if state is None:
        raise CheckFailedError(
            f"The consents of {subject} cannot be read; nobody is told until a new request."
        )
    return state


def consent_json(state: ConsentState) -> dict[str, Any]:
    """Return the state as JSON values, codes by name, times in UTC milliseconds."""
    holders = [
        {"user_id": one.user_id, "versions": [_consent_json(version) for version in one.versions]}
        for one in state.holders
    ]
    return {"subject": state.subject, "suspended": state.suspended, "holders": holders}


def state_words(state: ConsentState) -> str:
    """Return the state as lines for a person: one per holder and version."""
    lines = [state.subject + (" (suspended: its last request could not be read)" if state.suspended else "")]
    for holder in state.holders:
        lines.append(f"  {holder.user_id}")
        lines += [f"    {_consent_words(version)}" for version in holder.versions]
    return "\n".join(lines)


def _with(consent: Consent, wishes: Wishes) -> Consent:
    said: dict[str, Any] = {
        "purposes": wishes.purposes,
        "detail_level": _code(DetailLevel, wishes.detail, "--detail") if wishes.detail else None,
        "direction": _code(Direction, wishes.direction, "--direction") if wishes.direction else None,
        "valid_until": _now() + wishes.valid_days * _DAY_MS - _MARGIN_MS if wishes.valid_days else None,
        "channel_ref": wishes.channel_ref,
        "locale": wishes.locale,
        "timezone": wishes.timezone,
    }
    limits: dict[str, Any] = {
        "min_amount_minor": wishes.min_amount,
        "currency": wishes.currency.upper() if wishes.currency else None,
        "low_balance_minor": wishes.low_balance,
    }
    old = consent.preferences
    preferences = old._replace(**{name: value for name, value in limits.items() if value is not None})
    has_threshold = preferences.min_amount_minor is not None or preferences.low_balance_minor is not None
    if preferences.currency is not None and not has_threshold:
        raise typer.BadParameter("it needs --min-amount or --low-balance.", param_hint="--currency")
    given = {name: value for name, value in said.items() if value is not None}
    return consent._replace(preferences=Preferences(*preferences), **given)


def _code(codes: type[Purpose | DetailLevel | Direction], word: str, option: str) -> int:
    name = word.upper().replace("-", "_")
    if name == "UNKNOWN" or name not in codes.__members__:
        known = ", ".join(code.name.lower() for code in codes if code)
        raise typer.BadParameter(f"{word!r} is none of {known}.", param_hint=option)
    return codes[name]


def _outcome(request: ConsentRequest, position: str, result: ConsentResult | None) -> dict[str, Any]:
    reason = result.reason if result is not None else None
    return {
        "request_id": request.request_id,
        "position": position,
        "outcome": ConsentOutcome(result.outcome).name if result is not None else None,
        "reason": RefusalReason(reason).name if reason is not None else None,
        "meaning": REFUSALS.get(RefusalReason(reason)) if reason is not None else None,
        "version": result.version if result is not None else None,
        "effective_at": result.effective_at if result is not None else None,
    }


def _consent_json(consent: Consent) -> dict[str, Any]:
    codes = {
        "purposes": _purpose_names(consent),
        "detail_level": DetailLevel(consent.detail_level).name,
        "direction": Direction(consent.direction).name,
        "preferences": consent.preferences._asdict(),
    }
    return {**consent._asdict(), **codes}


def _consent_words(consent: Consent) -> str:
    names = ", ".join(_purpose_names(consent)).lower()
    limits = [
        f"{name.removesuffix('_minor').replace('_', ' ')} {value}"
        for name, value in consent.preferences._asdict().items()
        if value is not None
    ]
    level = DetailLevel(consent.detail_level).name.lower()
    until = f"{_day(consent.effective_at)} to {_day(consent.valid_until)}"
    revoked = f", revoked {_day(consent.revoked_at)}" if consent.revoked_at is not None else ""
    extra = f", {', '.join(limits)}" if limits else ""
    direction = Direction(consent.direction).name.lower()
    return f"version {consent.version}: {names}; {level}, money {direction}{extra}; {until}{revoked}"


def _purpose_names(consent: Consent) -> list[str]:
    return [purpose.name for purpose in Purpose if purpose and consent.purposes & 1 << purpose]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _now() -> int:
    return time.time_ns() // 1_000_000
