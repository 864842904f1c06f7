"""A process whose clock is set by a file: its time of day jumps, its counting of seconds does not."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness import clocks, disk

SAYS = "import sys, time\nfor line in sys.stdin:\n print(time.time(), time.monotonic(), flush=True)\n"


@pytest.mark.skipif(not clocks.is_possible(), reason="faketime is not installed")
def test_a_clock_jumps_and_comes_back_while_its_process_runs(tmp_path: Path) -> None:
    clock = tmp_path / "a.clock"
    process = subprocess.Popen(
        [sys.executable, "-c", SAYS], env={**os.environ, **clocks.variables(clock)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        asked, told = process.stdin, process.stdout
        assert asked is not None
        assert told is not None
        for seconds in (0, 3600, -3600, 0):
            clocks.shift(clock, seconds)
            asked.write("\n")
            asked.flush()
            wall, counted = map(float, told.readline().split())
            assert (round(wall - time.time()), round(counted - time.monotonic())) == (seconds, 0)
        asked.close()


def test_only_a_disk_of_its_own_is_filled(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not a disk of its own"), disk.full(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
