"""Makes aiokafka see a connection that uvloop has closed already as what it is: broken.

Writing to a closed transport, asyncio raises an OSError or drops the bytes; uvloop raises a RuntimeError, and
aiokafka catches none. It ended the task that keeps a client's metadata, without a word, at the moment when a
broker went away. Whoever asked that client for metadata afterwards waited for ever, the group member too:
about one broker restart in three left a worker that stood still (scenario S8 of docs/reliability). Imports
the Kafka client only. Read next: `connection.py`.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

_send = AIOKafkaConnection.send


def _send_or_say_so(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    """Send a request; see `AIOKafkaConnection.send`.

    Raises:
        KafkaConnectionError: the connection is closed.
    """
    try:
        return _send(connection, request, expect_response)
    except (KafkaError, NotImplementedError):  # both are RuntimeErrors, and neither is of the transport
        raise
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(
            f"Connection at {connection.host}:{connection.port} was closed already"
        ) from error


def install() -> None:
    """Change every aiokafka connection of this process. Idempotent; never raises."""
    AIOKafkaConnection.send = _send_or_say_so
