import asyncio
import ssl
from pathlib import Path

import pytest
from aiokafka import errors as kafka_errors

from streams.errors import CredentialsError, KafkaUnreachableError, NotifierError
from streams.kafka.broker import RunningBroker
from streams.kafka.connection import (
    check_connection,
    client_options,
    confluent_options,
    our_error,
    our_errors,
)
from streams.settings import Settings

SASL = Settings(
    kafka="a:1,b:2",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="notifier",
    sasl_password="secret",
)


def test_a_plain_client_has_no_credentials() -> None:
    assert client_options(Settings(kafka="a:1,b:2")) == {
        "bootstrap_servers": "a:1,b:2",
        "client_id": "notifier",
        "security_protocol": "PLAINTEXT",
    }


def test_a_sasl_client_logs_in_over_tls_that_checks_certificates() -> None:
    options = client_options(SASL)
    context = options.pop("ssl_context")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("notifier", "secret")


def test_librdkafka_clients_get_the_same_and_the_right_partitioner() -> None:
    options = confluent_options(SASL)
    assert options["partitioner"] == "murmur2_random"
    assert options["bootstrap.servers"] == "a:1,b:2"
    assert options["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl.username"], options["sasl.password"]) == ("notifier", "secret")


def test_a_certificate_file_that_is_none_is_a_credentials_error(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    with pytest.raises(CredentialsError, match="NOTIFIER_SSL_CAFILE"):
        client_options(Settings(security_protocol="SSL", ssl_cafile=broken))


def test_nobody_listening_is_unreachable_and_the_message_has_the_cure(free_port: int) -> None:
    with pytest.raises(KafkaUnreachableError, match="notifier up") as caught:
        asyncio.run(check_connection(Settings(kafka=f"127.0.0.1:{free_port}")))
    assert f"127.0.0.1:{free_port}" in caught.value.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (kafka_errors.SaslAuthenticationFailed("no"), CredentialsError),
        (kafka_errors.UnsupportedSaslMechanismError("no"), CredentialsError),
        (kafka_errors.TopicAuthorizationFailedError("t"), CredentialsError),
        (kafka_errors.ClusterAuthorizationFailedError(), CredentialsError),
        (ssl.SSLCertVerificationError("untrusted"), CredentialsError),
        (kafka_errors.KafkaConnectionError("gone"), KafkaUnreachableError),
        (kafka_errors.RequestTimedOutError(), KafkaUnreachableError),
        (kafka_errors.KafkaTimeoutError(), KafkaUnreachableError),
        (ConnectionRefusedError(), KafkaUnreachableError),
        (TimeoutError(), KafkaUnreachableError),
    ],
)
def test_an_error_of_access_becomes_ours_and_never_tells_the_password(
    error: Exception, kind: type[NotifierError]
) -> None:
    known = our_error(SASL, error)
    assert type(known) is kind
    assert "secret" not in known.message


def test_an_error_that_is_not_about_access_passes_unchanged() -> None:
    async def fail() -> None:
        async with our_errors(SASL):
            raise kafka_errors.RecordTooLargeError

    assert our_error(SASL, kafka_errors.RecordTooLargeError()) is None
    with pytest.raises(kafka_errors.RecordTooLargeError):
        asyncio.run(fail())


@pytest.mark.broker
def test_a_broker_that_runs_is_reached_even_behind_a_dead_address(
    broker: RunningBroker, free_port: int
) -> None:
    asyncio.run(check_connection(Settings(kafka=f"127.0.0.1:{free_port},{broker.bootstrap}")))


@pytest.mark.broker
def test_a_login_that_the_broker_does_not_know_is_a_credentials_error(broker: RunningBroker) -> None:
    settings = Settings(
        kafka=broker.bootstrap, security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password="p"
    )
    with pytest.raises(CredentialsError, match="NOTIFIER_SASL_USERNAME"):
        asyncio.run(check_connection(settings))


@pytest.mark.broker
def test_tls_to_a_plain_listener_is_unreachable_and_names_the_setting(broker: RunningBroker) -> None:
    with pytest.raises(KafkaUnreachableError, match="NOTIFIER_SECURITY_PROTOCOL"):
        asyncio.run(check_connection(Settings(kafka=broker.bootstrap, security_protocol="SSL")))


def test_librdkafka_clients_trust_the_file_of_certificates_where_tls_is_used(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    tls = Settings(kafka="a:1", security_protocol="SSL", ssl_cafile=file)
    assert confluent_options(tls)["ssl.ca.location"] == str(file)
    assert "sasl.mechanism" not in confluent_options(tls)
    assert "ssl.ca.location" not in confluent_options(Settings(kafka="a:1", ssl_cafile=file))
