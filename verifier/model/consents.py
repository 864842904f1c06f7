"""Section 8 (the fold of consent requests) and section 3 (the terms) of docs/rules.md.

A holder is a list of versions, each the Consent of a request as a dict with `version`, `effective_at` and
`revoked_at` set by the fold.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from verifier.avro import BrokenValueError, Reader, load_schema, schema_ids, unframe
from verifier.model.partitions import is_of_partition

DAY_MS = 86_400_000
LARGEST_MAX_AGE_MS = 2 * DAY_MS
MOST_VERSIONS = MOST_HOLDERS = 8
OFFSETS_THAT_COUNT = 10_000
LONGEST_DAYS = {"default": 365, "eu": 180}
DETAIL = ("ACTIVITY_ONLY", "AMOUNT", "AMOUNT_MERCHANT", "FULL")

Version = dict[str, Any]

_REQUEST = Reader(load_schema("consent_request"))
_REQUEST_ID = schema_ids()["consent_request"]


@dataclass
class Subject:
    """What is known of one subject: its holders, and whether a request of it could not be read."""

    holders: dict[str, list[Version]] = field(default_factory=dict)
    is_suspended: bool = False


@dataclass(frozen=True)
class Answer:
    """The result of one request: None as reason when accepted."""

    reason: str | None
    version: int | None = None
    effective_at: int | None = None


class Consents:
    """The consents of one partition number: requests in, subjects out."""

    def __init__(self, partition: int, partitions: int, profile: str = "default") -> None:
        self._partition, self._partitions = partition, partitions
        self._longest_ms = LONGEST_DAYS[profile] * DAY_MS
        self._subjects: dict[bytes, Subject] = {}
        self._answered: dict[tuple[bytes, str], int] = {}
        self._offset = -1

    def find(self, key: bytes) -> Subject | None:
        """The subject, None when it is not in the store: no holder, and not suspended."""
        subject = self._subjects.get(key)
        return subject if subject and (subject.holders or subject.is_suspended) else None

    def subjects(self) -> Iterable[tuple[bytes, Subject]]:
        """Return every subject there ever was, by key."""
        return self._subjects.items()

    def apply(
        self, key: bytes | None, value: bytes | None, appended: int, offset: int | None = None
    ) -> Answer | None:
        """Fold one request; None when its key is null or empty. Without an offset it is the next one."""
        self._offset = self._offset + 1 if offset is None else offset
        if not key:
            return None
        if not is_of_partition(key, self._partition, self._partitions):
            return Answer("MISROUTED")
        subject = self._subjects.setdefault(key, Subject())
        request = _decoded(value)
        is_again = request is not None and self._is_again(key, request["request_id"])
        if request is None or request["action"] == "UNKNOWN":
            subject.is_suspended = True
            return Answer("UNREADABLE")
        if request["subject"].encode() != key:
            subject.is_suspended = True
            return Answer("SUBJECT_MISMATCH")
        if is_again and request["action"] in ("GRANT", "CHANGE"):
            return Answer("REPLAYED")
        subject.is_suspended = subject.is_suspended and is_again
        match request["action"]:
            case "REVOKE":
                return _revoke(subject, request["user_id"], appended)
            case "ERASE":
                return self._erase(key, subject, request["user_id"])
            case _:
                return self._grant(subject, request, appended)

    def _is_again(self, key: bytes, request_id: str) -> bool:
        """Tell whether the id is that of a request not long before, and note it."""
        before = self._answered.get((key, request_id))
        if request_id:
            self._answered[key, request_id] = self._offset
        return bool(request_id) and before is not None and self._offset - before <= OFFSETS_THAT_COUNT

    def _erase(self, key: bytes, subject: Subject, user: str | None) -> Answer:
        if user is None:
            subject.holders.clear()
        subject.holders.pop(user or "", None)
        if not subject.holders and not subject.is_suspended:
            del self._subjects[key]
        return Answer(None)

    def _grant(self, subject: Subject, request: dict[str, Any], appended: int) -> Answer:
        user, asked = request["user_id"] or "", request["consent"]
        effective = max(appended, asked["effective_at"]) if asked else appended
        versions = subject.holders.get(user, [])
        refusal = self._refusal(subject, request, effective)
        if refusal:
            return Answer(refusal)
        number = versions[-1]["version"] + 1 if versions else 1
        if versions and versions[-1]["revoked_at"] is not None:
            versions = []
        versions = [*versions, {**asked, "version": number, "effective_at": effective, "revoked_at": None}]
        oldest = appended - LARGEST_MAX_AGE_MS
        kept = [one for one, later in pairwise(versions) if later["effective_at"] >= oldest]
        subject.holders[user] = [*kept, versions[-1]][-MOST_VERSIONS:]
        return Answer(None, number, effective)

    def _refusal(self, subject: Subject, request: dict[str, Any], effective: int) -> str | None:
        user, asked = request["user_id"], request["consent"]
        if not user:
            return "NO_USER"
        if asked is None:
            return "NO_CONSENT_GIVEN"
        if not asked["purposes"] or "UNKNOWN" in asked["purposes"]:
            return "NO_PURPOSE"
        if not effective < asked["valid_until"] <= effective + self._longest_ms:
            return "VALIDITY"
        if _is_invalid(request["subject"], user, asked):
            return "INVALID"
        versions = subject.holders.get(user, [])
        current = versions[-1]["version"] if versions and versions[-1]["revoked_at"] is None else 0
        if request["action"] == "CHANGE" and current == 0:
            return "NOT_GRANTED"
        if request["expected_version"] not in (None, current):
            return "VERSION_CONFLICT"
        if user not in subject.holders and len(subject.holders) >= MOST_HOLDERS:
            return "TOO_MANY_HOLDERS"
        return None


def _decoded(value: bytes | None) -> dict[str, Any] | None:
    try:
        return _REQUEST.read(unframe(value or b"", (_REQUEST_ID,))[1])
    except BrokenValueError:
        return None


def _revoke(subject: Subject, user: str | None, appended: int) -> Answer:
    for one in subject.holders if user is None else [user]:
        if one in subject.holders:
            subject.holders[one] = [{**subject.holders[one][-1], "revoked_at": appended}]
    return Answer(None)


def _is_invalid(subject: str, user: str, asked: Version) -> bool:
    preferences = asked["preferences"]
    minimum, currency = preferences["min_amount_minor"], preferences["currency"]
    texts = (user, asked["consent_id"], asked["channel_ref"], subject)
    return (
        "UNKNOWN" in (asked["direction"], asked["detail_level"])
        or any(len(text) > 256 for text in texts)
        or any(len(asked[name]) > 128 for name in ("notice_id", "notice_hash", "locale", "timezone"))
        or (minimum is not None and minimum < 0)
        or (currency is not None and not is_currency(currency))
    )


def is_currency(text: str) -> bool:
    """Three letters A-Z."""
    return len(text) == 3 and all("A" <= letter <= "Z" for letter in text)


@dataclass(frozen=True)
class Threshold:
    """A threshold and the currencies it is meant in: None for any, empty for none."""

    minor: int
    currencies: frozenset[str] | None

    def is_for(self, currency: str) -> bool:
        """Whether the threshold compares with amounts of a currency."""
        return self.currencies is None or currency in self.currencies


@dataclass(frozen=True)
class Terms:
    """What a chain of versions allows together."""

    purposes: frozenset[str]
    directions: frozenset[str]
    detail: int
    valid_until: int
    minimum: Threshold | None
    low_balance: Threshold | None


def chain(versions: list[Version], at: int) -> list[Version]:
    """The last version effective at `at`, and every later one; empty when none was."""
    starts = [number for number, one in enumerate(versions) if one["effective_at"] <= at]
    return versions[starts[-1] :] if starts else []


def terms(versions: list[Version]) -> Terms:
    """The intersection of a chain that is not empty."""
    allowed = {"BOTH": {"IN", "OUT"}, "IN": {"IN"}, "OUT": {"OUT"}}
    return Terms(
        purposes=frozenset.intersection(*(frozenset(one["purposes"]) for one in versions)) - {"UNKNOWN"},
        directions=frozenset.intersection(
            *(frozenset(allowed.get(one["direction"], ())) for one in versions)
        ),
        detail=min(
            DETAIL.index(one["detail_level"]) if one["detail_level"] in DETAIL else 0 for one in versions
        ),
        valid_until=min(one["valid_until"] for one in versions),
        minimum=_threshold(versions, "min_amount_minor", max),
        low_balance=_threshold(versions, "low_balance_minor", min),
    )


def _threshold(versions: list[Version], name: str, strictest: Any) -> Threshold | None:
    given = [one["preferences"] for one in versions if one["preferences"][name] is not None]
    if not given:
        return None
    named = {one["currency"] for one in given if one["currency"] is not None}
    currencies = frozenset(named if len(named) == 1 else ()) if named else None
    return Threshold(strictest(one[name] for one in given), currencies)
