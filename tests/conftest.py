"""What every test may use, and the rule that a skip must be accounted for."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.skips import read_allowed, unlisted

if TYPE_CHECKING:
    from streams.kafka.broker import RunningBroker

ALLOWED_SKIPS = Path(__file__).with_name("allowed-skips.txt")


class SkipLedger:
    """Collects every skip, prints them at the end, and fails a CI run that skipped what is not listed."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.reasons[report.nodeid] = text.removeprefix("Skipped: ")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if _is_ci() and self.unlisted() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.reasons:
            return
        terminalreporter.section(f"{len(self.reasons)} skipped")
        missing = set(self.unlisted())
        for node, reason in self.reasons.items():
            note = " [not in tests/allowed-skips.txt: fails in CI]" if node in missing else ""
            terminalreporter.write_line(f"{node}: {reason}{note}")

    def unlisted(self) -> list[str]:
        return unlisted(self.reasons, read_allowed(ALLOWED_SKIPS))


def _is_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipLedger(), "skip-ledger")


@pytest.fixture
def free_port() -> int:
    """A TCP port on the loopback address that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile the kernel before the first test that needs it: it takes longer than a test may."""
    needs = {"broker", "faults", "interop"}
    if any(needs & {mark.name for mark in item.iter_markers()} for item in session.items):
        from streams.kernel.path import choose_path

        choose_path().warm_up()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator["RunningBroker"]:
    """One real Kafka for the session, in its own folder on a free port; a test takes topics of its own."""
    from streams.kafka.broker import start_broker  # only the broker tier pays for its imports

    with start_broker(tmp_path_factory.mktemp("broker"), partitions=4) as running:
        yield running
