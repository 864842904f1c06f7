"""The house itself: packaging, lock, import contracts, error tree, skip ledger, make targets."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from streams import errors
from tests.skips import read_allowed

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False)


def requirements() -> set[str]:
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    return {re.split(r"[=><\[]", requirement)[0] for group in groups for requirement in group}


# -- dependencies ------------------------------------------------------------------------------------------


def test_lock_pins_every_requirement_with_a_hash() -> None:
    entries = dict(
        re.findall(
            r"^([a-z0-9-]+)==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", LOCK, re.MULTILINE
        )
    )
    assert set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE)) == set(entries)
    assert requirements() <= set(entries)


def test_lock_names_no_address() -> None:
    assert not re.search(r"://|^-", LOCK, re.MULTILINE)


def test_every_dependency_says_what_it_is_for() -> None:
    rows = re.findall(
        r"^\| ([a-z0-9-]+) \|", (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(rows) - {"package"} == requirements()


def test_wheel_carries_the_schemas_of_the_tree(tmp_path: Path) -> None:
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name: wheel.read(name) for name in wheel.namelist() if name.startswith("streams/_schemas/")}
        assert "streams/py.typed" in wheel.namelist()
    assert packed == {
        f"streams/_schemas/{path.relative_to(ROOT / 'schemas')}": path.read_bytes()
        for path in (ROOT / "schemas").rglob("*")
        if path.is_file()
    }


# -- errors ------------------------------------------------------------------------------------------------


def test_error_tree_is_the_one_drawn() -> None:
    drawn = re.findall(
        r"^ +(\S*?)\+-- (\w+) +([A-Z]+) +(\d)  ", (errors.__doc__ or "").replace("|", ""), re.MULTILINE
    )
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    leaves = {cls for cls in classes if issubclass(cls, errors.NotifierError)} - {errors.NotifierError}
    assert {(name, action, int(code)) for _, name, action, code in drawn} == {
        (cls.__name__, cls.action.name, cls.exit_code) for cls in leaves
    }


# -- import contracts --------------------------------------------------------------------------------------

BREACHES = {
    "upwards": ("streams/wire/bad.py", "import streams.kafka"),
    "sideways": ("streams/ops/bad.py", "import streams.delivery"),
    "core-clock": ("streams/core/bad.py", "import time"),
    "core-third-party": ("streams/core/bad.py", "import fastavro"),
    "core-settings": ("streams/core/bad.py", "import streams.settings"),
    "model": ("tests/model/bad.py", "import streams.core"),
    "verifier": ("verifier/bad.py", "import streams.wire"),
}


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    for room in ("agents", "core", "delivery", "kafka", "ops", "wire"):
        (tmp_path / "streams" / room).mkdir(parents=True)
        (tmp_path / "streams" / room / "__init__.py").touch()
    for package in ("streams", "tests", "tests/model", "verifier"):
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
    for module in ("errors.py", "settings.py"):
        (tmp_path / "streams" / module).touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo", cwd=folder)


def test_rooms_that_keep_the_direction_pass(rooms: Path) -> None:
    (rooms / "streams" / "kafka" / "good.py").write_text(
        "import streams.wire\nimport streams.settings\nimport time\n"
    )
    assert lint_imports(rooms).returncode == 0


@pytest.mark.parametrize("breach", BREACHES)
def test_import_against_the_direction_fails_the_check(rooms: Path, breach: str) -> None:
    path, line = BREACHES[breach]
    (rooms / path).write_text(line + "\n")
    outcome = lint_imports(rooms)
    assert outcome.returncode == 1
    assert "BROKEN" in outcome.stdout


# -- skips -------------------------------------------------------------------------------------------------


def run_skipping_suite(folder: Path, allowed: str, **env: str) -> subprocess.CompletedProcess[str]:
    tests = folder / "tests"
    tests.mkdir()
    for name in ("__init__.py", "conftest.py", "skips.py"):
        shutil.copy(ROOT / "tests" / name, tests)
    (tests / "allowed-skips.txt").write_text(allowed)
    (tests / "test_some.py").write_text(
        "import pytest\n\ndef test_fine():\n    pass\n\ndef test_later():\n    pytest.skip('no kcat')\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\naddopts = --import-mode=importlib\n")
    return run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", cwd=folder, **env)


def test_unlisted_skip_fails_in_ci_and_is_named(tmp_path: Path) -> None:
    outcome = run_skipping_suite(tmp_path, "", CI="true")
    assert outcome.returncode == 1
    assert (
        "tests/test_some.py::test_later: no kcat [not in tests/allowed-skips.txt: fails in CI]"
        in outcome.stdout
    )


def test_listed_skip_passes_in_ci_and_is_still_named(tmp_path: Path) -> None:
    outcome = run_skipping_suite(tmp_path, "tests/test_some.py::test_later # no kcat there\n", CI="true")
    assert outcome.returncode == 0
    assert "tests/test_some.py::test_later: no kcat\n" in outcome.stdout
    assert "1 passed, 1 skipped" in outcome.stdout


def test_unlisted_skip_passes_outside_ci(tmp_path: Path) -> None:
    assert run_skipping_suite(tmp_path, "", CI="").returncode == 0


def test_allowed_skip_without_a_reason_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "allowed-skips.txt"
    listed.write_text("# comment\n\ntests/a.py # fine\ntests/b.py\n")
    with pytest.raises(ValueError, match=r"allowed-skips\.txt:4"):
        read_allowed(listed)


def test_every_allowed_skip_names_tests_that_exist() -> None:
    for prefix in read_allowed(ROOT / "tests" / "allowed-skips.txt"):
        assert (ROOT / prefix.split("::")[0]).exists(), prefix


# -- make --------------------------------------------------------------------------------------------------


def test_make_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    listed = re.findall(r"^  make (\S+) +\S", run("make", "help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())


def test_python_without_ensurepip_is_told_which_package_to_install(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError")
    outcome = run("bash", "tools/check_python.sh", sys.executable, PYTHONPATH=str(tmp_path))
    assert outcome.returncode == 1
    assert "-venv (Debian, Ubuntu)" in outcome.stderr


def test_missing_python_is_told_how_to_name_another() -> None:
    outcome = run("bash", "tools/check_python.sh", "python-that-is-not-there")
    assert outcome.returncode == 1
    assert "make install PYTHON=" in outcome.stderr


# -- pages -------------------------------------------------------------------------------------------------

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_link_and_make_target_named_in_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:streams|tests|docs|schemas|tools|bench|verifier|requirements|\.ci)/[\w./-]*\w/?)(?:::\w+)?`",
        text,
    )
    missing = [path for path in named if not (ROOT / path).exists()]
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    missing += [link for link in links if not (page.parent / link).exists()]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)
    missing += [
        f"make {target}" for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)
    ]
    assert not missing
