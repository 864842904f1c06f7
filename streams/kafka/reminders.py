"""Passes over the consents of a partition number, for notices that a consent is about to end.

A pass looks at some consents at a time, so that events are decided in between; what it finds is looked at
again when it is told, behind a barrier of its own. May import kernel, wire and core. Source: docs/rules.md
section 9. Read next: `partition_owner.py`, which commits what a pass tells.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from streams.core.expiry import Notice, ends_of_owed, last_of_pass, owed
from streams.kafka.partition_store import PartitionStore
from streams.kernel.batch_result import BatchResult
from streams.kernel.notices import write_notice
from streams.wire.codec import decode_consent_state
from streams.wire.headers import NotificationHeaders

VERSIONS_A_LOOK = 150
"""Of consents that are read at a time, about 5 ms; the loop goes round in between."""
NOTICES_A_TURN = 50
"""That are written at a time, about 5 ms."""
FOUND_LIMIT = 20_000
"""Subjects kept while a pass looks; of more only those are kept that this pass can tell."""


class Told(NamedTuple):
    """What a pass tells, maybe nothing, and up to when (UTC ms) all that was due is told by then."""

    result: BatchResult
    until: int


class Reminders:
    """When to pass over the consents of one partition number, and the pass under way.

    `reminded_until` (UTC ms) goes into every position marker: what was due up to then was told, or will be in
    the transaction of that marker.

    Args:
        interval_s: from the end of a pass to the next.
    """

    def __init__(self, interval_s: float) -> None:
        self.reminded_until: int | None = None
        self._interval_s = interval_s
        self._due_s = float("inf")
        self._pass: _Pass | None = None

    def begin_anew(self, reminded_until: int | None, now: int) -> None:
        """Go by what the log says, forgetting a pass under way, and look soon.

        Without a mark, nothing that is due before `now` (UTC ms) will be told.
        """
        self._pass = None
        self.reminded_until = reminded_until
        if reminded_until is None:
            self.reached(now)
        else:
            self._due_s = asyncio.get_running_loop().time()

    def is_due(self) -> bool:
        """Tell whether a pass is under way, or is to begin."""
        return self._pass is not None or asyncio.get_running_loop().time() >= self._due_s

    def look(self, store: PartitionStore, now: int) -> bool:
        """Look at some more consents, as of `now` (UTC ms) if a pass begins; tell whether none is left."""
        if self._pass is None:
            since = now if self.reminded_until is None else min(self.reminded_until, now)
            self._pass = _Pass(store, since, now)
        return self._pass.look()

    def changed(self, keys: Collection[bytes]) -> None:
        """Have these subjects looked at again: their consents have changed."""
        if self._pass is not None:
            self._pass.changed(keys)

    async def tell(self, app_id: str, partition: int, request_offset: int, policy_version: str) -> Told:
        """Return what the pass under way tells now that every request below `request_offset` is folded."""
        assert self._pass is not None
        return await self._pass.tell(app_id, partition, request_offset, policy_version)

    def reached(self, until: int) -> None:
        """Note that all that was due up to `until` (UTC ms) is told: the pass under way is over.

        If it stopped short of its time the next one follows at once.
        """
        is_whole = self._pass is None or until == self._pass.now
        self._pass = None
        self.reminded_until = max(until, self.reminded_until or until)
        self._due_s = asyncio.get_running_loop().time() + (self._interval_s if is_whole else 0.0)


class _Pass:
    """One pass at `now` over what fell due after `since`."""

    def __init__(self, store: PartitionStore, since: int, now: int) -> None:
        self.now = now
        self._since = since
        self._store = store
        self._slices: Iterator[Sequence[bytes]] = store.subjects.slices(ends_of_owed(since, now))
        self._waiting: list[bytes] = []
        self._changed: set[bytes] = set()
        self._found: dict[bytes, tuple[int, ...]] = {}
        self._room = FOUND_LIMIT
        self._last: int | None = None

    def look(self) -> bool:
        """Look at about VERSIONS_A_LOOK; tell whether none is left."""
        if not self._waiting:
            return self._is_last_slice()
        left = VERSIONS_A_LOOK
        while self._waiting and left > 0:
            left -= self._look_at(self._waiting.pop())
        return False

    def changed(self, keys: Collection[bytes]) -> None:
        """Have these subjects looked at again."""
        self._changed.update(keys)

    async def tell(self, app_id: str, partition: int, request_offset: int, policy_version: str) -> Told:
        """Look once more at what was found or has changed, and write the notices that are owed.

        The loop goes round in between: nothing else may change the store meanwhile.
        """
        while self._changed:
            self._look_at(self._changed.pop())
        self._leave_out()
        until = self.now if self._last is None else self._last
        result = BatchResult(partition, self.now, request_offset)
        headers = NotificationHeaders(app_id, partition, request_offset, policy_version, self.now)
        for number, key in enumerate(sorted(self._found, key=lambda key: (min(self._found[key]), key)), 1):
            state = self._store.consent_state(key)
            if state is not None:
                for notice in owed(state, self._since, self.now):
                    if notice.due_at <= until:
                        write_notice(result, headers, state, notice)
            if number % NOTICES_A_TURN == 0:
                await asyncio.sleep(0)
        return Told(result, until)

    def _is_last_slice(self) -> bool:
        """Take the subjects to look at next; tell whether there are none left."""
        slice_ = next(self._slices, None)
        if slice_ is None:
            self._waiting, self._changed = list(self._changed), set()
            return not self._waiting
        self._waiting = list(slice_)
        return False

    def _look_at(self, key: bytes) -> int:
        """Note what is owed of a subject; return how many versions were read for that, at least 1."""
        value = self._store.subjects.consent(key)
        state = None if value is None else decode_consent_state(value)
        notices = [] if state is None else owed(state, self._since, self.now)
        due = tuple(notice.due_at for notice in notices if self._is_in_reach(notice))
        if due:
            self._found[key] = due
            if len(self._found) > self._room:
                self._leave_out()
                self._room = max(FOUND_LIMIT, 2 * len(self._found))  # more may be due with the last
        else:
            self._found.pop(key, None)
        return max(1, sum(len(holder.versions) for holder in state.holders)) if state is not None else 1

    def _is_in_reach(self, notice: Notice) -> bool:
        return self._last is None or notice.due_at <= self._last

    def _leave_out(self) -> None:
        """Keep of what was found what one pass tells."""
        last = last_of_pass(at for due in self._found.values() for at in due)
        if last is not None:
            self._last = last
            self._found = {key: due for key, due in self._found.items() if min(due) <= last}
