"""Is a Kafka broker ready at this address? Two requests over a plain socket, no client needed.

Standard library only. The bytes: Kafka protocol guide, ApiVersions v0 (key 18) and Metadata v1 (key 3).
"""

import socket
import struct

API_VERSIONS, METADATA = 18, 3
MAX_ANSWER_BYTES = 1 << 20


def is_ready(host: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """Say whether the broker answers and the cluster's metadata lists at least one broker. Never raises."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            versions = _ask(connection, API_VERSIONS, 0, b"")
            (error,) = struct.unpack_from(">h", versions)
            if error != 0:
                return False
            no_topics = struct.pack(">i", 0)
            metadata = _ask(connection, METADATA, 1, no_topics)
            (brokers,) = struct.unpack_from(">i", metadata)
            return bool(brokers > 0)
    except (OSError, struct.error):
        return False


def _ask(connection: socket.socket, key: int, version: int, body: bytes) -> bytes:
    request = struct.pack(">hhih", key, version, 1, -1) + body  # correlation id 1, no client id
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", _read(connection, 4))
    if not 4 <= size <= MAX_ANSWER_BYTES:
        raise OSError("no Kafka broker speaks here")
    return _read(connection, size)[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise OSError("the connection was closed")
        parts += part
    return bytes(parts)
