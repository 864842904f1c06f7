"""What the topics hold, as plain values: the input of every check.

Imports the standard library only. Read next: `conservation.py`.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

EVENT_TOPICS = ("bank.transactions", "bank.balances", "bank.security", "shipping.events")
REQUESTS = "consent.requests"


class Position(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Log(NamedTuple):
    """The committed records of one partition: where the log starts, and their offsets, rising."""

    start: int
    offsets: list[int]


class Batch(NamedTuple):
    """One record of `notifier.decisions`: where it stands, its bytes without the frame, and its decoded
    value.
    """

    position: Position
    body: bytes
    value: dict[str, Any]


class Told(NamedTuple):
    """One notification on `messenger-delivery`, by what a check needs of it; when it was decided is asked of
    notices alone.
    """

    position: Position
    key: str
    notification_id: str
    recipient: str
    kind: str
    source: Position | None
    decided_at: int = 0


@dataclass(slots=True)
class Evidence:
    """Everything that was read, decisions first: what came later is judged only up to them."""

    batches: list[Batch] = field(default_factory=list)
    is_from_start: bool = True
    logs: dict[tuple[str, int], Log] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    dead_letters: list[Position] = field(default_factory=list)
    unreadable: list[Position] = field(default_factory=list)
