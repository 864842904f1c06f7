"""A key that stands beside what it protects on this machine, readable by its owner only.

Whoever deletes it loses nothing that the topics do not give again. Imports nothing. Read next:
`decision_index.py`, `snapshots.py`.
"""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

KEY_BYTES = 32


def local_key(folder: Path) -> bytes:
    """Return the key of a folder; both are made if they are not there, readable by their owner only.

    Whoever comes second takes the first one's.

    Raises:
        OSError: the folder cannot be written, or holds something else in the key's place.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "key"
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=folder) as whole:  # readable by its owner only
            whole.write(secrets.token_bytes(KEY_BYTES))
            whole.flush()
            with contextlib.suppress(FileExistsError):
                os.link(whole.name, path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise OSError(f"its key has {len(key)} bytes")
    return key
