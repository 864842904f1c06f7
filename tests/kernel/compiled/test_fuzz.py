"""Foreign bytes cannot make the compiled kernel read outside, crash, or lose a record."""

import json
import os
import subprocess
import sys

import pytest

from tests.harness.cluster import TREE

pytest.importorskip("numba", reason="the extra `fast` is not installed: there is no compiled path to fuzz")
pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

BATCHES = 30_000


@pytest.mark.parametrize("is_checked", ["1", "0"])
def test_mutated_batches_get_fates_or_are_refused(is_checked: str) -> None:
    command = [sys.executable, "-m", "tests.kernel.compiled.fuzz", "--batches", str(BATCHES)]
    environment = {**os.environ, "NOTIFIER_KERNEL_BOUNDS_CHECK": is_checked}
    done = subprocess.run(
        command, cwd=TREE, env=environment, capture_output=True, text=True, timeout=380, check=False
    )
    assert done.returncode == 0, f"{done.stderr.strip().rpartition(chr(10))[2]}\n{done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    assert found["batches"] == BATCHES
    assert min(found[name] for name in ("malformed", "REJECT", "NOTIFY", "SUPPRESS")) > BATCHES // 100
