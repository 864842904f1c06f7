"""Clocks of single processes, which can be set while they run: libfaketime, by a file for each.

Only the time of day is set, as on a machine whose clock is wrong; time-outs count on.
"""

import shutil
import subprocess
from functools import cache
from pathlib import Path


def is_possible() -> bool:
    """Tell whether libfaketime is installed."""
    return shutil.which("faketime") is not None


def variables(clock: Path) -> dict[str, str]:
    """Return the environment of a process whose clock is set by this file; it is right until it is set."""
    shift(clock, 0)
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def shift(clock: Path, seconds: int) -> None:
    """Set a clock to so many seconds after, or before, the right time."""
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n", encoding="ascii")
    new.replace(clock)  # it is read at any moment


@cache
def _library() -> str:
    """Return what the program of the same name puts before all other libraries."""
    command = ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
