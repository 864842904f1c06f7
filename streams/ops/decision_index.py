"""A disposable index of the decisions, on this machine: where to look for an event, a position or a subject.

It holds keyed hashes and offsets, and nothing else: no name, no id, no decision. What is found is read from
the topics. Its key stands beside it, readable by its owner only; whoever deletes the folder loses nothing but
the time to fill it again. What retention has deleted leaves the index too. Imports `local_key`,
`topic_reader` and wire. Read next: `explain.py`.
"""

import hashlib
import sqlite3
from pathlib import Path
from typing import Self

from streams.errors import ConfigurationError
from streams.kafka.admin import describe
from streams.ops.local_key import local_key
from streams.ops.topic_reader import Progress, Record, open_reader
from streams.settings import Settings
from streams.wire.codec import decode_decision_batch
from streams.wire.topics import CONSENT_STATE, DECISIONS

HASH_BYTES = 12
COMMIT_EVERY = 500
"""Records of decisions between two commits."""

_TABLES = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS reached (topic TEXT, partition INT, next INT, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS events (
    hash BLOB, partition INT, at INT, PRIMARY KEY (hash, partition, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spans (
    topic TEXT, partition INT, first INT, next INT, at INT, PRIMARY KEY (topic, partition, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consents (hash BLOB PRIMARY KEY, partition INT, at INT) WITHOUT ROWID;
"""


class DecisionIndex:
    """The index of one cluster; a context manager that closes it."""

    def __init__(self, folder: Path, cluster_id: str) -> None:
        """Open it, or make a new one.

        Raises:
            ConfigurationError: the folder cannot be written.
        """
        try:
            self._key = local_key(folder)
            name = hashlib.blake2b(cluster_id.encode(), digest_size=8).hexdigest()
            self._database = sqlite3.connect(folder / f"{name}.sqlite", isolation_level=None)
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"The index in {folder} cannot be used: {error}. Delete it.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    async def catch_up(self, settings: Settings, progress: Progress | None = None) -> None:
        """Take in what has come since the last time; forget what retention has deleted.

        Raises:
            TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
        """
        for topic in (CONSENT_STATE, DECISIONS):
            async with open_reader(settings, [topic]) as reader:
                for partition, first in (await reader.starts()).items():
                    self._forget(topic, partition, first)
                    reader.to_offset(topic, partition, max(first, self._reached(topic, partition)))
                taken = 0
                self._database.execute("BEGIN")
                async for record in reader.rest(progress):
                    self._take(record)
                    taken += 1
                    if taken % COMMIT_EVERY == 0:
                        self._database.execute("COMMIT")
                        self._database.execute("BEGIN")
                self._database.execute("COMMIT")

    def events(self, event_id: str) -> list[tuple[int, int]]:
        """Return partition and offset of each record of decisions that names an event."""
        found = self._database.execute(
            "SELECT partition, at FROM events WHERE hash = ? ORDER BY at", (self._hash("e", event_id),)
        )
        return list(found)

    def span(self, topic: str, partition: int, offset: int) -> int | None:
        """Return the offset of the record of decisions whose ranges hold a position, None if none does."""
        found = self._database.execute(
            "SELECT at, next FROM spans WHERE topic = ? AND partition = ? AND first <= ? "
            "ORDER BY first DESC LIMIT 1",
            (topic, partition, offset),
        ).fetchone()
        return found[0] if found is not None and offset < found[1] else None

    def decided_before(self, topic: str, partition: int) -> int:
        """Return the offset below which all that is indexed was decided, 0 for none."""
        found = self._database.execute(
            "SELECT MAX(next) FROM spans WHERE topic = ? AND partition = ?", (topic, partition)
        ).fetchone()
        return int(found[0] or 0)

    def consent(self, subject: str) -> tuple[int, int] | None:
        """Return partition and offset of a subject's last consent state, None if it has none."""
        row = self._database.execute(
            "SELECT partition, at FROM consents WHERE hash = ?", (self._hash("s", subject),)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def _take(self, record: Record) -> None:
        if record.topic == CONSENT_STATE:
            key = self._hash("s", (record.key or b"").decode("utf-8", "replace"))
            if record.value is None:
                self._database.execute("DELETE FROM consents WHERE hash = ?", (key,))
            else:
                self._database.execute(
                    "INSERT OR REPLACE INTO consents VALUES (?, ?, ?)", (key, record.partition, record.offset)
                )
        else:
            batch = decode_decision_batch(record.value or b"")
            self._database.executemany(
                "INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?, ?)",
                (
                    (one.topic, batch.partition, one.first_offset, one.next_offset, record.offset)
                    for one in batch.inputs
                ),
            )
            ids = sorted(
                {self._hash("e", row.event_id) for row in batch.decisions if row.event_id is not None}
            )
            self._database.executemany(
                "INSERT OR IGNORE INTO events VALUES (?, ?, ?)",
                ((one, record.partition, record.offset) for one in ids),
            )
        self._database.execute(
            "INSERT OR REPLACE INTO reached VALUES (?, ?, ?)",
            (record.topic, record.partition, record.offset + 1),
        )

    def _reached(self, topic: str, partition: int) -> int:
        row = self._database.execute(
            "SELECT next FROM reached WHERE topic = ? AND partition = ?", (topic, partition)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _forget(self, topic: str, partition: int, first: int) -> None:
        if topic == DECISIONS:
            for statement in (
                "DELETE FROM events WHERE partition = ? AND at < ?",
                "DELETE FROM spans WHERE partition = ? AND at < ?",
            ):
                self._database.execute(statement, (partition, first))

    def _hash(self, letter: str, name: str) -> bytes:
        return hashlib.blake2b(
            (letter + name).encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES, key=self._key
        ).digest()


def index_folder(settings: Settings) -> Path:
    """Return where the index is, if there is one."""
    return settings.home / "index"


async def index_of(settings: Settings) -> DecisionIndex:
    """Return the index of the cluster, a new one if there is none.

    Raises:
        ConfigurationError: its folder cannot be written.
        KafkaUnreachableError, CredentialsError: see `connection.check_connection`.
    """
    return DecisionIndex(index_folder(settings), (await describe(settings)).cluster_id)
