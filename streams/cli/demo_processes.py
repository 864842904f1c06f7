"""The processes of the demo: its broker, its worker and the independent check; each ended by its own pid.

Imports the embedded broker and the standard library. Read next: `demo.py`.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streams.cli.shared import news
from streams.errors import CheckFailedError, ConfigurationError, KafkaUnreachableError
from streams.kafka.broker import start_broker
from streams.settings import Settings

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
CHECK_TIMEOUT_S = 120.0
POLL_S = 0.1
LOG_TAIL_LINES = 12


@contextmanager
def demo_folder() -> Iterator[Path]:
    """Give a folder for the time of the demo; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="notifier-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def demo_broker(folder: Path, partitions: int) -> Iterator[str]:
    """Run a broker in the folder and give its address.

    Raises:
        NotifierError: as `start_broker` says.
    """
    with start_broker(folder / "broker", partitions=partitions, progress=news) as running:
        yield running.bootstrap


@contextmanager
def demo_worker(folder: Path, settings: Settings) -> Iterator[None]:
    """Run `notifier worker` as a process of its own; enter when it is ready, end it on leaving.

    Raises:
        NotifierError: it ended while starting; the text has the end of its log.
        CheckFailedError: it is not ready in time; the text says what it waits for.
    """
    log, port = folder / "worker.log", _free_port()
    command = [sys.executable, "-m", "streams.cli", "worker", "--kafka", settings.kafka]
    command += ["--ops-port", str(port)]
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches us only, and we end it in good order.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}/readyz", log)
        yield
        _refuse_ended(process)
    except CheckFailedError:
        news(f"demo: the end of the worker's log:\n{_tail(log)}")
        raise
    finally:
        _end(process)


def check_conservation(settings: Settings) -> dict[str, Any]:
    """Return what `python -m verifier conservation`, a process that decided nothing, says of the topics.

    Raises:
        CheckFailedError: it did not come to a result.
    """
    command = [sys.executable, "-m", "verifier", "conservation", "--kafka", settings.kafka]
    command += ["--guarantee", settings.guarantee, "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CheckFailedError(
            f"No result of the conservation check after {CHECK_TIMEOUT_S:.0f} s: {shlex.join(command)}"
        ) from error
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise CheckFailedError(
            f"The conservation check could not run:\n{done.stderr.strip()[-1000:]}"
        ) from error
    return report | {"conserved": report["conserved"] is True and done.returncode == 0}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    reasons = ["it does not answer"]
    while time.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            kind = {3: KafkaUnreachableError, 4: ConfigurationError}.get(code, CheckFailedError)
            raise kind(
                f"The worker ended while starting (exit code {code}). The end of its log:\n{_tail(log)}"
            )
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own loopback address
                return
        except urllib.error.HTTPError as error:
            reasons = json.load(error).get("reasons", reasons)
        except OSError:
            pass
        time.sleep(POLL_S)
    why = "; ".join(reasons)
    raise CheckFailedError(
        f"The worker is not ready after {READY_TIMEOUT_S:.0f} s: {why}. Run `notifier doctor`."
    )


def _refuse_ended(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        raise CheckFailedError(f"The worker ended while it was needed, exit code {process.returncode}.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        news("The worker did not stop in time and is ended by force.")
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])
