"""Writes `docs/cli.md` from the commands of `streams.cli`: `python -m tools.cli_page`."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from typer import Typer
from typer.models import ArgumentInfo, OptionInfo

from streams.cli.main import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# The command line

Made by `python -m tools.cli_page` from `streams/cli/`; change it there. After `make install` the command is
`.venv/bin/notifier`. Data go to stdout, everything else to stderr. What can be set for all commands is in
[settings.md](settings.md).

| exit code | means |
|---|---|
| 0 | fine |
| 1 | a check failed, or what was asked for does not exist |
| 2 | wrong usage |
| 3 | Kafka cannot be reached |
| 4 | configuration: a setting, the topics or the login |
| 130 | interrupted |
"""
_TYPES = {str: "text", int: "whole number", float: "number", Path: "path"}


class Parameter(NamedTuple):
    """One argument (`is_option` false) or option of a command, in words."""

    name: str
    is_option: bool
    type_name: str
    default: str
    meaning: str


class Command(NamedTuple):
    """One command: its words after `notifier`, its help and its parameters in order."""

    name: str
    help: str
    parameters: tuple[Parameter, ...]


def commands(typer_app: Typer = app, prefix: str = "") -> Iterator[Command]:
    """Yield every command, those of groups after the others."""
    for registered in typer_app.registered_commands:
        if registered.callback is None:
            continue
        name = registered.name or registered.callback.__name__.replace("_", "-")
        yield Command(
            prefix + name, inspect.getdoc(registered.callback) or "", tuple(_parameters(registered.callback))
        )
    for group in typer_app.registered_groups:
        if group.typer_instance is not None:
            yield from commands(group.typer_instance, f"{prefix}{group.name} ")


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(map(_section, commands()))


def _section(command: Command) -> str:
    arguments = [one.name for one in command.parameters if not one.is_option]
    required = [
        f"{one.name} {one.type_name.upper().replace(' ', '_')}"
        for one in command.parameters
        if one.is_option and one.default == "required"
    ]
    usage = " ".join(["notifier", command.name, *arguments, *required, "[OPTIONS]"])
    rows = "".join(_row(one) for one in command.parameters)
    return (
        f"\n## notifier {command.name}\n\n    {usage}\n\n{command.help}\n\n"
        f"| option | value | default | meaning |\n|---|---|---|---|\n{rows}"
    )


def _row(one: Parameter) -> str:
    cells = (f"`{one.name}`", one.type_name, one.default, one.meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _parameters(callback: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(callback, include_extras=True)
    for parameter in inspect.signature(callback).parameters.values():
        hint = hints[parameter.name]
        if get_origin(hint) is not Annotated:
            continue
        plain, info = get_args(hint)[:2]
        if isinstance(info, OptionInfo | ArgumentInfo):
            yield _parameter(parameter, plain, info)


def _parameter(parameter: inspect.Parameter, plain: Any, info: OptionInfo | ArgumentInfo) -> Parameter:
    word = parameter.name.replace("_", "-")
    is_option = isinstance(info, OptionInfo)
    # Inside Annotated the first name given stands where typer otherwise has the default.
    declared = [one for one in (info.default, *(info.param_decls or ())) if str(one).startswith("--")]
    name = str((declared or [f"--{word}"])[0]) if is_option else info.metavar or word.upper()
    has_metavar = is_option and info.metavar
    type_name = str(info.metavar) if has_metavar else _type_name(plain) + _limits(info)
    return Parameter(name, is_option, type_name, _default(parameter.default, info), info.help or "")


def _type_name(plain: Any) -> str:
    if get_origin(plain) in (Union, UnionType):
        plain = next(one for one in get_args(plain) if one is not NoneType)
    if get_origin(plain) is list:
        plain = get_args(plain)[0]
    if get_origin(plain) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(plain))
    return "" if plain is bool else _TYPES[plain]


def _limits(info: OptionInfo | ArgumentInfo) -> str:
    match info.min, info.max:
        case None, None:
            return ""
        case low, None:
            return f", at least {low:g}"
        case None, high:
            return f", at most {high:g}"
        case low, high:
            return f", {low:g} to {high:g}"


def _default(default: Any, info: OptionInfo | ArgumentInfo) -> str:
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(info.show_default, str):
        return info.show_default
    return "" if default is None or default is False else f"`{default}`"


def options() -> Mapping[str, frozenset[str]]:
    """Return the options of every command, by its words after `notifier`."""
    return {
        command.name: frozenset(one.name for one in command.parameters if one.is_option)
        for command in commands()
    }


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
