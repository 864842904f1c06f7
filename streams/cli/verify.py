"""`notifier verify`: starts the independent checker, a process that shares no code with what it checks.

What it looks at is in `verifier/invariants.py`. Credentials go to it by environment, never by its arguments.
Read next: `shared.py`.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.shared import JsonOption, KafkaOption, answer, news, settings_of
from streams.errors import CheckFailedError, ConfigurationError, KafkaUnreachableError
from streams.kafka.connection import check_connection, confluent_options
from streams.settings import Settings

OPTIONS_VARIABLE = "VERIFIER_KAFKA_OPTIONS"
END_S = 60.0
POLL_S = 0.2
UNREACHABLE, UNUSABLE = 3, 4


def verify(
    kafka: KafkaOption = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="First read beside the worker until Ctrl-C, then compare (I3)."),
    ] = False,
    guarantee: Annotated[
        str | None, typer.Option(help="The worker's: exactly_once or at_least_once.", show_default=False)
    ] = None,
    metrics: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A worker's last /metrics, for I15; may be repeated."),
    ] = None,
    canaries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Values planted in inputs, one a line, for I14.")
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A log or page to look for them in; may be repeated."),
    ] = None,
    pauses: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON list of pairs: from when to when, UTC ms, processes were stopped. Not counted for I5.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="With --follow: serve live figures at this port of loopback; 0: any.",
        ),
    ] = None,
    canary_every: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="With --port: send events of nobody, look for them."),
    ] = None,
    chain: Annotated[
        bool,
        typer.Option("--chain", help="Check the hash chain of the decisions alone, whatever retention left."),
    ] = False,
    checkpoints: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --chain: what `notifier checkpoint` has signed."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --checkpoints: the signer's public key.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Decide everything in the topics again with an independent model, and say what differs.

    For a run that has come to its end: producers have stopped, all is decided, and retention has deleted
    nothing yet. Reads every topic from its start: not for many millions. Exit code 1 if an invariant is
    violated. With --follow --port it serves notifier_notifications_after_revocation_total,
    notifier_revocation_to_silence_seconds and notifier_canary_leaks_total meanwhile.
    """
    if chain:
        _verify_chain(kafka, checkpoints, key, as_json=as_json)
        return
    _refuse_alone(
        ("--checkpoints and --key", checkpoints or key, "--chain", chain),
        ("--port", port is not None, "--follow: figures are live", follow),
        ("--canary-every", canary_every, "--port: leaks are counted there", port is not None),
        ("--texts", texts, "--canaries: they are looked for there", canaries),
    )
    files = {
        "--metrics": tuple(metrics or ()),
        "--canaries": (canaries,) if canaries else (),
        "--texts": tuple(texts or ()),
        "--pauses": (pauses,) if pauses else (),
    }
    _refuse_absent(path for paths in files.values() for path in paths)
    settings = settings_of(kafka, guarantee=guarantee) if guarantee else settings_of(kafka)
    asyncio.run(check_connection(settings))
    with tempfile.TemporaryDirectory(prefix="notifier-verify-") as folder:
        notes = Path(folder) / "notes"
        if follow:
            _follow(settings, notes, port, canary_every)
        arguments = ["--group", settings.app_id, "--guarantee", settings.guarantee, "--json"]
        arguments += ["--reminder-interval", str(settings.reminder_interval_s)]
        arguments += ["--live", str(notes)] if follow else []
        for option, paths in files.items():
            arguments += [option, *map(str, paths)] if paths else []
        news("verify: reading every topic from its start")
        done = subprocess.run(
            _command(settings, "invariants", arguments), env=_environment(settings), capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    if done.returncode == UNREACHABLE:
        raise KafkaUnreachableError(done.stderr.strip())
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise CheckFailedError(f"The verifier could not run:\n{done.stderr.strip()[-1000:]}") from error
    if as_json:
        answer(found)
    else:
        for name, one in found.items():
            answer(f"{name:>4}  {one['checked']:>9} checked  {one['violations']:>6} violated  {one['says']}")
            for violation in one["shown"]:
                answer(f"      {violation}")
    if done.returncode != 0:
        broken = ", ".join(name for name, one in found.items() if one["violations"])
        raise CheckFailedError(f"Violated: {broken}.")


def _refuse_alone(*options: tuple[str, object, str, object]) -> None:
    """Refuse an option that is given without the one that it goes with: name, given, the other, given."""
    for name, is_given, other, is_other_given in options:
        if is_given and not is_other_given:
            raise ConfigurationError(f"{name} goes with {other}")


def _verify_chain(kafka: str | None, checkpoints: Path | None, key: Path | None, *, as_json: bool) -> None:
    """Have the chain checked, and say what is there, what is signed, and what is wrong."""
    if (checkpoints is None) != (key is None):
        raise ConfigurationError("--checkpoints and --key go together")
    named = [path for path in (checkpoints, key) if path is not None]
    _refuse_absent(named)
    settings = settings_of(kafka)
    asyncio.run(check_connection(settings))
    arguments = ["--checkpoints", str(checkpoints), "--key", str(key)] if named else []
    done = subprocess.run(
        _command(settings, "chain", [*arguments, *(["--json"] if as_json else [])]),
        env=_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == UNREACHABLE:
        raise KafkaUnreachableError(done.stderr.strip())
    if done.returncode == UNUSABLE:
        raise ConfigurationError(done.stderr.strip().removeprefix("verifier: "))
    if not done.stdout:
        raise CheckFailedError(f"The verifier could not run:\n{done.stderr.strip()[-1000:]}")
    answer(json.loads(done.stdout) if as_json else done.stdout.rstrip())
    if done.returncode != 0:
        raise CheckFailedError("The chain of decisions is broken.")


def _refuse_absent(paths: Iterable[Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise ConfigurationError(f"{path}: no such file")


def _command(settings: Settings, check: str, arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "verifier", check, "--kafka", settings.kafka, *arguments]


def _environment(settings: Settings) -> dict[str, str]:
    options = confluent_options(settings)
    del options["partitioner"]  # readers have none
    return {**os.environ, OPTIONS_VARIABLE: json.dumps(options)}


def _follow(settings: Settings, notes: Path, port: int | None, canary_every: float | None) -> None:
    """Run the reader, and who serves live figures, until Ctrl-C; it reads to the end before it ends."""
    news("verify: reading along; Ctrl-C ends it and compares")
    checks = [("follow", ["--out", str(notes)])]
    if port is not None:
        canaries = [] if canary_every is None else ["--canary-every", str(canary_every)]
        checks.append(("watch", ["--port", str(port), *canaries]))
    started = [
        subprocess.Popen(_command(settings, *one), env=_environment(settings), start_new_session=True)
        for one in checks
    ]
    try:
        while all(one.poll() is None for one in started):
            time.sleep(POLL_S)
        code = next(one.returncode for one in started if one.returncode is not None)
    except KeyboardInterrupt:
        for one in started:
            one.terminate()
        code = max(one.wait(END_S) for one in started)
    finally:
        for one in started:
            one.kill()
            one.wait()
    if code != 0:
        raise KafkaUnreachableError(f"who reads along ended with exit code {code}")
