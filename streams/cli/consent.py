"""`notifier consent`: the consent desk. Says what is asked; sending and reading is `consent_desk.py`."""

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.consent_desk import (
    Wishes,
    changed,
    consent_json,
    current_state,
    fresh_grant,
    parse_purposes,
    request_of,
    state_words,
    submit,
)
from streams.cli.link_desk import forget, is_linked_still, link_for, link_request, submit_link
from streams.cli.shared import JsonOption, KafkaOption, ProgressLine, answer, news, settings_of
from streams.core.codes import ConsentAction, LinkAction
from streams.core.consent import ConsentRequest
from streams.errors import CheckFailedError, ConfigurationError, NotifierError
from streams.kafka.publish import wall_ms
from streams.ops.erasure import erasure_receipt, removals
from streams.ops.export import export
from streams.ops.keys import read_key, sign
from streams.ops.keys import verify as verify_receipt
from streams.ops.receipts import ERASURE_TYPE, RECEIPT_TYPE, consent_receipt
from streams.ops.snapshots import forget as forget_in_snapshots
from streams.settings import Settings

app = typer.Typer(
    help="Grant, revoke, change, erase, show and export consents, unlink channels, sign receipts.",
    no_args_is_help=True,
)

_PURPOSES = "receipt, balance, shipping, security; separated by commas."

MAX_RECEIPT = 1 << 20

SigningKey = Annotated[
    Path | None, typer.Option("--key", help="Private key that signs; default NOTIFIER_RECEIPT_KEY.")
]
Subject = Annotated[str, typer.Argument(help="The account or shop customer, as source:token.")]
User = Annotated[str, typer.Option("--user", help="The person who is told.")]
AnyUser = Annotated[str | None, typer.Option("--user", help="One person.", show_default="every holder")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the worker's answer.")]
GrantedPurposes = Annotated[str, typer.Option(help=f"What for: {_PURPOSES}")]
Purposes = Annotated[
    str | None,
    typer.Option(help=f"What for: {_PURPOSES}", show_default=False),
]
Detail = Annotated[
    str | None,
    typer.Option(help="How much: activity_only, amount, amount_merchant or full.", show_default=False),
]
Way = Annotated[
    str | None, typer.Option("--direction", help="Which money: in, out or both.", show_default=False)
]
MinAmount = Annotated[
    int | None, typer.Option(min=0, help="Least amount, in minor units (cents).", show_default=False)
]
Currency = Annotated[str | None, typer.Option(help="Currency of the thresholds, as EUR.", show_default=False)]
LowBalance = Annotated[
    int | None, typer.Option(help="Tell of balances only below this, in minor units.", show_default=False)
]
ValidDays = Annotated[int | None, typer.Option(min=1, help="For how many days from now.", show_default=False)]
ChannelRef = Annotated[
    str | None, typer.Option(help="Address of the person at the messenger.", show_default=False)
]
Locale = Annotated[str | None, typer.Option(help="Language of the words, as de-AT.", show_default=False)]
Timezone = Annotated[
    str | None, typer.Option(help="Zone of the times, as Europe/Vienna.", show_default=False)
]


@app.command()
def grant(
    subject: Subject,
    user: User,
    purposes: Annotated[str, typer.Option(help=f"What for: {_PURPOSES}")],
    detail: Detail = "amount_merchant",
    direction: Way = "both",
    min_amount: MinAmount = None,
    currency: Currency = None,
    low_balance: LowBalance = None,
    valid_days: ValidDays = None,
    channel_ref: ChannelRef = None,
    locale: Locale = "en",
    timezone: Timezone = "UTC",
    kafka: KafkaOption = None,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
) -> None:
    """Allow that a person is told of a subject, for --valid-days or as long as is allowed.

    First the subject is linked to the person's --channel-ref (without it, the person's id): a channel that
    is linked to somebody else is refused. --no-wait waits for the link all the same.
    """
    wanted, limits = parse_purposes(purposes), (min_amount, currency, low_balance)
    wishes = Wishes(wanted, detail, direction, *limits, valid_days, channel_ref, locale, timezone)
    settings = settings_of(kafka)
    consent = fresh_grant(subject, user, wishes, settings)
    _submit_linked(settings, request_of(ConsentAction.GRANT, subject, user, consent), no_wait, as_json)


@app.command()
def change(
    subject: Subject,
    user: User,
    purposes: Purposes = None,
    detail: Detail = None,
    direction: Way = None,
    min_amount: MinAmount = None,
    currency: Currency = None,
    low_balance: LowBalance = None,
    valid_days: ValidDays = None,
    channel_ref: ChannelRef = None,
    locale: Locale = None,
    timezone: Timezone = None,
    kafka: KafkaOption = None,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
) -> None:
    """Change what is given here of a standing consent; the rest stays as it is.

    Another --channel-ref is linked first, as for a grant.
    """
    wanted = parse_purposes(purposes) if purposes is not None else None
    limits = (min_amount, currency, low_balance)
    wishes = Wishes(wanted, detail, direction, *limits, valid_days, channel_ref, locale, timezone)
    settings = settings_of(kafka)
    state = asyncio.run(current_state(settings, subject))
    consent, version = changed(state, subject, user, wishes)
    request = request_of(ConsentAction.CHANGE, subject, user, consent, expected_version=version)
    if channel_ref is None:
        _submit(kafka, request, no_wait, as_json)
    else:
        _submit_linked(settings, request, no_wait, as_json)


@app.command()
def revoke(
    subject: Subject,
    user: AnyUser = None,
    kafka: KafkaOption = None,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
) -> None:
    """Take a consent back: from the moment Kafka has acknowledged it, nobody is told any more."""
    _submit(kafka, request_of(ConsentAction.REVOKE, subject, user), no_wait, as_json)


@app.command()
def unlink(
    channel: Annotated[str, typer.Argument(help="Address of the person at the messenger.")],
    kafka: KafkaOption = None,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
) -> None:
    """End a link: the person's consent for every subject that was linked there is revoked with it."""
    request = link_request(LinkAction.UNLINK, channel)
    outcome = asyncio.run(submit_link(settings_of(kafka), request, waits=not no_wait))
    _tell_link(outcome, no_wait, as_json)


@app.command()
def erase(
    subject: Subject,
    user: AnyUser = None,
    key: SigningKey = None,
    kafka: KafkaOption = None,
    no_wait: NoWait = False,
    as_json: JsonOption = False,
) -> None:
    """Delete what is stored of a consent, or of all consents of a subject, and print a signed receipt.

    The subject leaves the links of the person as well. The receipt says by when each topic has removed the
    rest. Without a key nothing is signed; the erasure is done all the same.
    """
    settings = settings_of(kafka)
    path = key or settings.receipt_key
    private = None if path is None else read_key("receipts", path, is_private=True)
    request = request_of(ConsentAction.ERASE, subject, user)
    outcome = asyncio.run(submit(settings, request, waits=not no_wait))
    asyncio.run(forget_in_snapshots(settings, [subject]))
    left = asyncio.run(forget(settings, subject, user, waits=outcome["outcome"] == "ACCEPTED"))
    if left:
        _tell(outcome, no_wait, as_json)
        raise CheckFailedError(
            f"It is erased, but links still name it ({len(left)}): no worker has answered within 10 s. "
            "A worker takes it out when it comes: start one with `notifier worker`, then run this again."
        )
    if private is None or outcome["outcome"] != "ACCEPTED":
        if private is None:
            news("No receipt: there is no key to sign it with (--key or NOTIFIER_RECEIPT_KEY).")
        _tell(outcome, no_wait, as_json)
        return
    try:
        removed = asyncio.run(removals(settings, wall_ms()))
        shared = asyncio.run(current_state(settings, subject))
    except NotifierError:
        _tell(outcome, no_wait, as_json)
        news("It is erased, but there is no receipt of it:")
        raise
    receipt = erasure_receipt(
        subject,
        user,
        outcome,
        removed,
        settings.controller,
        str(uuid.uuid4()),
        wall_ms(),
        is_shared=shared is not None,
    )
    token = sign(private, ERASURE_TYPE, receipt)
    answer({**outcome, "receipt": receipt, "signed": token} if as_json else token)


@app.command()
def receipt(
    subject: Subject,
    user: User,
    key: SigningKey = None,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a signed receipt of a consent, in the shape of ISO/IEC TS 27560.

    A compact JWS (Ed25519): `notifier consent verify`, or any JOSE library, reads and verifies it with the
    public key. --json prints what is in it too.
    """
    settings = settings_of(kafka)
    private = read_key("receipts", _signing_key(key or settings.receipt_key), is_private=True)
    state = asyncio.run(current_state(settings, subject))
    if state is None:
        raise CheckFailedError(f"There is no consent for {subject}.")
    made = consent_receipt(state, user, settings.controller, str(uuid.uuid4()), wall_ms())
    token = sign(private, RECEIPT_TYPE, made)
    answer({"receipt": made, "signed": token} if as_json else token)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt; - reads it from stdin.", allow_dash=True)],
    key: Annotated[Path, typer.Option("--key", help="Public key of whoever signed it.")],
) -> None:
    """Verify a receipt, without Kafka, and print what it says. Exit code 1 if it was altered."""
    public = read_key("receipts", key, is_private=False)
    try:
        text = sys.stdin.read(MAX_RECEIPT) if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckFailedError(f"{file} cannot be read as text.") from error
    answer(json.dumps(verify_receipt(public, text[:MAX_RECEIPT]), ensure_ascii=False, indent=1))


@app.command(name="export")
def export_all(subject: Subject, user: User, kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """Print all that is kept of a person and a subject: consents, links, evidence, decisions, notices."""
    settings = settings_of(kafka)
    progress = ProgressLine("reading decisions")
    try:
        found = asyncio.run(export(settings, subject, user, consent_json, progress))
    finally:
        progress.end()
    answer(json.dumps(found, ensure_ascii=False, indent=None if as_json else 1))


@app.command()
def show(subject: Subject, kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """Show every consent of a subject, all versions that still count. Exit code 1 if there is none."""
    state = asyncio.run(current_state(settings_of(kafka), subject))
    if state is None:
        raise CheckFailedError(f"There is no consent for {subject}. Grant one with `notifier consent grant`.")
    answer(consent_json(state) if as_json else state_words(state))


def _submit(kafka: str | None, request: ConsentRequest, no_wait: bool, as_json: bool) -> None:
    _tell(asyncio.run(submit(settings_of(kafka), request, waits=not no_wait)), no_wait, as_json)


def _submit_linked(settings: Settings, request: ConsentRequest, no_wait: bool, as_json: bool) -> None:
    """Link, then grant; what was unlinked meanwhile is revoked again."""
    refused = asyncio.run(link_for(settings, request))
    if refused is not None:
        news("Nothing is granted: the channel is not linked.")
        _tell_link(refused, no_wait=False, as_json=as_json)
        return
    outcome = asyncio.run(submit(settings, request, waits=not no_wait))
    if outcome["outcome"] != "REFUSED" and not asyncio.run(is_linked_still(settings, request)):
        revocation = request_of(ConsentAction.REVOKE, request.subject, request.user_id)
        asyncio.run(submit(settings, revocation, waits=False))
        _tell(outcome, no_wait, as_json)
        raise CheckFailedError("The channel was unlinked meanwhile, so the grant is revoked again.")
    _tell(outcome, no_wait, as_json)


def _signing_key(path: Path | None) -> Path:
    if path is None:
        raise ConfigurationError(
            "There is no key to sign with: give --key or NOTIFIER_RECEIPT_KEY; make one with "
            "`notifier keys create receipts`."
        )
    return path


def _tell(outcome: dict[str, Any], no_wait: bool, as_json: bool) -> None:
    if as_json:
        answer(outcome)
    elif outcome["outcome"] == "ACCEPTED":
        version = f" as version {outcome['version']}" if outcome["version"] is not None else ""
        news(f"Accepted{version}.")
    elif outcome["outcome"] is None and no_wait:
        news(f"Stored at {outcome['position']}; a worker folds it.")
    if outcome["outcome"] == "REFUSED":
        raise CheckFailedError(f"Refused: {outcome['meaning']} ({outcome['reason']}).")
    if outcome["outcome"] is None and not no_wait:
        raise CheckFailedError(
            f"The request is stored at {outcome['position']}, but no worker has answered within 10 s. "
            "A worker folds it before it decides anything: start one with `notifier worker`."
        )


def _tell_link(outcome: dict[str, Any], no_wait: bool, as_json: bool) -> None:
    if as_json:
        answer(outcome)
    elif outcome["outcome"] == "ACCEPTED":
        news(f"Unlinked; subjects revoked: {outcome['revoked']}.")
    elif outcome["outcome"] is None and no_wait:
        news(f"Stored at {outcome['position']}; a worker ends the link.")
    if outcome["outcome"] == "REFUSED":
        raise CheckFailedError(f"Refused: {outcome['meaning']} ({outcome['reason']}).")
    if outcome["outcome"] is None and not no_wait:
        raise CheckFailedError(
            f"The link request is stored at {outcome['position']}, but no worker has answered within 10 s: "
            "start one with `notifier worker`."
        )
