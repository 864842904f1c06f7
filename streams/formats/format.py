"""The contract of an outside format: a file becomes events, line by line; a broken line is a value, never an
exception.

Imports `core` and `wire` only. Implementations: `jsonl.py`, `berka.py`, `olist.py`; all of them:
`registry.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from streams.core.consent import ConsentRequest
from streams.core.events import Event

MAX_LINE_BYTES = 1024 * 1024  # the size limit of a record: a longer line could not be published
_SKIP_BYTES = 64 * 1024

Item = tuple[str, Event | ConsentRequest]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one line says: (topic, event) pairs in the order in which they are published; may be none."""

    line: int
    events: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line, or one step of it, that cannot be published: `reason` names fields and rules, never a value."""

    line: int
    reason: str


Outcome = Parsed | Rejected


class Format(Protocol):
    """One outside format. `name` is what `--format` takes."""

    @property
    def name(self) -> str:
        """The format's name, lower case."""
        ...

    def read(self, file: Path) -> Iterator[Outcome]:
        """Yield what the lines of `file` say, lines counted from 1.

        Raises:
            OSError: the file cannot be opened or read; never for what it contains.
        """
        ...

    def joint_holders(self, file: Path) -> Mapping[str, tuple[str, ...]]:
        """Return the user ids that hold a subject of `file` besides its first holder, by subject; mostly
        none.

        Raises:
            OSError: a file beside `file` exists but cannot be read.
        """
        ...


def text_lines(stream: BinaryIO, encoding: str) -> Iterator[tuple[int, str] | Rejected]:
    """Yield (line number from 1, text without its line end), or Rejected for a line that is too long or no
    text.

    Holds one line at a time, at most MAX_LINE_BYTES of it. Raises only what `stream` raises.
    """
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            while not raw.endswith(b"\n") and (raw := stream.readline(_SKIP_BYTES)):
                pass
            yield Rejected(number, f"line longer than {MAX_LINE_BYTES} bytes")
            continue
        try:
            yield number, raw.decode(encoding).rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield Rejected(number, f"not {encoding}: byte {error.start + 1} of the line")
