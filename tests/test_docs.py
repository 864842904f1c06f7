"""The words of the project: pages made from code are current, what they name exists, the README runs."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from streams.kafka.broker import start_broker, stop_broker
from streams.wire.topics import TOPICS
from tools import cli_page, privacy_page, schemas_page, topics_page

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GENERATED = {"cli": cli_page, "topics": topics_page, "schemas": schemas_page, "privacy": privacy_page}
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "streams/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
GROUPS = {name.split()[0] for name in cli_page.options() if " " in name}
EVERYWHERE = {"--help", "--version"}


class Named(NamedTuple):
    """One use of the command in a page: its words after `notifier` and its options."""

    words: str
    options: tuple[str, ...]


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code_of(text: str) -> list[str]:
    """Return every line of every code block, and what stands between backticks elsewhere."""
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (\S.*)$", rest, re.MULTILINE)
    return (
        [line for block in fenced for line in block.splitlines()]
        + indented
        + re.findall(r"`([^`\n]+)`", rest)
    )


def named_commands(text: str) -> Iterator[Named]:
    for line in code_of(text):
        for part in re.split(r"[|;&)]|\s#", line):
            found = re.match(r"(?:.*\$\(|\s*)notifier ([a-z]+)(?: ([a-z]+))?(.*)", part)
            if found:
                words = f"{found[1]} {found[2]}" if found[1] in GROUPS and found[2] else found[1]
                yield Named(words, tuple(re.findall(r"(?<=\s)--[a-z-]+", found[3])))


# -- what pages name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATED)
def test_page_made_from_code_is_current(name: str) -> None:
    tool = GENERATED[name]
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), f"run python -m {tool.__name__}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_named_in_a_page_exists(page: Path) -> None:
    known = cli_page.options()
    for named in named_commands(page.read_text(encoding="utf-8")):
        assert named.words in known or named.words in GROUPS, f"notifier {named.words}"
        assert set(named.options) <= known.get(named.words, frozenset()) | EVERYWHERE, named


def test_commands_in_a_page_are_found_wherever_they_stand() -> None:
    text = (
        'Say `notifier tail --json`.\n```sh\nx "$(notifier topics list)" # y\nnotifier nope --no & z\n```\n'
    )
    assert set(named_commands(text)) == {
        Named("tail", ("--json",)),
        Named("topics list", ()),
        Named("nope", ("--no",)),
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_the_code_of_a_page_exists(page: Path) -> None:
    rooms = "streams|tests|docs|schemas|tools|bench|verifier|requirements"
    for line in code_of(page.read_text(encoding="utf-8")):
        for path in re.findall(rf"(?<![\w./-])(?:{rooms})/[\w./-]*\w", line):
            assert (ROOT / path).exists() or (ROOT / "streams" / path).exists(), path


def test_every_page_is_listed_where_pages_are_listed() -> None:
    listed = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in listed, page.name


# -- the README runs ---------------------------------------------------------------------------------------

TOUR = "Five minutes by hand"
OWN_KAFKA = "With your own Kafka"
TIMES = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+Z|\d\d:\d\d:\d\d\.\d{3}|[A-Z][a-z]{2} \d{1,2}, \d{1,2}:\d\d\s[AP]M"
)


def timeless(text: str) -> str:
    return TIMES.sub("(time)", text)


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """A new user's environment, with our `notifier` and `python`; all files go to a scratch folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, arguments in {"notifier": "-m streams.cli ", "python": ""}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        program.chmod(0o755)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    paths = {"PATH": f"{programs}:{environ['PATH']}", "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    return {**environ, **paths, "NOTIFIER_HOME": str(tmp_path / "home")}


def run_script(script: str, environ: dict[str, str], cwd: Path) -> tuple[int, str]:
    """Run bash as strictly as it can be; return exit code and output. Nothing it started is left."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=200)
    finally:
        with suppress(ProcessLookupError):  # nobody of its session is left: as it should be
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


@pytest.mark.broker
@pytest.mark.timeout(240)
def test_the_tour_by_hand_does_what_it_says(shell: dict[str, str], free_port: int, tmp_path: Path) -> None:
    tour = section(TOUR)
    script = "".join(blocks(tour, "sh"))
    assert "127.0.0.1:6066" in script
    try:
        code, output = run_script(
            script.replace("127.0.0.1:6066", f"127.0.0.1:{free_port}"),
            {**shell, "NOTIFIER_OPS_PORT": str(free_port)},
            tmp_path,
        )
    finally:
        was_left = stop_broker(tmp_path / "home" / "broker")
    assert code == 0, output
    assert not was_left, "the tour's last command stops the broker"
    shown = timeless(output)
    for block in blocks(tour, "text"):
        for line in timeless(block).splitlines():
            assert line in shown, output
    assert output.count("You paid") == 2, "told once, and shown by both tails"
    assert "(event t-2)" not in output, "an event without consent is not opened"
    assert "the event was never opened" in output
    assert "conserved: True" in output
    assert "'RECEIPT': 1" in output
    assert "'NO_CONSENT': 1, 'REVOKED': 1" in output
    assert "WRONG" not in output


@pytest.mark.broker
def test_the_way_to_a_kafka_of_ones_own_works(shell: dict[str, str], tmp_path: Path) -> None:
    script = blocks(section(OWN_KAFKA), "sh")[0]
    with start_broker(tmp_path / "other", partitions=1) as running:
        mine = script.replace("kafka.example.org:9092", running.bootstrap)
        assert mine != script
        one_node = mine.replace("REPLICATION_FACTOR=3", "REPLICATION_FACTOR=1")
        code, output = run_script(one_node + "notifier topics list\n", shell, tmp_path)
    assert code == 0, output
    listed = re.findall(r"^(\S+) +24 .*ok$", output, re.MULTILINE)
    assert listed == [topic.name for topic in TOPICS]


def test_every_threat_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    rows = text.split("## Threats", 1)[1].split("\n## ", 1)[0].splitlines()
    threats = [row for row in rows if row.startswith("| ") and "who could" not in row]
    assert len(threats) > 10
    for row in threats:
        tests = re.findall(r"`(tests/[^`]+)`", row)
        assert tests or "not there yet" in row, row
        assert all((ROOT / test).is_file() for test in tests), row
