"""What workers remember of every subject, as it was at a moment: a file per moment on this machine.

A compacted topic forgets how it was, so what was decided can be decided again only from the beginning of the
logs, or from such a moment on. Each entry is sealed with a key that stands beside the files, and named by a
keyed hash of its subject; whoever deletes the folder loses nothing but how far back a replay can begin. What
was erased leaves every file: at once by the command that erases, and with the next snapshot at the latest.
Imports `local_key`, `standing_state`, kafka, kernel and wire. Read next: `rerun.py`.
"""

import base64
import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

from cryptography.fernet import Fernet, InvalidToken

from streams.errors import CheckFailedError, ConfigurationError
from streams.kafka.admin import describe, require_topics
from streams.kafka.partition_store import CHUNK_SEPARATOR, MARKER_KEY, PartitionStore
from streams.kafka.positions import GroupOffsets
from streams.kernel.record_batch import NO_HEADERS, RecordBatch
from streams.ops.local_key import local_key
from streams.ops.standing_state import Held, held_together
from streams.settings import Settings
from streams.wire.codec import decode_consent_state, decode_position_marker
from streams.wire.topics import CONSENT_STATE, NOTIFIER_STATE

HASH_BYTES = 16
RUN = 10_000
"""Entries that are read together."""
_DAY_MS = 86_400_000
_SUFFIX = ".sqlite"
_TABLES = """
PRAGMA journal_mode = DELETE; PRAGMA secure_delete = ON;
CREATE TABLE markers (partition INT PRIMARY KEY, sealed BLOB);
CREATE TABLE entries (partition INT, topic TEXT, hash BLOB, salt BLOB, sealed BLOB);
"""
_INDEXES = "CREATE INDEX by_hash ON entries (hash, salt); CREATE INDEX by_partition ON entries (partition)"
_FORGET = """
DELETE FROM entries WHERE NOT EXISTS (
    SELECT 1 FROM newest.entries AS kept WHERE kept.hash = entries.hash AND kept.salt = entries.salt)
"""


async def newest_before(settings: Settings, at_ms: int) -> "Snapshot | None":
    """Return the last snapshot of the cluster that was whole before a time (UTC ms), None if there is none.

    Raises:
        ConfigurationError, KafkaUnreachableError, CredentialsError: see `SnapshotFolder.of`.
    """
    return (await SnapshotFolder.of(settings)).newest(at_ms) if _root(settings).exists() else None


async def forget(settings: Settings, subjects: Collection[str]) -> int:
    """Delete subjects from every snapshot on this machine; return how many entries there were.

    Raises:
        ConfigurationError, KafkaUnreachableError, CredentialsError: see `SnapshotFolder.of`.
    """
    return (await SnapshotFolder.of(settings)).forget(subjects) if _root(settings).exists() else 0


class Taken(NamedTuple):
    """A snapshot that was taken: its time (UTC ms), how many partition numbers and subjects it holds, and how
    many entries of older ones and whole older ones were deleted.
    """

    taken_ms: int
    partitions: int
    subjects: int
    forgotten: int
    removed: int


class SnapshotFolder:
    """The snapshots of one cluster.

    Raises:
        ConfigurationError: the folder cannot be used.
    """

    def __init__(self, settings: Settings, cluster_id: str) -> None:
        root = _root(settings)
        try:
            self._key = local_key(root)
            self._folder = root / hashlib.blake2b(cluster_id.encode(), digest_size=8).hexdigest()
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The snapshots in {root} cannot be used: {error}. Delete the folder."
            ) from error
        self._seal = Fernet(base64.urlsafe_b64encode(self._key))

    @classmethod
    async def of(cls, settings: Settings) -> Self:
        """Return the folder of the cluster that the settings name.

        Raises:
            ConfigurationError, KafkaUnreachableError, CredentialsError: see the class and `describe`.
        """
        return cls(settings, (await describe(settings)).cluster_id)

    def newest(self, before_ms: int) -> "Snapshot | None":
        """Return the last snapshot that was whole before a time (UTC ms), None if there is none."""
        found = [at for at in self._times() if at < before_ms]
        return Snapshot(self._path(found[-1]), self._seal) if found else None

    def forget(self, subjects: Collection[str]) -> int:
        """Delete all entries of subjects from every snapshot; return how many there were."""
        hashes = [(self._hash(b"s", subject.encode()),) for subject in subjects]
        deleted = 0
        for at in self._times():
            with _opened(self._path(at)) as database:
                deleted += database.executemany("DELETE FROM entries WHERE hash = ?", hashes).rowcount
        return deleted

    async def take(
        self,
        settings: Settings,
        keep_days: int,
        now_ms: Callable[[], int],
        progress: Callable[[int, int], None] | None = None,
    ) -> Taken:
        """Write what every partition number remembers now; delete what was erased, and what is too old.

        Args:
            settings: where Kafka is.
            keep_days: older snapshots are deleted.
            now_ms: the clock, UTC.
            progress: told how many partition numbers of how many are done.

        Raises:
            CheckFailedError: consents are written faster than they can be read.
            TopicError, KafkaUnreachableError, CredentialsError: see `topic_reader.open_reader`.
        """
        partitions = (await require_topics(settings, [CONSENT_STATE])).topics[CONSENT_STATE].partitions
        partial = self._folder / "partial"
        partial.unlink(missing_ok=True)
        latest = subjects = 0
        with _opened(partial) as database:
            database.executescript(_TABLES)
            offsets = GroupOffsets(settings, settings.app_id)
            await offsets.start()
            try:
                for partition in range(partitions):
                    held = await held_together(settings, offsets, partition)
                    latest = max(latest, self._write(database, partition, held))
                    subjects += len(held.consents)
                    if progress is not None:
                        progress(partition + 1, partitions)
            finally:
                await offsets.stop()
            database.executescript(_INDEXES)
        taken_ms = max(now_ms(), latest)
        partial.rename(self._path(taken_ms))
        removed = self._remove(taken_ms - keep_days * _DAY_MS)
        return Taken(taken_ms, partitions, subjects, self._forget_erased(taken_ms), removed)

    def _write(self, database: sqlite3.Connection, partition: int, held: Held) -> int:
        """Write what a partition number holds; return when its marker was written, UTC ms, 0 without one."""
        salts = {key: self._salt(value) for key, value in held.consents.items()}
        rows = [(CONSENT_STATE, key, key, value) for key, value in held.consents.items()]
        rows += [
            (NOTIFIER_STATE, key.rpartition(CHUNK_SEPARATOR)[0], key, value)
            for key, value in held.states.items()
            if key != MARKER_KEY
        ]
        database.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
            (
                (partition, topic, self._hash(b"s", subject), salts[subject], self._sealed(key, value))
                for topic, subject, key, value in rows
                if subject in salts
            ),
        )
        marker = held.states.get(MARKER_KEY)
        if marker is None:
            return 0
        database.execute("INSERT INTO markers VALUES (?, ?)", (partition, self._sealed(MARKER_KEY, marker)))
        return decode_position_marker(marker).written_at

    def _forget_erased(self, newest_ms: int) -> int:
        """Delete from older snapshots who is not in the newest any more, or has another salt there."""
        deleted = 0
        for at in self._times():
            if at < newest_ms:
                with _opened(self._path(at)) as database:
                    database.execute("ATTACH ? AS newest", (str(self._path(newest_ms)),))
                    deleted += database.execute(_FORGET).rowcount
        return deleted

    def _remove(self, before_ms: int) -> int:
        old = [at for at in self._times() if at < before_ms]
        for at in old:
            self._path(at).unlink()
        return len(old)

    def _times(self) -> list[int]:
        names = (path.name for path in self._folder.iterdir())
        return sorted(
            int(name.removesuffix(_SUFFIX)) for name in names if re.fullmatch(rf"\d+{_SUFFIX}", name)
        )

    def _path(self, taken_ms: int) -> Path:
        return self._folder / f"{taken_ms}{_SUFFIX}"

    def _salt(self, value: bytes) -> bytes:
        """Return a hash of a subject's salt: who is erased leaves another salt behind, or none."""
        state = decode_consent_state(value)
        return self._hash(b"t", b"" if state is None or state.salt is None else state.salt)

    def _hash(self, letter: bytes, name: bytes) -> bytes:
        return hashlib.blake2b(letter + name, digest_size=HASH_BYTES, key=self._key).digest()

    def _sealed(self, key: bytes, value: bytes) -> bytes:
        return self._seal.encrypt(len(key).to_bytes(4, "big") + key + value)


class Snapshot:
    """One snapshot, to read from."""

    def __init__(self, path: Path, seal: Fernet) -> None:
        self._path = path
        self._seal = seal

    @property
    def taken_ms(self) -> int:
        """Return when it was whole, UTC ms: everything that was decided later is not in it."""
        return int(self._path.name.removesuffix(_SUFFIX))

    def fill(self, store: PartitionStore, partition: int) -> None:
        """Put what a partition number remembered into an empty store.

        Raises:
            CheckFailedError: the file is damaged, or sealed with another key.
        """
        try:
            with _opened(self._path) as database:
                for topic, load in (
                    (CONSENT_STATE, store.load_consents),
                    (NOTIFIER_STATE, store.load_states),
                ):
                    entries = self._entries(database, topic, partition)
                    while run := list(islice(entries, RUN)):
                        load(_batch(topic, partition, run))
        except (sqlite3.Error, InvalidToken) as error:
            raise CheckFailedError(f"{self._path} is damaged, or its key is another: delete it.") from error

    def _entries(
        self, database: sqlite3.Connection, topic: str, partition: int
    ) -> Iterator[tuple[bytes, bytes]]:
        for (sealed,) in database.execute(
            "SELECT sealed FROM entries WHERE partition = ? AND topic = ? UNION ALL "
            "SELECT sealed FROM markers WHERE partition = ? AND ? = 'notifier.state'",
            (partition, topic, partition, topic),
        ):
            yield self._opened(sealed)

    def _opened(self, sealed: bytes) -> tuple[bytes, bytes]:
        whole = self._seal.decrypt(sealed)
        end = 4 + int.from_bytes(whole[:4], "big")
        return whole[4:end], whole[end:]


def _root(settings: Settings) -> Path:
    return settings.home / "snapshots"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file, write what was changed, and close it."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        yield database


def _batch(topic: str, partition: int, entries: Sequence[tuple[bytes, bytes]]) -> RecordBatch:
    count = len(entries)
    keys, values = [key for key, _ in entries], [value for _, value in entries]
    return RecordBatch(
        topic, partition, range(count), [0] * count, keys, values, [NO_HEADERS] * count, 0, count
    )
