"""`notifier schema`: the wire contract, checked and shown."""

import json
from typing import Annotated

import typer

from streams.cli.shared import JsonOption, answer, news
from streams.errors import CheckFailedError
from streams.wire.schemas import our_schemas, schema_lint

app = typer.Typer(help="Check the schemas, or show one.", no_args_is_help=True)


@app.command("check")
def check(as_json: JsonOption = False) -> None:
    """Check every schema against the rules and its own history. Exit code 1 if one breaks a rule."""
    findings = schema_lint()
    if as_json:
        answer([finding._asdict() for finding in findings])
    if findings:
        raise CheckFailedError(
            "\n".join(f"{one.schema} {one.path}: {one.message} [{one.rule}]" for one in findings)
        )
    news(f"{len(our_schemas().versions)} schemas, no rule broken.")


@app.command("show")
def show(
    name: Annotated[
        str | None, typer.Argument(help="Name of a schema; without it, all names are listed.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="An earlier version.", show_default="newest")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a schema as Avro JSON, or list all with version and id."""
    versions = our_schemas().versions
    if name is None:
        rows = [
            {"name": each, "version": known[-1].version, "id": known[-1].id}
            for each, known in versions.items()
        ]
        answer(
            rows
            if as_json
            else "\n".join(f"{row['name']:<18} v{row['version']}  id {row['id']}" for row in rows)
        )
        return
    if name not in versions:
        raise typer.BadParameter(f"there is no schema {name!r}; there are {', '.join(versions)}.")
    found = [one for one in versions[name] if version in (None, one.version)]
    if not found:
        raise typer.BadParameter(f"schema {name} has the versions 1 to {len(versions[name])}, not {version}.")
    answer(found[-1].avro if as_json else json.dumps(found[-1].avro, indent=2, ensure_ascii=False))
