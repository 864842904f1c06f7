"""The tests of faults can fail: each is run on a build with what it guards taken out.

It must fail by the assertion that the patch names; a crash, or a test that does not start, is no catch.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.broken.apply import ROOT, claim_of, patched_tree
from tests.harness.cluster import figures

LIMIT_S = 200
PATCHES = ("no-atomicity.patch", "no-barrier.patch", "no-fence.patch")


@pytest.mark.timeout(LIMIT_S + 40)
@pytest.mark.parametrize("patch", PATCHES)
def test_broken_build_is_caught(patch: str, tmp_path: Path) -> None:
    claim = claim_of(patch)
    report = tmp_path / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
        claim.test,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TREE_UNDER_TEST": str(patched_tree(patch, tmp_path))},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    tail = done.stdout[-3000:]
    assert done.returncode == 1, f"the test did not fail:\n{tail}"
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0"), tail
    failures = [failure.get("message") or "" for failure in suite.iter("failure")]
    assert len(failures) == 1
    found = re.match(rf"AssertionError: (\d*) ?{re.escape(claim.says)}", failures[0])
    assert found, failures
    assert int(found[1] or 0) >= claim.at_least, failures
    figures(f"{patch}: {failures[0].splitlines()[0]}")
