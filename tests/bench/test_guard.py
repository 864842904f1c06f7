"""The guard fails a slower tree, passes the rest, and says loudly when it compared nothing."""

import argparse
import subprocess
import time
from pathlib import Path

import pytest

from bench import guard
from bench.guard import RATIO, patch, resolve, run, unpack, verdict
from bench.rounds import Round
from tests.broken.apply import ROOT, patched_tree


def measured(*, events: int = 1_000, faults: tuple[str, ...] = ()) -> Round:
    return Round(events, 1.0, 1.0 if events else 0.0, 100.0, 1.0, is_cut=False, faults=faults)


def test_a_tree_below_the_ratio_is_slower_and_the_line_says_all_of_it() -> None:
    found = verdict([120_000, 130_000], [79_000, 81_000])
    assert found.is_slower
    assert found.line == (
        "guard: 80,000 events per CPU second, 125,000 before: 0.64 times, at least 0.7 wanted: SLOWER"
    )


def test_a_tree_at_the_ratio_is_fine() -> None:
    assert not verdict([100_000.0], [100_000.0 * RATIO]).is_slower
    assert verdict([100_000.0], [100_000.0 * RATIO - 1]).is_slower
    assert verdict([100.0], [95.0]).line.endswith("0.95 times, at least 0.7 wanted: fine")


def test_medians_are_compared_so_that_one_disturbed_round_of_three_does_not_decide() -> None:
    assert not verdict([100, 100, 100], [100, 10, 100]).is_slower


def test_rounds_alternate_and_two_more_follow_a_bad_verdict() -> None:
    for new, expected in ((100.0, "ABBA"), (50.0, "ABBAAB")):
        figures: dict[str, list[float]] = {"A": [], "B": []}
        turns = ""
        for letter in guard._turns(figures, RATIO):
            turns += letter
            figures[letter].append(100.0 if letter == "A" else new)
        assert turns == expected


def test_a_tree_before_that_does_not_run_is_no_failure_but_this_one_is() -> None:
    assert guard._fault("A", measured()) == ""
    assert "does not run here: it ended" in guard._fault("A", measured(faults=("it ended",)))
    assert guard._fault("A", measured(events=0))
    with pytest.raises(RuntimeError, match="this tree does not run: it ended"):
        guard._fault("B", measured(faults=("it ended",)))


@pytest.mark.broker
@pytest.mark.kernel
@pytest.mark.timeout(150)
def test_a_build_that_decides_three_times_is_caught(tmp_path: Path) -> None:
    slower = patched_tree("guard-decides-thrice.patch", tmp_path)
    trees = {"A": guard._contender("before", ROOT), "B": guard._contender("thrice", slower)}
    figures = guard._compare(trees, tmp_path, 1_800_000, RATIO, time.monotonic() + 80)
    assert isinstance(figures, dict)
    assert verdict(figures["A"], figures["B"]).is_slower


def test_an_unknown_commit_is_said_loudly_and_passes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = argparse.Namespace(against="no-such-commit", events=1, ratio=RATIO, seconds=1.0)
    assert run(arguments) == 0
    assert "NOTHING WAS COMPARED: no-such-commit is no commit" in capsys.readouterr().err


def test_a_commit_is_unpacked_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "repository"
    git = ("git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for text in ("old", "new"):
        (repository / "file").write_text(text)
        subprocess.run([*git, "add", "file"], check=True)
        subprocess.run([*git, "commit", "-qm", text], check=True)
    monkeypatch.setattr(guard, "ROOT", repository)
    before = resolve("HEAD~1")
    assert before is not None
    unpack(before, tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "old"
    assert (repository / "file").read_text() == "new"
    assert resolve("HEAD~2") is None


def test_a_patch_changes_the_old_tree_or_is_said_not_to_apply(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text("one\n")
    change = tmp_path / "some.patch"
    change.write_text("--- a/some.py\n+++ b/some.py\n@@ -1 +1 @@\n-one\n+two\n")
    assert patch(tmp_path, change) == ""
    assert (tmp_path / "some.py").read_text() == "two\n"
    change.write_text("--- a/some.py\n+++ b/some.py\n@@ -1 +1 @@\n-three\n+four\n")
    assert patch(tmp_path, change).startswith(f"{change} does not apply: ")
