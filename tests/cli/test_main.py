import os
import signal
import socket
import subprocess
import sys

import pytest

from streams import __version__
from tests.cli.conftest import Run

NOWHERE = ("--kafka", "127.0.0.1:1")
COMMANDS = (
    ("up",),
    ("down",),
    ("worker",),
    ("demo",),
    ("produce",),
    ("tail",),
    ("explain",),
    ("config",),
    ("doctor",),
    ("verify",),
    ("consent", "grant"),
    ("consent", "revoke"),
    ("consent", "change"),
    ("consent", "erase"),
    ("consent", "show"),
    ("consent", "unlink"),
    ("topics", "list"),
    ("topics", "apply"),
    ("schema", "check"),
    ("schema", "show"),
)
NEEDS_KAFKA = (
    ("tail",),
    ("explain", "some-event"),
    ("explain", "bank.balances/0/0"),
    ("topics", "list"),
    ("topics", "apply"),
    ("consent", "show", "bank:1"),
    ("consent", "revoke", "bank:1"),
    ("consent", "erase", "bank:1", "--user", "u"),
    ("consent", "grant", "bank:1", "--user", "u", "--purposes", "receipt"),
    ("consent", "change", "bank:1", "--user", "u", "--purposes", "receipt"),
    ("consent", "unlink", "psid:1"),
    ("worker", "--ops-port", "0"),
    ("doctor",),
    ("verify",),
    ("verify", "--follow"),
    ("demo", "--json"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_of_the_table_explains_itself(notifier: Run, command: tuple[str, ...]) -> None:
    result = notifier(*command, "--help")
    assert result.code == 0
    assert "Usage: notifier " + " ".join(command) in result.out


@pytest.mark.parametrize("command", [one for one in COMMANDS if one != ("worker",)], ids=" ".join)
def test_every_command_but_the_worker_can_answer_in_json(notifier: Run, command: tuple[str, ...]) -> None:
    assert "--json" in notifier(*command, "--help").out


def test_version_is_printed(notifier: Run) -> None:
    assert notifier("--version") == (0, f"notifier {__version__}\n", "")


@pytest.mark.parametrize("arguments", [("nope",), ("tail", "--nope"), ("explain",), ("tail", "--max", "0")])
def test_wrong_usage_is_exit_code_2_and_says_so_on_stderr(notifier: Run, arguments: tuple[str, ...]) -> None:
    result = notifier(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "Usage: notifier" in result.err


@pytest.mark.parametrize("command", NEEDS_KAFKA, ids=" ".join)
def test_without_a_broker_the_exit_code_is_3_with_one_message_and_its_cure(
    notifier: Run, command: tuple[str, ...]
) -> None:
    result = notifier(*command, *NOWHERE)
    assert result.code == 3
    assert "No Kafka at 127.0.0.1:1" in result.out + result.err
    assert "notifier up" in result.out + result.err
    assert "Traceback" not in result.err
    if command != ("doctor",):
        assert result.out == ""


@pytest.mark.parametrize("command", NEEDS_KAFKA, ids=" ".join)
def test_an_address_that_is_none_is_exit_code_4(notifier: Run, command: tuple[str, ...]) -> None:
    result = notifier(*command, "--kafka", "nonsense")
    assert result.code == 4
    assert "'nonsense' is not HOST:PORT" in result.err
    assert "Traceback" not in result.err


def test_an_unknown_setting_is_exit_code_4_whatever_the_command(notifier: Run) -> None:
    result = notifier("tail", NOTIFIER_KAFKAA="127.0.0.1:1")
    assert result.code == 4
    assert "NOTIFIER_KAFKAA" in result.err


def test_ctrl_c_is_exit_code_130_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "streams.cli", "tail", "--kafka", address]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection = server.accept()[0]  # it is connected and waits for an answer that does not come
            os.kill(process.pid, signal.SIGINT)
            err = process.communicate(timeout=30)[1]
        connection.close()
    assert process.returncode == 130
    assert "Traceback" not in err
