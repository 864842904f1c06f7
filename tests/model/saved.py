"""Recordings in files, from one process of a test to the next."""

import pickle
from pathlib import Path

from verifier.recording import Recording


def save(recording: Recording, path: Path) -> None:
    path.write_bytes(pickle.dumps(recording))


def load(path: Path) -> Recording:
    found = pickle.loads(path.read_bytes())
    assert isinstance(found, Recording)
    return found
