"""`notifier keys`: the operator's key pairs."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.shared import JsonOption, answer
from streams.ops import keys as ops

app = typer.Typer(help="Make the operator's keys: for dead letters, and for receipts.", no_args_is_help=True)


@app.command()
def create(
    use: Annotated[str, typer.Argument(metavar="dead-letters | receipts", help="What they are for.")],
    out: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path("keys"),
    as_json: JsonOption = False,
) -> None:
    """Make a pair of keys: keep the private file to yourself, give the public one to whom it concerns.

    dead-letters: workers seal refused values with the public key (NOTIFIER_DEAD_LETTER_KEY), and whoever has
    the private key opens them. receipts: `notifier consent receipt` and `erase` sign with the private key
    (NOTIFIER_RECEIPT_KEY), and anybody who has the public one can verify, without us.
    """
    known = next((one for one in ops.RECIPES if one == use), None)
    if known is None:
        raise typer.BadParameter(f"{use!r} is none of {', '.join(ops.RECIPES)}.", param_hint="USE")
    files = ops.create_keys(known, out)
    answer(
        {"private": str(files.private), "public": str(files.public), "kid": files.key_id}
        if as_json
        else f"{files.private} (keep it)\n{files.public} (give it away)"
    )
