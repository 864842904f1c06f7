"""Worker processes under test: started as a user starts them, ended by pid."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.harness.cluster import TREE, eventually


def notifier(*arguments: str, deadline_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command of the tree under test to its end."""
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        cwd=TREE,
        env={**os.environ, "PYTHONPATH": str(TREE)},
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )


class Worker:
    """One `notifier worker` process; a context manager that ends it.

    Args:
        variables: of its environment, beside those of `settings`.
    """

    def __init__(
        self,
        bootstrap: str,
        log: Path,
        variables: Mapping[str, str] | None = None,
        /,
        *,
        guarantee: str = "exactly_once",
        cwd: Path = TREE,
        **settings: str,
    ) -> None:
        named = {f"NOTIFIER_{name.upper()}": value for name, value in settings.items()}
        environment = {**os.environ, **(variables or {}), **named, "PYTHONPATH": str(cwd)}
        command = [sys.executable, "-m", "streams.cli", "worker", "--kafka", bootstrap]
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--guarantee", guarantee, "--ops-port", "0"],
                cwd=cwd,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(20)

    @property
    def url(self) -> str:
        """Return where the operations port listens, once the worker said so."""
        found = eventually("the worker names its operations port", self._find_url)
        return str(found)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of the operations port; (0, "") while it does not answer."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self, deadline_s: float = 60) -> dict[str, Any]:
        """Wait until /readyz says 200 and return its body."""
        eventually(
            f"the worker is ready; its log: {self.log}",
            lambda: self._alive() and self.get("/readyz")[0] == 200,
            deadline_s,
        )
        body: dict[str, Any] = json.loads(self.get("/readyz")[1])
        return body

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that carry these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?", line)
            if (
                match
                and match[1] == name
                and all(f'{key}="{value}"' in (match[2] or "") for key, value in labels.items())
            ):
                total += float(match[3])
        return total

    def kill(self) -> float:
        """SIGKILL the process; return the time."""
        self.process.kill()
        self.process.wait(10)
        return time.monotonic()

    def is_stopped(self) -> bool:
        """Tell whether the process has been paused by SIGSTOP."""
        state = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    def wake(self) -> None:
        """SIGCONT the process."""
        self.process.send_signal(signal.SIGCONT)

    def terminate(self, deadline_s: float = 30) -> int:
        """SIGTERM the process and return its exit code."""
        self.process.terminate()
        code: int = self.process.wait(deadline_s)
        return code

    def ended(self, deadline_s: float = 60) -> int:
        """Wait until the process ends by itself and return its exit code."""
        code: int = self.process.wait(deadline_s)
        return code

    def _alive(self) -> bool:
        code = self.process.poll()
        assert code is None, f"the worker ended with {code}:\n{self.log.read_text()[-3000:]}"
        return True

    def _find_url(self) -> str | None:
        self._alive()
        match = re.findall(r"operations on (http://\S+)", self.log.read_text())
        return match[-1] if match else None
