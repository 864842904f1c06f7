"""Processes that outlive us: start one detached, know it again by pid and start time, end it.

A pid alone is no identity: the system gives it away once its process is gone. Standard library only.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

POLL_S = 0.02
KILL_WAIT_S = 10.0


def spawn_detached(command: Sequence[str], log: Path) -> int:
    """Start a program in a session of its own, with its output appended to `log`; return its pid.

    It gets our environment and the working directory, but no terminal: our end or Ctrl-C does not reach it.

    Raises:
        OSError: the program cannot be started.
    """
    output = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.posix_spawn(
        command[0],
        list(command),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            output,
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGPIPE],
    )


def birth_mark(pid: int) -> str | None:
    """Return what tells this process from any other that has its pid; None when it is gone or a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # our own ended child stays a zombie until somebody asks
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold anything, so the fields are counted from its end (proc(5)).
            fields = (
                Path(f"/proc/{pid}/stat")
                .read_text(encoding="utf-8", errors="replace")
                .rpartition(")")[2]
                .split()
            )
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else f"ticks {fields[19]}"
    listed = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = listed.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def is_same_process(pid: int, mark: str) -> bool:
    """Say whether the process of that pid lives and is the one that had this birth mark."""
    return birth_mark(pid) == mark


def end_process(pid: int, mark: str, *, grace_s: float) -> bool:
    """Ask a process to end, by force after `grace_s` (at once if 0); never touches a recycled pid.

    Returns:
        Whether there was such a process.
    """
    if not is_same_process(pid, mark):
        return False
    if grace_s > 0:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if _is_gone_within(pid, mark, grace_s):
            return True
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _is_gone_within(pid, mark, KILL_WAIT_S)
    return True


def _is_gone_within(pid: int, mark: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_same_process(pid, mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
