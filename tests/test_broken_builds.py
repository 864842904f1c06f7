"""One-line mutants of the core, kept as patches: each must be caught by the comparison with the model alone.

A patch that no longer applies fails, and so does a build that crashes: neither is a catch.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.model import sources
from tests.model.desk import phases
from tests.model.rehearsal import Rehearsal
from tests.model.saved import load, save
from tests.model.sources import Lots
from verifier.replay import Replay

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PATCHES = sorted((ROOT / "tests" / "broken").glob("core-*.patch"))
LOTS = Lots(7)
GRANT_SHARE = 0.9
HOUR_MS = 3_600_000
RUNS = {
    "berka": ("berka", 0.05, 0),
    "olist": ("olist", 0.03, 0),
    "berka-later": ("berka", 0.01, HOUR_MS * 3 // 2),
}

Build = Callable[[str | None], Path]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Rehearsed inputs by name: two of real input, and one that is decided ninety minutes late."""
    if not DATA.is_dir():
        pytest.skip("needs the real input in ../shared/data")
    folder, found = tmp_path_factory.mktemp("inputs"), {}
    for name, (source_name, share, offset_ms) in RUNS.items():
        source = getattr(sources, source_name)(DATA / source_name, LOTS, share)
        found[name] = folder / name
        save(Rehearsal(offset_ms=offset_ms).run(source, phases(source, GRANT_SHARE, LOTS)), found[name])
    return found


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Make a copy of the tree with one patch applied; raises where it does not apply."""

    def made(patch: str | None) -> Path:
        tree = tmp_path / "tree"
        ignored = shutil.ignore_patterns("__pycache__", "*.patch")
        for name in ("streams", "verifier", "schemas", "tests/model"):
            shutil.copytree(ROOT / name, tree / name, ignore=ignored)
        for name in ("tests/__init__.py", "tests/product_run.py"):
            shutil.copy(ROOT / name, tree / name)
        if patch is not None:
            subprocess.run(["git", "apply", "-p1", ROOT / "tests" / "broken" / patch], cwd=tree, check=True)
        return tree

    return made


def differences(tree: Path, inputs: dict[str, Path], folder: Path) -> list[str]:
    """What the build in `tree` decides otherwise than the model, up to the first input where it does."""
    for name, path in inputs.items():
        output = folder / f"{name}-decided"
        command = [sys.executable, "-m", "tests.product_run", str(path), str(output)]
        subprocess.run(command, cwd=tree, check=True, timeout=100)
        found = Replay(load(output)).run().differences
        if found:
            return found
    return []


@pytest.mark.data
@pytest.mark.timeout(200)
def test_the_build_as_it_is_decides_as_the_model(
    inputs: dict[str, Path], build: Build, tmp_path: Path
) -> None:
    assert differences(build(None), inputs, tmp_path) == []


@pytest.mark.data
@pytest.mark.timeout(200)
@pytest.mark.parametrize("patch", [path.name for path in PATCHES])
def test_a_broken_core_is_caught(patch: str, inputs: dict[str, Path], build: Build, tmp_path: Path) -> None:
    assert differences(build(patch), inputs, tmp_path)


def test_there_are_ten_or_more_broken_cores_of_one_line_each() -> None:
    assert len(PATCHES) >= 10
    for path in PATCHES:
        lines = path.read_text(encoding="utf-8").splitlines()
        added = [line for line in lines if line.startswith("+") and not line.startswith("+++")]
        assert len(added) == 1, path.name
