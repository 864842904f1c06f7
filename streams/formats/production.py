"""What `notifier produce` publishes: a file's events, retimed if asked, after the grants for their subjects.

The file is read twice: once to learn its subjects, its span and what is wrong with it (all that `--dry-run`
does), once to publish, so that a file of any length needs memory for its subjects only. Imports the rest of
this room.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.core.consent import ConsentRequest
from streams.core.events import Event, event_time
from streams.formats.format import Format, Rejected
from streams.formats.grants import GrantRule, grants
from streams.formats.retime import Span, Speed, check_length, moved, retimed, stamped

MAX_KEPT_REJECTS = 100


@dataclass(slots=True)
class Survey:
    """What a file holds: events by topic, subjects in order of appearance, rejected lines (the first ones
    kept).
    """

    events: Counter[str] = field(default_factory=Counter)
    subjects: dict[str, None] = field(default_factory=dict)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    rejected_count: int = 0
    span: Span | None = None


class Production:
    """A file about to be published. `speed` None publishes the events with their own times.

    Raises:
        OSError: the file cannot be read.
        ConfigurationError: at this speed it would take too long.
    """

    def __init__(
        self, file_format: Format, file: Path, *, speed: Speed | None = None, rule: GrantRule | None = None
    ) -> None:
        self._format = file_format
        self._file = file
        self._speed = speed
        self._rule = rule
        self.survey = survey(file_format, file)
        if speed is not None and self.survey.span is not None:
            check_length(self.survey.span, speed)

    @property
    def topics(self) -> tuple[str, ...]:
        """The event topics that will be published to."""
        return tuple(self.survey.events)

    @property
    def rejected(self) -> list[tuple[int, str]]:
        """The first rejected lines with their reasons."""
        return self.survey.rejected

    @property
    def rejected_count(self) -> int:
        """How many lines are rejected."""
        return self.survey.rejected_count

    def grants(self, now: int) -> Iterator[ConsentRequest]:
        """Yield the consents to be acknowledged before the first event; `now` is UTC milliseconds."""
        if self._rule is not None:
            yield from grants(self.survey.subjects, self._joint_holders(), self._rule, now)

    def items(self, start: int) -> Iterator[tuple[int | None, str, Event | ConsentRequest]]:
        """Yield (due, topic, value) in the file's order; due is the UTC millisecond before which it must not
        be sent.

        With speed `max` the values still carry their own times: `stamp` is to be called when they are sent.
        """
        for outcome in self._format.read(self._file):
            if isinstance(outcome, Rejected):
                continue
            for topic, value in outcome.events:
                yield self._timed(topic, value, start)

    def stamp(self, value: Event | ConsentRequest, now: int) -> Event | ConsentRequest:
        """Return the value as it is sent at `now`: changed only with speed `max`. Never raises."""
        if self._speed == "max" and not isinstance(value, ConsentRequest):
            return stamped(value, now)
        return value

    def _timed(
        self, topic: str, value: Event | ConsentRequest, start: int
    ) -> tuple[int | None, str, Event | ConsentRequest]:
        span, speed = self.survey.span, self._speed
        if span is None or speed is None or speed == "max" or isinstance(value, ConsentRequest):
            return None, topic, value
        return moved(event_time(value), span, start, speed), topic, retimed(value, span, start, speed)

    def _joint_holders(self) -> Mapping[str, tuple[str, ...]]:
        return self._format.joint_holders(self._file)


def survey(file_format: Format, file: Path) -> Survey:
    """Read the file once and return what it holds.

    Raises:
        OSError: it cannot be read.
    """
    found = Survey()
    first: int | None = None
    last = 0
    for outcome in file_format.read(file):
        if isinstance(outcome, Rejected):
            found.rejected_count += 1
            if len(found.rejected) < MAX_KEPT_REJECTS:
                found.rejected.append((outcome.line, outcome.reason))
            continue
        for topic, value in outcome.events:
            found.events[topic] += 1
            if isinstance(value, ConsentRequest):
                continue
            found.subjects[value.subject] = None
            at = event_time(value)
            first, last = (at, at) if first is None else (min(first, at), max(last, at))
    if first is not None:
        found.span = Span(first, last)
    return found
