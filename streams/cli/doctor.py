"""`notifier doctor`: what is wrong, and the cure."""

import asyncio

import typer

from streams.cli.shared import JsonOption, KafkaOption, answer, settings_of
from streams.ops.doctor import Finding, examine

_MARKS = {True: "ok     ", False: "WRONG  ", None: "skipped"}


def doctor(kafka: KafkaOption = None, as_json: JsonOption = False) -> None:
    """Check Kafka, topics, timeouts, codecs, clocks and partitioners; name each problem with its cure.

    Exit code 0 if all is well, 1 if something is wrong, 3 if Kafka is not there, 4 if it refused the login.
    """
    settings = settings_of(kafka)
    diagnosis = asyncio.run(examine(settings))
    if as_json:
        findings = [{**one._asdict(), "ok": one.is_ok} for one in diagnosis.findings]
        for finding in findings:
            del finding["is_ok"]
        answer({"ok": diagnosis.exit_code == 0, "kafka": settings.kafka, "findings": findings})
    else:
        answer("\n".join(map(_line, diagnosis.findings)))
    raise typer.Exit(diagnosis.exit_code)


def _line(finding: Finding) -> str:
    cure = f"\n         {'':<12}  -> {finding.cure}" if finding.cure else ""
    return f"{_MARKS[finding.is_ok]}  {finding.check:<12}  {finding.found}{cure}"
