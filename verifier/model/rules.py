"""Sections 1 and 4 of docs/rules.md: one record after the other, every rule in the order of the page."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from verifier.model.consents import Answer, Consents, Subject, Terms, Version, chain, terms
from verifier.model.memory import Seen, Told
from verifier.model.notice import MAX_AGE_MS, PURPOSES_OF, kind_of, notification
from verifier.model.opening import Event, Rejected, opened
from verifier.model.partitions import is_of_partition

LARGEST_VALUE_BYTES = 1_048_576
FATES = ("REJECT", "DUPLICATE", "NOTIFY", "DIGEST", "DEFER", "SUPPRESS")
TOPIC_PURPOSES = {
    "bank.transactions": {"RECEIPT", "SECURITY"},
    "bank.balances": {"BALANCE"},
    "bank.security": {"SECURITY"},
    "shipping.events": {"SHIPPING"},
}


class Record(NamedTuple):
    """A record of an event topic, as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Row:
    """What became of a record for one holder, or of the record where no holder was asked."""

    outcome: str
    rule: str
    reason: str | None = None
    holder: str | None = None
    event_id: str | None = None
    kind: str | None = None
    consent_id: str | None = None
    consent_version: int | None = None
    notification: dict[str, Any] | None = None


class Model:
    """Decides the records of one partition number, one at a time, in the order they were decided."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.consents = Consents(partition, partitions)
        self._partition, self._partitions = partition, partitions
        self._seen, self._told = Seen(), Told()

    def fold(
        self, key: bytes | None, value: bytes | None, appended: int, offset: int | None = None
    ) -> Answer | None:
        """Apply one consent request; a subject that it deletes takes everything remembered of it along."""
        before = None if key is None else self.consents.find(key)
        had_holders = before is not None and bool(before.holders)
        answer = self.consents.apply(key, value, appended, offset)
        after = None if key is None else self.consents.find(key)
        is_gone = after is None or (had_holders and not after.holders)
        if key is not None and before is not None and is_gone:
            self._seen.forget(key)
            self._told.forget(key)
        return answer

    def decide(self, record: Record, now: int) -> list[Row]:
        """The rows of one record, at least one; what must be remembered is."""
        topic, _, _, key, value = record
        if not key:
            return [Row("REJECT", "no_key", "NO_KEY")]
        if value is not None and len(value) > LARGEST_VALUE_BYTES:
            return [Row("REJECT", "too_large", "TOO_LARGE")]
        subject = self.consents.find(key)
        if subject is None and not is_of_partition(key, self._partition, self._partitions):
            return [Row("REJECT", "misrouted", "MISROUTED")]
        if subject is None:
            return [Row("SUPPRESS", "no_consent", "NO_CONSENT")]
        if subject.is_suspended:
            return [Row("SUPPRESS", "unreadable", "CONSENT_UNREADABLE")]
        closed = self._closed(topic, subject, now)
        if closed:
            return closed
        event = opened(topic, key, value, now)
        if isinstance(event, Rejected):
            kind = kind_of(event.event) if event.event else None
            return [Row("REJECT", event.rule, event.reason, event_id=event.event_id, kind=kind)]
        if self._seen.has(topic, key, event.fields["event_id"], now):
            return [Row("DUPLICATE", "seen", event_id=event.fields["event_id"], kind=kind_of(event))]
        is_stale = event.time < now - MAX_AGE_MS[kind_of(event)]
        has_room = is_stale or self._seen.add(topic, key, event, now)
        return [
            self._holder(key, user, subject.holders[user], event, now, has_room=has_room)
            for user in sorted(subject.holders)
        ]

    def allowed(self, record: Record, user: str, now: int) -> tuple[str | None, list[dict[str, Any]]]:
        """What a holder may be told of a record by their consent alone, whatever was told before.

        The rule that forbids it and nothing, or no rule and the notification's two forms: as the first of its
        parcel, and with a new day of arrival.
        """
        topic, _, _, key, value = record
        subject = self.consents.find(key) if key else None
        if key is None or subject is None or subject.is_suspended or user not in subject.holders:
            return "no_consent", []
        if self._closed(topic, subject, now):
            return "gate", []
        event = opened(topic, key, value, now)
        if isinstance(event, Rejected):
            return event.rule, []
        versions = subject.holders[user]
        standing = chain(versions, min(event.time, now))
        refused = self._first(versions, standing, event, now)
        if refused:
            return refused[0], []
        return None, [
            notification(user, event, versions[-1], terms(standing), now, is_new_eta=is_new)
            for is_new in (False, True)
        ]

    def _closed(self, topic: str, subject: Subject, now: int) -> list[Row]:
        rows = []
        for user in sorted(subject.holders):
            reason = gate(topic, subject.holders[user], now)
            if reason is None:
                return []
            last = subject.holders[user][-1]
            rows.append(
                Row("SUPPRESS", "gate", reason, user, None, None, last["consent_id"], last["version"])
            )
        return rows

    def _holder(
        self, key: bytes, user: str, versions: list[Version], event: Event, now: int, *, has_room: bool
    ) -> Row:
        last, kind = versions[-1], kind_of(event)
        asked = {
            "holder": user,
            "event_id": event.fields["event_id"],
            "kind": kind,
            "consent_id": last["consent_id"],
            "consent_version": last["version"],
        }
        standing = chain(versions, min(event.time, now))
        refused = self._first(versions, standing, event, now)
        if refused:
            return Row("SUPPRESS", *refused, **asked)
        verdict = self._told.verdict(key, user, event, now)
        if verdict == ("told", "DUPLICATE"):
            return Row("DUPLICATE", "told", **asked)
        if verdict:
            return Row("SUPPRESS", *verdict, **asked)
        if not has_room:
            return Row("SUPPRESS", "state_limit", "STATE_LIMIT", **asked)
        is_new_eta = event.schema == "shipment_update" and self._told.is_new_eta(key, user, event, now)
        told = notification(user, event, last, terms(standing), now, is_new_eta=is_new_eta)
        self._told.add(key, user, event, now)
        return Row("NOTIFY", "notify", **asked, notification=told)

    def _first(
        self, versions: list[Version], standing: list[Version], event: Event, now: int
    ) -> tuple[str, str] | None:
        last, kind = versions[-1], kind_of(event)
        if last["revoked_at"] is not None:
            return "revoked", "REVOKED"
        if now >= last["valid_until"]:
            return "expired", "EXPIRED"
        if not standing:
            return "not_effective", "NOT_EFFECTIVE"
        allowed = terms(standing)
        if now >= allowed.valid_until:
            return "expired_earlier", "EXPIRED"
        if not allowed.purposes & set(PURPOSES_OF[kind]):
            return "purpose", "PURPOSE"
        if event.time < now - MAX_AGE_MS[kind]:
            return "stale", "STALE"
        if event.schema == "bank_transaction":
            return _payment(event.fields, allowed)
        return _balance(event.fields, allowed) if event.schema == "account_balance" else None


def gate(topic: str, versions: list[Version], now: int) -> str | None:
    """Why a holder is closed without opening the value; None when open."""
    last = versions[-1]
    if last["revoked_at"] is not None:
        return "REVOKED"
    if now >= last["valid_until"]:
        return "EXPIRED"
    if not any(one["effective_at"] <= now for one in versions):
        return "NOT_EFFECTIVE"
    return None if TOPIC_PURPOSES[topic] & set(last["purposes"]) else "PURPOSE"


def _payment(fields: dict[str, Any], allowed: Terms) -> tuple[str, str] | None:
    amount = fields["amount_minor"]
    if fields["status"] == "REMOVED":
        return "removed", "REMOVED"
    if allowed.directions != {"IN", "OUT"}:
        sign = "IN" if amount > 0 else "OUT" if amount < 0 else None
        if sign not in allowed.directions:
            return "direction", "DIRECTION"
    if allowed.minimum is None or fields["status"] == "DECLINED":
        return None
    if not allowed.minimum.is_for(fields["currency"]):
        return "currency", "CURRENCY_NO_RULE"
    return ("minimum", "BELOW_MINIMUM") if abs(amount) < allowed.minimum.minor else None


def _balance(fields: dict[str, Any], allowed: Terms) -> tuple[str, str] | None:
    if allowed.low_balance is None:
        return None
    if not allowed.low_balance.is_for(fields["currency"]):
        return "currency", "CURRENCY_NO_RULE"
    return ("minimum", "BELOW_MINIMUM") if fields["booked_minor"] >= allowed.low_balance.minor else None


def fate(rows: list[Row]) -> Row:
    """The row that is the record's fate."""
    return next(row for one in FATES for row in rows if row.outcome == one)
