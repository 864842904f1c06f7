"""placeholder replaced below."""
from pathlib import Path
from typing import NamedTuple


class Finding(NamedTuple):
    """One broken rule."""

    schema: str
    path: str
    rule: str
    message: str


def lint_all(folder: Path) -> list[Finding]:
    """Check."""
    return []
