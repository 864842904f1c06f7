"""Small disks, made for a test, and what fills them. Only root may make one."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_PIECE = bytes(1 << 20)


@cache
def is_possible() -> bool:
    """Tell whether this user may make one."""
    try:
        with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder) / "disk", 1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[None]:
    """Make a disk of so many MiB, in memory, at this folder; it is gone at the end."""
    folder.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)], check=True, capture_output=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill the small disk at this folder, and free it again."""
    assert folder.is_mount(), f"{folder} is not a disk of its own"
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for piece in (_PIECE, _PIECE[:512]):
                with suppress(OSError):
                    while file.write(piece):
                        pass
        yield
    finally:
        filler.unlink(missing_ok=True)
