import pytest
import typer

from streams.cli.consent_desk import (
    REFUSALS,
    Wishes,
    changed,
    consent_json,
    fresh_grant,
    parse_purposes,
    request_of,
    state_words,
)
from streams.core.codes import ConsentAction, DetailLevel, Direction, Purposes, RefusalReason, RequestedBy
from streams.core.consent import ConsentState, Holder, Preferences
from streams.errors import CheckFailedError
from streams.settings import Settings
from streams.wire.codec import decode_consent_request, encode_consent_request

NOTHING = Wishes(None, None, None, None, None, None, None, None, None, None)
DAY_MS = 86_400_000


def _state(*holders: Holder) -> ConsentState:
    return ConsentState("bank:1", holders)


def test_purposes_are_words_separated_by_commas() -> None:
    assert parse_purposes("receipt, BALANCE") == Purposes.RECEIPT | Purposes.BALANCE
    for text in ("", "receipt,", "advertising", "unknown"):
        with pytest.raises(typer.BadParameter, match="none of balance, receipt, shipping, security"):
            parse_purposes(text)


def test_a_grant_is_valid_for_as_long_as_the_profile_allows_and_no_longer() -> None:
    for profile, days in (("default", 365), ("eu", 180)):
        settings = Settings.from_env({}, consent_profile=profile)
        for wished in (None, 9999):
            consent = fresh_grant("bank:1", "u", NOTHING._replace(valid_days=wished), settings)
            assert 0 < days * DAY_MS - (consent.valid_until - consent.effective_at) <= 3_600_000
    short = fresh_grant("bank:1", "u", NOTHING._replace(valid_days=1), Settings.from_env({}))
    assert short.valid_until - short.effective_at < DAY_MS


def test_a_grant_says_what_the_options_say() -> None:
    wishes = Wishes(
        Purposes.RECEIPT, "full", "in", 500, "eur", None, None, "psid:1", "de-AT", "Europe/Vienna"
    )
    consent = fresh_grant("bank:1", "u", wishes, Settings.from_env({}))
    assert (consent.purposes, consent.detail_level) == (Purposes.RECEIPT, DetailLevel.FULL)
    assert (consent.direction, consent.channel_ref) == (Direction.IN, "psid:1")
    assert consent.preferences == Preferences(500, "EUR", None)
    assert (consent.locale, consent.timezone) == ("de-AT", "Europe/Vienna")


def test_a_change_keeps_what_it_does_not_name() -> None:
    wishes = Wishes(Purposes.RECEIPT, "full", "in", 500, "EUR", None, None, "psid:1", "de", "UTC")
    standing = fresh_grant("bank:1", "u", wishes, Settings.from_env({}))._replace(version=7)
    consent, version = changed(
        _state(Holder("u", (standing,))), "bank:1", "u", NOTHING._replace(detail="amount")
    )
    assert version == 7
    kept = standing._replace(version=0, effective_at=consent.effective_at, detail_level=DetailLevel.AMOUNT)
    assert consent == kept


def test_what_does_not_stand_cannot_be_changed() -> None:
    revoked = fresh_grant("bank:1", "u", NOTHING, Settings.from_env({}))._replace(revoked_at=1)
    for state in (None, _state(), _state(Holder("v", (revoked,))), _state(Holder("u", (revoked,)))):
        with pytest.raises(CheckFailedError, match="notifier consent grant"):
            changed(state, "bank:1", "u", NOTHING)


def test_a_currency_alone_limits_nothing_and_is_wrong_usage() -> None:
    with pytest.raises(typer.BadParameter):
        fresh_grant("bank:1", "u", NOTHING._replace(currency="EUR"), Settings.from_env({}))


def test_requests_are_by_an_operator_each_with_its_own_id_and_can_be_read() -> None:
    consent = fresh_grant("bank:1", "u", NOTHING._replace(purposes=Purposes.SECURITY), Settings.from_env({}))
    one = request_of(ConsentAction.GRANT, "bank:1", "u", consent, expected_version=3)
    other = request_of(ConsentAction.REVOKE, "bank:1", None)
    assert one.request_id != other.request_id
    assert one.requested_by == other.requested_by == RequestedBy.OPERATOR
    assert decode_consent_request(encode_consent_request(one)) == one
    assert decode_consent_request(encode_consent_request(other)) == other


def test_every_refusal_has_words() -> None:
    assert set(REFUSALS) == set(RefusalReason) - {RefusalReason.UNKNOWN}


def test_a_state_is_shown_with_every_version() -> None:
    wishes = Wishes(
        Purposes.RECEIPT | Purposes.BALANCE, "full", "both", 500, "EUR", None, None, None, None, None
    )
    first = fresh_grant("bank:1", "u", wishes, Settings.from_env({}))._replace(version=1)
    second = first._replace(version=2, revoked_at=first.effective_at)
    state = _state(Holder("u", (first, second)))._replace(suspended=True)
    words = state_words(state)
    assert "suspended" in words
    assert "version 1: balance, receipt; full, money both, min amount 500, currency EUR" in words
    assert "revoked" in words.splitlines()[-1]
    shown = consent_json(state)
    assert shown["holders"][0]["versions"][1]["purposes"] == ["BALANCE", "RECEIPT"]
    assert shown["holders"][0]["versions"][0]["preferences"]["currency"] == "EUR"
