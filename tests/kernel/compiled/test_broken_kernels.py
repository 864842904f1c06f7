"""The comparison of the two paths can fail: broken kernels, each of one line, are caught by it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.broken.apply import FOLDER, ROOT, claim_of, patched_tree

pytest.importorskip("numba", reason="the extra `fast` is not installed: there is no compiled path to break")
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

PATCHES = sorted(path.name for path in FOLDER.glob("kernel-*.patch"))


@pytest.mark.parametrize("patch", PATCHES)
def test_a_broken_kernel_is_caught(patch: str, tmp_path: Path) -> None:
    claim, tree = claim_of(patch), patched_tree(patch, tmp_path)
    shutil.copytree(ROOT / "tests", tree / "tests", ignore=shutil.ignore_patterns("__pycache__", "*.patch"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", claim.test]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 1, f"the test did not fail:\n{done.stdout[-3000:]}"
    assert f"AssertionError: {claim.says}" in done.stdout, done.stdout[-3000:]
    assert "1 failed" in done.stdout, done.stdout[-3000:]


def test_there_are_broken_kernels() -> None:
    assert len(PATCHES) >= 2
