"""Which skips are allowed: a line of `tests/allowed-skips.txt` is a node id or its beginning, ` # `, why."""

from collections.abc import Iterable
from pathlib import Path


def read_allowed(path: Path) -> tuple[str, ...]:
    """Return the node id prefixes of the file; raise ValueError on a line without a reason."""
    prefixes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        prefix, separator, reason = line.partition(" # ")
        if not separator or not reason.strip() or not prefix.strip():
            raise ValueError(f"{path.name}:{number}: write 'NODE_ID # reason'")
        prefixes.append(prefix.strip())
    return tuple(prefixes)


def unlisted(skipped: Iterable[str], allowed: tuple[str, ...]) -> list[str]:
    """Return the skipped node ids that no allowed prefix covers, in order."""
    return [node for node in skipped if not any(node.startswith(prefix) for prefix in allowed)]
