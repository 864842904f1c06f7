from pathlib import Path

import pytest

from streams.errors import ConfigurationError
from streams.settings import MASK, SETTINGS, Settings
from tools.settings_page import PAGE, page


def refusal(environ: dict[str, str], **overrides: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ, **overrides)
    return caught.value.message


def test_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_env({"HOME": "/home/ann"})
    for item in SETTINGS:
        if item.name != "home":
            assert getattr(settings, item.name) == item.default
    assert settings.home == Path("/home/ann/.local/share/notifier")


def test_data_folder_follows_xdg_when_it_is_absolute() -> None:
    assert Settings.from_env({"XDG_DATA_HOME": "/data", "HOME": "/h"}).home == Path("/data/notifier")
    assert Settings.from_env({"XDG_DATA_HOME": "data", "HOME": "/h"}).home == Path("/h/.local/share/notifier")


def test_variables_become_values_of_the_field_type() -> None:
    settings = Settings.from_env(
        {
            "NOTIFIER_KAFKA": "kafka-1:9092, [::1]:9093",
            "NOTIFIER_PARTITIONS": "24",
            "NOTIFIER_GUARANTEE": "at_least_once",
            "NOTIFIER_CLOCK_OFFSET_MS": "-5",
            "NOTIFIER_HOME": "/srv/notifier",
        }
    )
    assert settings.kafka == "kafka-1:9092, [::1]:9093"
    assert settings.partitions == 24
    assert settings.guarantee == "at_least_once"
    assert settings.clock_offset_ms == -5
    assert settings.home == Path("/srv/notifier")


def test_option_wins_over_environment_and_none_means_not_given() -> None:
    environ = {"NOTIFIER_OPS_PORT": "7000", "NOTIFIER_PARTITIONS": "8"}
    settings = Settings.from_env(environ, ops_port=0, partitions=None)
    assert settings.ops_port == 0
    assert settings.partitions == 8


def test_option_that_is_no_field_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="ops_prot"):
        Settings.from_env({}, ops_prot=1)


def test_all_faults_are_reported_at_once() -> None:
    message = refusal(
        {
            "NOTIFIER_OPS_PROT": "1",
            "NOTIFIER_KAFKA": "kafka-1",
            "NOTIFIER_PARTITIONS": "many",
            "NOTIFIER_GUARANTEE": "maybe",
            "NOTIFIER_OPS_PORT": "65536",
            "NOTIFIER_APP_ID": "a b",
            "NOTIFIER_HOME": "",
        }
    )
    assert message.startswith("7 settings cannot work:")
    assert "NOTIFIER_OPS_PROT: no such setting; did you mean NOTIFIER_OPS_PORT?" in message
    assert "NOTIFIER_KAFKA: 'kafka-1' is not HOST:PORT" in message
    assert "NOTIFIER_PARTITIONS: 'many' is not a whole number" in message
    assert "NOTIFIER_GUARANTEE: 'maybe' is not one of exactly_once, at_least_once" in message
    assert "NOTIFIER_OPS_PORT: 65536 is above 65535" in message
    assert "NOTIFIER_APP_ID: 'a b' may hold" in message
    assert "NOTIFIER_HOME: is empty" in message


@pytest.mark.parametrize(
    "address", ["", "host:", ":9092", "host:0", "host:65536", "http://host:9092", "a:1,,b:2"]
)
def test_malformed_bootstrap_address_is_refused(address: str) -> None:
    assert "NOTIFIER_KAFKA" in refusal({"NOTIFIER_KAFKA": address})


def test_variables_of_others_are_left_alone() -> None:
    Settings.from_env({"PATH": "/bin", "NOTIFIERS": "3", "NOTIFIER_FAILPOINTS": "fold_before_commit:kill"})


def test_heartbeat_above_a_third_of_the_session_is_refused() -> None:
    assert "NOTIFIER_HEARTBEAT_INTERVAL_MS" in refusal({"NOTIFIER_HEARTBEAT_INTERVAL_MS": "2001"})
    assert Settings.from_env({"NOTIFIER_HEARTBEAT_INTERVAL_MS": "2000"}).heartbeat_interval_ms == 2000


def test_direct_construction_is_checked_too() -> None:
    with pytest.raises(ConfigurationError, match="NOTIFIER_PARTITIONS: 0 is below 1"):
        Settings(partitions=0)


def test_secret_is_read_from_its_file_and_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    environ = {
        "NOTIFIER_SECURITY_PROTOCOL": "SASL_SSL",
        "NOTIFIER_SASL_USERNAME": "ann",
        "NOTIFIER_SASL_PASSWORD_FILE": str(secret),
        "NOTIFIER_EVIDENCE_KEY": "s3cret" * 6,
    }
    settings = Settings.from_env(environ)
    assert settings.sasl_password == "s3cret"
    assert "s3cret" not in repr(settings)
    assert MASK in repr(settings)
    assert {settings.shown(item) for item in SETTINGS if item.secret} == {MASK}
    both = refusal(environ | {"NOTIFIER_SASL_PASSWORD": "0ther"})
    assert "NOTIFIER_SASL_PASSWORD_FILE: NOTIFIER_SASL_PASSWORD is set too" in both
    assert "0ther" not in both


def test_unreadable_secret_file_is_named(tmp_path: Path) -> None:
    missing, binary = tmp_path / "none", tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert "No such file" in refusal({"NOTIFIER_SASL_PASSWORD_FILE": str(missing)})
    assert "not UTF-8" in refusal({"NOTIFIER_SASL_PASSWORD_FILE": str(binary)})


def test_sasl_needs_both_name_and_password() -> None:
    message = refusal({"NOTIFIER_SECURITY_PROTOCOL": "SASL_PLAINTEXT"})
    assert "NOTIFIER_SASL_USERNAME: needed with" in message
    assert "NOTIFIER_SASL_PASSWORD: needed with" in message


def test_credentials_that_would_be_ignored_are_refused() -> None:
    assert "has no effect with NOTIFIER_SECURITY_PROTOCOL=PLAINTEXT" in refusal(
        {"NOTIFIER_SASL_USERNAME": "ann"}
    )


def test_missing_certificate_file_is_refused(tmp_path: Path) -> None:
    assert "is no file" in refusal({"NOTIFIER_SSL_CAFILE": str(tmp_path / "ca.pem")})


def test_consent_profile_sets_the_longest_validity() -> None:
    assert Settings().consent_max_days == 365
    assert Settings(consent_profile="eu").consent_max_days == 180


def test_every_number_of_time_or_size_carries_its_unit_in_its_name() -> None:
    for item in SETTINGS:
        if item.unit:
            assert item.name.endswith((f"_{item.unit}", "_max_records")), item.name


def test_settings_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tools.settings_page"
