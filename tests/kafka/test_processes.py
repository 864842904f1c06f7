import os
import subprocess
import sys
import time
from pathlib import Path

from streams.kafka.processes import birth_mark, end_process, is_same_process, spawn_detached


def _spawn(tmp_path: Path, code: str) -> tuple[int, str]:
    """Start a Python program that prints a line when it is ready, and wait for that."""
    log = tmp_path / "log"
    pid = spawn_detached(
        [sys.executable, "-c", f"import signal, time\n{code}\nprint('ready', flush=True)\ntime.sleep(60)"],
        log,
    )
    while "ready" not in log.read_text():
        time.sleep(0.01)
    mark = birth_mark(pid)
    assert mark is not None
    return pid, mark


def test_detached_process_leads_a_session_of_its_own(tmp_path: Path) -> None:
    pid, mark = _spawn(tmp_path, "")
    assert os.getsid(pid) == pid
    assert end_process(pid, mark, grace_s=5)


def test_ended_process_is_gone_and_not_ended_twice(tmp_path: Path) -> None:
    pid, mark = _spawn(tmp_path, "")
    assert end_process(pid, mark, grace_s=5)
    assert birth_mark(pid) is None
    assert not end_process(pid, mark, grace_s=5)


def test_process_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    pid, mark = _spawn(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    began = time.monotonic()
    assert end_process(pid, mark, grace_s=0.3)
    assert time.monotonic() - began >= 0.3
    assert birth_mark(pid) is None


def test_recycled_pid_is_not_killed(tmp_path: Path) -> None:
    pid, mark = _spawn(tmp_path, "")
    assert not end_process(pid, "ticks 1", grace_s=5)
    assert is_same_process(pid, mark)
    assert end_process(pid, mark, grace_s=5)


def test_zombie_of_somebody_else_counts_as_gone() -> None:
    code = "import subprocess; it = subprocess.Popen(['/bin/true']); print(it.pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        deadline = time.monotonic() + 10
        while birth_mark(pid) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert Path(f"/proc/{pid}").exists()
        parent.communicate(b"\n")
