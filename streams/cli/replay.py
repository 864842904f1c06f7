"""`notifier replay` and `notifier simulate`: what was decided, decided again."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.explain import span_of
from streams.cli.shared import JsonOption, KafkaOption, ProgressLine, answer, settings_of
from streams.errors import CheckFailedError
from streams.ops import policy_diff
from streams.ops import replay as ops

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="Decided from then on: a time, or 24h ago.", show_default="24h"
    ),
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="Decided up to then.", show_default="now")
]


def replay(
    since: SinceOption = None,
    until: ToOption = None,
    into: Annotated[
        str, typer.Option(metavar="TOPIC", help="Topic to write to; created if it is not there.")
    ] = (ops.SIDE_TOPIC),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare, write nothing.")] = False,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the notifications of a span again, byte for byte, into a topic of their own.

    Consents are folded and events decided again from the topics alone, in the batches and at the times of
    notifier.decisions, from the beginning of the logs, or from the newest snapshot before the span
    (`notifier snapshot`). What was told to somebody whose consent was erased since is not written. Exit code
    1 where a topic is too short for that, or something comes out otherwise than what is still on
    messenger-delivery.
    """
    settings = settings_of(kafka)
    progress = ProgressLine("deciding again")
    try:
        span = span_of(since, until)
        made = asyncio.run(ops.replay(settings, span, None if dry_run else into, progress))
    finally:
        progress.end()
    if as_json:
        answer({**made._asdict(), "into": None if dry_run else into})
    else:
        where = "" if dry_run else f", written to {into}"
        answer(f"{made.notifications} notifications{where}")
        if made.left_out:
            answer(f"{made.left_out} left out: the person's consent is not kept any more")
        answer(f"digest of all: {made.digest}")
        if made.delivered is not None:
            answer(f"on messenger-delivery: {made.delivered}")
    if made.missing or made.other:
        raise CheckFailedError(
            f"{made.missing} come out otherwise than on messenger-delivery, {made.other} are only there."
        )


def simulate(
    policy: Annotated[Path, typer.Option(help="The new policy, TOML, as max_age_receipt_s = 60.")],
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Decided from then on.", show_default="24h")
    ] = None,
    kafka: KafkaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what another policy would have told, and what not, of what was decided of late. Nothing is written.

    Exit code 1 if it tells anybody anything more: the grants are the same.
    """
    settings = settings_of(kafka)
    new = policy_diff.with_policy(settings, policy)
    progress = ProgressLine("deciding twice")
    try:
        found = asyncio.run(policy_diff.difference(settings, new, span_of(since, None), progress))
    finally:
        progress.end()
    if as_json:
        answer(
            {
                "batches": found.batches,
                "same": found.same,
                "more": dict(found.more),
                "wider": dict(found.wider),
                "less": dict(found.less),
                "more_samples": found.more_samples,
                "less_samples": found.less_samples,
                "is_less_private": found.is_less_private,
            }
        )
    else:
        answer(f"{found.same} notifications by both policies")
        for sign, counts, samples in (
            ("+", found.more, found.more_samples),
            ("-", found.less, found.less_samples),
        ):
            for kind, count in sorted(counts.items()):
                answer(f"{sign}{count} {kind}")
            if samples:
                answer(f"  events such as {', '.join(samples)}")
        for kind, count in sorted(found.wider.items()):
            answer(f"~{count} {kind} with more data")
    if found.is_less_private:
        raise CheckFailedError("The new policy tells people more than the old one, without a new grant.")
