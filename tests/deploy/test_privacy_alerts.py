"""The alerts of the live checker: Prometheus's own tool takes them, they fire, and their series exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "privacy.rules.yml"), ("test", "rules", "privacy.test.yml")]
)
def test_prometheus_takes_the_rules_and_they_fire(promtool: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [promtool, *arguments], cwd=RULES, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_series_of_the_rules_is_exported_by_the_live_checker() -> None:
    named = set(re.findall(r"notifier_\w+", (RULES / "privacy.rules.yml").read_text()))
    exported = (ROOT / "verifier" / "export.py").read_text()
    assert named
    for name in named:
        assert f'"{name.removesuffix("_bucket")}"' in exported, name


def test_every_alert_is_tested_and_has_its_runbook() -> None:
    rules, tests = ((RULES / f"privacy.{kind}.yml").read_text() for kind in ("rules", "test"))
    for alert in re.findall(r"alert: (\w+)", rules):
        assert tests.count(f"alertname: {alert}") == 2, f"{alert}: once silent, once firing"
        assert f"`{alert}`" in (ROOT / "docs" / "operations.md").read_text(), alert
