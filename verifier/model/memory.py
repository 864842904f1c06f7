"""Sections 5 and 6 of docs/rules.md: what is remembered of events seen and of steps told, as plain dicts."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from verifier.model.opening import Event

MINUTE_MS, DAY_MS = 60_000, 86_400_000
SEEN_MS = 2 * DAY_MS + 10 * MINUTE_MS
TOLD_MS = 21 * DAY_MS
MOST_ENTRIES = 32_768

PAYMENT_RANK = {"PENDING": 1, "POSTED": 2, "REVERSED": 3}
SHIPMENT_RANK = {
    "PRE_TRANSIT": 1,
    "IN_TRANSIT": 2,
    "OUT_FOR_DELIVERY": 3,
    "AVAILABLE_FOR_PICKUP": 4,
    "ATTEMPT_FAILED": 5,
    "EXCEPTION": 6,
    "DELIVERED": 7,
    "RETURNING": 8,
    "RETURNED": 9,
    "LOST": 10,
    "CANCELLED": 11,
    "EXPIRED": 12,
}


class Step(NamedTuple):
    """A step of a lifecycle that a holder was told of."""

    fields: dict[str, Any]
    decided_at: int
    until: int


class Seen:
    """The events seen, by subject; an entry ends `SEEN_MS` after its event's time."""

    def __init__(self) -> None:
        self._entries: dict[bytes, dict[tuple[str, str], int]] = {}

    def has(self, topic: str, subject: bytes, event_id: str, now: int) -> bool:
        """Whether an event of this id was seen in the topic."""
        return self._entries.get(subject, {}).get((topic, event_id), now) > now

    def add(self, topic: str, subject: bytes, event: Event, now: int) -> bool:
        """Remember an event; False when there is no room for it."""
        entries = self._entries.setdefault(subject, {})
        if len(entries) >= MOST_ENTRIES:
            entries = self._entries[subject] = {name: until for name, until in entries.items() if until > now}
            if len(entries) >= MOST_ENTRIES:
                return False
        entries[topic, event.fields["event_id"]] = event.time + SEEN_MS
        return True

    def forget(self, subject: bytes) -> None:
        """Forget all of a subject."""
        self._entries.pop(subject, None)


class Told:
    """The last step told, by subject, then by holder and lifecycle."""

    def __init__(self) -> None:
        self._steps: dict[bytes, dict[tuple[str, str, str], Step]] = {}
        self._revisions: dict[bytes, dict[tuple[str, ...], int]] = {}

    def forget(self, subject: bytes) -> None:
        """Forget all of a subject."""
        self._steps.pop(subject, None)
        self._revisions.pop(subject, None)

    def verdict(self, subject: bytes, holder: str, event: Event, now: int) -> tuple[str, str] | None:
        """("told", "DUPLICATE") or ("unchanged", "UNCHANGED"); None when the event goes on."""
        name = lifecycle(event)
        if name is None:
            return None
        step = self._step(subject, holder, name, now)
        verdict = self._news(event, step, now)
        if verdict is None and event.schema != "account_balance":
            revision = (holder, *name, *self._revision(subject, holder, event, now))
            if self._revisions.get(subject, {}).get(revision, 0) > now:
                return _TOLD
        return verdict

    def _news(self, event: Event, step: Step | None, now: int) -> tuple[str, str] | None:
        match event.schema:
            case "bank_transaction" if event.fields["status"] == "DECLINED":
                return _declined(event.fields, step)
            case "bank_transaction":
                return _payment(event.fields, step)
            case "shipment_update":
                return _shipment(event.fields, step, now)
            case _:
                is_older = step is not None and event.time < step.fields["as_of"]
                return _UNCHANGED if is_older else None

    def is_new_eta(self, subject: bytes, holder: str, event: Event, now: int) -> bool:
        """Whether a shipment's event that goes on does so as a new ETA."""
        name = lifecycle(event)
        step = self._step(subject, holder, name, now) if name else None
        is_same = step is not None and step.fields["status"] == event.fields["status"]
        return is_same and _is_new_eta(event.fields, step, now)

    def add(self, subject: bytes, holder: str, event: Event, now: int) -> None:
        """Remember a step that was told."""
        name = lifecycle(event)
        if name:
            if event.schema != "account_balance":
                revision = (holder, *name, *self._revision(subject, holder, event, now))
                self._revisions.setdefault(subject, {})[revision] = event.time + TOLD_MS
            self._steps.setdefault(subject, {})[holder, *name] = Step(event.fields, now, event.time + TOLD_MS)

    def _revision(self, subject: bytes, holder: str, event: Event, now: int) -> tuple[str, ...]:
        """The parts of section 7 that name what is told of a transaction or shipment."""
        if event.schema == "bank_transaction":
            return str(event.fields["status"]), str(event.fields["amount_minor"])
        if self.is_new_eta(subject, holder, event, now):
            return str(event.fields["status"]), utc_date(event.fields["eta_at"])
        return str(event.fields["status"]), str(event.fields["status_at"])

    def _step(self, subject: bytes, holder: str, name: tuple[str, str], now: int) -> Step | None:
        step = self._steps.get(subject, {}).get((holder, *name))
        return step if step and step.until > now else None


def lifecycle(event: Event) -> tuple[str, str] | None:
    """The sort of lifecycle and its name within the subject; None where there is none."""
    match event.schema:
        case "bank_transaction":
            sort = "declined" if event.fields["status"] == "DECLINED" else "payment"
            return (sort, event.fields["lifecycle_id"]) if event.fields["lifecycle_id"] else None
        case "shipment_update":
            return "shipment", event.fields["shipment_id"]
        case "account_balance":
            return "balance", ""
        case _:
            return None


_UNCHANGED = ("unchanged", "UNCHANGED")
_TOLD = ("told", "DUPLICATE")


def _payment(new: dict[str, Any], step: Step | None) -> tuple[str, str] | None:
    if step is None:
        return _UNCHANGED if new["status"] == "REVERSED" else None
    old = step.fields
    if (new["status"], new["amount_minor"]) == (old["status"], old["amount_minor"]):
        return _TOLD
    if PAYMENT_RANK[new["status"]] < PAYMENT_RANK[old["status"]]:
        return _UNCHANGED
    if new["status"] == "REVERSED" and old["status"] != "REVERSED":
        return None
    is_apart = abs(new["amount_minor"] - old["amount_minor"]) * 100 > 5 * abs(old["amount_minor"])
    return None if is_apart else _UNCHANGED


def _declined(new: dict[str, Any], step: Step | None) -> tuple[str, str] | None:
    return _TOLD if step and step.fields["amount_minor"] == new["amount_minor"] else None


def _shipment(new: dict[str, Any], step: Step | None, now: int) -> tuple[str, str] | None:
    if new["status"] == "UNKNOWN":
        return _UNCHANGED
    if step is None:
        return None
    old, is_new_eta = step.fields, _is_new_eta(new, step, now)
    is_same = new["status"] == old["status"]
    if is_same and new["status_at"] == old["status_at"] and not is_new_eta:
        return _TOLD
    if new["correction_of"] is None:
        places = [(one["status_at"], SHIPMENT_RANK[one["status"]]) for one in (new, old)]
        if places[0] < places[1]:
            return _UNCHANGED
        if old["status"] == "DELIVERED" and new["status"] not in ("RETURNING", "RETURNED", "DELIVERED"):
            return _UNCHANGED
    return None if not is_same or is_new_eta else _UNCHANGED


def _is_new_eta(new: dict[str, Any], step: Step | None, now: int) -> bool:
    if step is None or new["eta_at"] is None or step.fields["eta_at"] is None:
        return False
    return utc_date(new["eta_at"]) != utc_date(step.fields["eta_at"]) and utc_date(
        step.decided_at
    ) != utc_date(now)


def utc_date(at_ms: int) -> str:
    """The date of a time in UTC, as YYYY-MM-DD."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).date().isoformat()
