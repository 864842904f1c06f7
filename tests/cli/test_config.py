import json
from pathlib import Path

from streams.settings import SETTINGS
from tests.cli.conftest import Run


def test_config_prints_every_setting_once(notifier: Run) -> None:
    result = notifier("config")
    assert result.code == 0
    assert [line.partition("=")[0] for line in result.out.splitlines()] == [one.variable for one in SETTINGS]
    assert "NOTIFIER_KAFKA=127.0.0.1:9092" in result.out


def test_config_as_json_says_the_same(notifier: Run) -> None:
    shown = json.loads(notifier("config", "--json").out)
    assert shown == dict(line.split("=", 1) for line in notifier("config").out.splitlines())


def test_an_option_wins_over_the_environment(notifier: Run) -> None:
    result = notifier("config", "--kafka", "b:2", NOTIFIER_KAFKA="a:1")
    assert "NOTIFIER_KAFKA=b:2" in result.out


def test_config_never_prints_a_secret(notifier: Run, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    login = {"NOTIFIER_SASL_USERNAME": "me", "NOTIFIER_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
    result = notifier("config", NOTIFIER_SASL_PASSWORD_FILE=str(secret), **login)
    assert result.code == 0
    assert "hunter2" not in result.out + result.err
    assert "NOTIFIER_SASL_PASSWORD=****" in result.out
