"""Every patch here applies to the tree as it is: one that does not would guard nothing."""

import subprocess

import pytest

from tests.broken.apply import FOLDER, ROOT


@pytest.mark.parametrize("patch", sorted(path.name for path in FOLDER.glob("*.patch")))
def test_patch_applies(patch: str) -> None:
    done = subprocess.run(
        ["patch", "-p1", "--dry-run", "--force", "-i", str(FOLDER / patch)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
