"""How our clients talk to Kafka and what its faults mean: options from settings, errors with their cure.

Imports `settings` and `errors`. Read next: `admin.py`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.conn import collect_hosts, create_conn

from streams.errors import CredentialsError, KafkaUnreachableError, NotifierError
from streams.settings import Settings

PROBE_TIMEOUT_MS = (
    5_000  # a broker that is up answers in milliseconds; a person waits this long for "it is not"
)

_REFUSED_IDENTITY = (
    kafka_errors.AuthenticationFailedError,
    kafka_errors.AuthenticationMethodNotSupported,
    kafka_errors.IllegalSaslStateError,
    kafka_errors.SaslAuthenticationFailed,
    kafka_errors.UnsupportedSaslMechanismError,
)
_REFUSED_OPERATION = (
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.TransactionalIdAuthorizationFailed,
)
_UNREACHABLE = (
    OSError,
    asyncio.IncompleteReadError,
    asyncio.TimeoutError,
    kafka_errors.KafkaConnectionError,
    kafka_errors.KafkaTimeoutError,
    kafka_errors.NodeNotReadyError,
    kafka_errors.RequestTimedOutError,
)


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes.

    Raises:
        CredentialsError: the certificate file cannot be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka,
        "client_id": settings.app_id,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password
    return options


def confluent_options(settings: Settings) -> dict[str, str]:
    """Return the configuration that every librdkafka client takes. Never raises.

    `partitioner` is stated because librdkafka's default (CRC32) puts subjects where no task looks for them.
    """
    options = {
        "bootstrap.servers": settings.kafka,
        "client.id": settings.app_id,
        "security.protocol": settings.security_protocol,
        "partitioner": "murmur2_random",
    }
    if settings.ssl_cafile is not None and settings.security_protocol.endswith("SSL"):
        options["ssl.ca.location"] = str(settings.ssl_cafile)
    if settings.security_protocol.startswith("SASL"):
        options["sasl.mechanism"] = settings.sasl_mechanism
        options["sasl.username"] = settings.sasl_username or ""
        options["sasl.password"] = settings.sasl_password or ""
    return options


async def check_connection(settings: Settings) -> None:
    """Connect to the first bootstrap server that answers, log in, and hang up.

    Raises:
        KafkaUnreachableError: none answers.
        CredentialsError: the one that answered refused who we are, or its certificate is not trusted.
    """
    options = client_options(settings) | {"request_timeout_ms": PROBE_TIMEOUT_MS}
    last: Exception = OSError("no address given")
    for host, port, _family in collect_hosts(options.pop("bootstrap_servers")):
        try:
            connection = await create_conn(host, port, **options)
        except (*_REFUSED_IDENTITY, *_UNREACHABLE) as error:
            last = error
            if isinstance(error, (*_REFUSED_IDENTITY, ssl.SSLError)):
                break
        else:
            connection.close()
            return
    raise our_error(settings, last) or last


@asynccontextmanager
async def our_errors(settings: Settings) -> AsyncIterator[None]:
    """Turn what aiokafka raises inside the block into our errors, where one fits.

    Raises:
        KafkaUnreachableError, CredentialsError: as `our_error` says; any other exception passes unchanged.
    """
    try:
        yield
    except NotifierError:
        raise
    except Exception as error:
        known = our_error(settings, error)
        if known is None:
            raise
        raise known from error


def our_error(settings: Settings, error: BaseException) -> NotifierError | None:
    """Return what a client's exception means, with its cure; None if it is not about access. Never raises."""
    match error:
        case ssl.SSLError():
            reason = getattr(error, "reason", None) or type(error).__name__
            return CredentialsError(
                f"Kafka at {settings.kafka}: TLS failed ({reason}). "
                "Set NOTIFIER_SSL_CAFILE to the certificate of its authority, or correct "
                "NOTIFIER_SECURITY_PROTOCOL."
            )
        case _ if isinstance(error, _REFUSED_IDENTITY):
            return CredentialsError(
                f"Kafka at {settings.kafka} refused the login as {settings.sasl_username!r} by "
                f"{settings.sasl_mechanism}. Check NOTIFIER_SASL_USERNAME, NOTIFIER_SASL_PASSWORD_FILE and "
                "NOTIFIER_SASL_MECHANISM."
            )
        case _ if isinstance(error, _REFUSED_OPERATION):
            return CredentialsError(
                f"Kafka at {settings.kafka} does not allow {settings.sasl_username or 'anonymous clients'} "
                f"to do this ({type(error).__name__}). Give this user the missing rights."
            )
        case _ if isinstance(error, _UNREACHABLE):
            return KafkaUnreachableError(
                f"No Kafka at {settings.kafka} ({settings.security_protocol}): {type(error).__name__}. "
                "Start one with `notifier up`, or give its address with --kafka HOST:PORT; if it runs, check "
                "NOTIFIER_SECURITY_PROTOCOL."
            )
        case _:
            return None


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ssl_cafile)
    except OSError as error:
        raise CredentialsError(
            f"NOTIFIER_SSL_CAFILE={settings.ssl_cafile} cannot be used as certificates "
            f"({error.strerror or type(error).__name__}). Give a readable PEM file."
        ) from error
