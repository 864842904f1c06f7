"""Copies of the tree with one of these patches applied, for tests that must fail on them.

The text before a patch's first file says what it breaks; `caught by:` names the test, `says:` its words,
`at least:` the least number before them. Or `invariant:` names that of the verifier which catches it, and
`failpoints:` and `settings:` what the worker needs for that; `simulated:` that of the simulation. `noticed:`
are words of the simulation of notices.
"""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
NEEDED = ("streams", "schemas", "verifier")


class Claim(NamedTuple):
    """Which test catches a patch, words of the assertion that fails, and the least number before them."""

    test: str
    says: str
    at_least: int


def claim_of(patch: str) -> Claim:
    """Return what the head of a patch states."""
    head = stated(patch)
    return Claim(head["caught by"], head["says"], int(head.get("at least", 0)))


def stated(patch: str) -> dict[str, str]:
    """Return what the head of a patch states, by name."""
    head = (FOLDER / patch).read_text().partition("\n--- ")[0]
    return dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)


def patched_tree(patch: str, folder: Path) -> Path:
    """Return a copy of the tree in `folder` with the patch applied; fail if it does not apply."""
    tree = folder / patch.removesuffix(".patch")
    for name in NEEDED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        ["patch", "-p1", "--no-backup-if-mismatch", "-i", str(FOLDER / patch)],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, f"{patch} does not apply any more:\n{done.stdout}{done.stderr}"
    return tree
