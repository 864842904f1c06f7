"""Writes `docs/settings.md` from the fields of `streams.settings`: `python -m tools.settings_page`."""

from pathlib import Path

from streams.setting_checks import FILE_SUFFIX, Setting
from streams.settings import SETTINGS

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# Settings

Made by `python -m tools.settings_page` from `streams/settings.py`; change it there.

Settings are read once, at start, from the environment; options of a command win over them. An unknown
`NOTIFIER_` variable is an error, and all faults are reported at once. `notifier config` prints what is in
force, secrets masked.

| variable | type | default | unit | meaning |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(_row(item) for item in SETTINGS)


def _row(item: Setting) -> str:
    variable = f"`{item.variable}`"
    if item.secret:
        variable += f" or `{item.variable}{FILE_SUFFIX}`, the path of a file that holds it"
    default = "" if item.default is None else f"`{item.default}`"
    return f"| {variable} | {item.type_name} | {default} | {item.unit} | {item.doc} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
