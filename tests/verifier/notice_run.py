"""A run of 34 days with one partition and no events, made by hand: who is told that their consent ends.

Fields, identities and pseudonyms are written down here anew: nothing of them is the model's. The worker made
a pass every hour, and was down from the 13th to the 20th day.
"""

import hashlib
import hmac
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

from tests.model.values import consent, request
from tests.verifier.test_conservation import encoded, sealed
from tests.verifier.test_invariants import kept
from verifier.avro import load_schema
from verifier.conservation import Conservation
from verifier.evidence import EVENT_TOPICS, REQUESTS, Batch, Evidence, Log, Position, Told
from verifier.invariant import Invariant, merged
from verifier.invariants import Standing, check
from verifier.model.consents import Consents
from verifier.permission import permissions
from verifier.recording import Marker, Recording, Request, Sent

START = 1_764_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
END = START + 34 * DAY
DOWN = range(START + 13 * DAY, START + 20 * DAY)
NAMESPACE = uuid.UUID("1b5eb6ff-3e37-4091-bfeb-9304ea67c482")
FIELDS = {field["name"]: field for field in load_schema("notification")["fields"]}
STATUSES = FIELDS["status"]["type"][1]["symbols"]
IDS = ("event_id", "holder", "reason", "kind", "consent_id", "consent_version", "notification_id", "subject")

JOINT, REVOKED, SUSPENDED, LATE, LATER = (f"bank:account-000{number}" for number in range(1, 6))
SUBJECTS = {"anna": JOINT, "ben": JOINT, "cora": REVOKED, "dora": SUSPENDED} | dict.fromkeys(
    ("evelyn", "gil", "hal"), LATE
)
SUBJECTS["ida"] = LATER
VALID_UNTIL = {
    "anna": START + 40 * DAY,
    "ben": START + 12 * DAY,
    "cora": START + 40 * DAY,
    "dora": START + 12 * DAY,
    "evelyn": START + 24 * DAY,
    "gil": START + 20 * DAY + 12 * HOUR,
    "hal": START + 14 * DAY + 6 * HOUR,
    "ida": START + 40 * DAY,  # but not before the 15th day
}
TOLD = [
    (START + 5 * DAY, "ben", 7),
    (START + 7 * DAY + 6 * HOUR, "hal", 7),
    (START + 10 * DAY, "anna", 30),
    (START + 11 * DAY, "ben", 1),
    (DOWN.stop, "evelyn", 7),  # due three days before
    (DOWN.stop, "gil", 1),  # of whom 7 days were due as well
    (START + 23 * DAY, "evelyn", 1),
    (START + 33 * DAY, "anna", 7),
    (START + 33 * DAY, "ida", 7),
]


def grant(user: str, action: str = "GRANT", until: int | None = None, expected: int | None = None) -> bytes:
    """Return a request for the consent that VALID_UNTIL has, or for one until another time."""
    given = consent(until or VALID_UNTIL[user], consent_id=f"c-{user}", purposes=["SECURITY", "RECEIPT"])
    given["effective_at"] = START + 15 * DAY if user == "ida" else 0
    return request(SUBJECTS[user], action, user, consent=given, expected_version=expected)


class NoticeRun:
    """What topics hold; tests change it before they check it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        for user in VALID_UNTIL:
            self.ask(START, SUBJECTS[user], grant(user))
        self.ask(START + 3 * DAY, SUSPENDED, b"unreadable")
        self.ask(START + 5 * DAY, REVOKED, request(REVOKED, "REVOKE", "cora"))
        self.ask(START + 8 * DAY, JOINT, grant("anna", expected=7))  # refused
        self.batches: list[dict[str, Any]] = []
        self.sent: list[Sent] = []
        for at, user, days in TOLD:
            self.tell(at, user, days)
        passes = (at for at in range(START + MINUTE, END, HOUR) if at not in DOWN)
        self.markers = [Marker(at, at) for at in passes]

    def ask(self, at: int, subject: str, value: bytes) -> None:
        """Append a request, in the order of time."""
        self.requests.append(Request(len(self.requests), subject.encode(), value, at))

    def tell(self, at: int, user: str, days: int, *, version: int = 1) -> None:
        """Tell somebody of their consent in a pass at a time, in a new one if there is none."""
        value = notification(at, user, days, version)
        folded = [one for one in self.requests if one.appended <= at]
        offset = max(one.offset for one in folded if one.key == SUBJECTS[user].encode())
        batch = next((one for one in self.batches if one["decided_at"] == at), None)
        if batch is None:
            batch = empty_batch(at, len(folded))
            self.batches.append(batch)
        batch["decisions"].append(row(value, user, offset))
        headers = {
            "ce_id": value["notification_id"].encode(),
            "notifier.source": f"{REQUESTS}/0/{offset}".encode(),
            "notifier.consent": str(len(folded)).encode(),
        }
        self.sent.append(Sent(0, 0, user, value, headers, b"", at + 5))

    def untell(self, user: str, days: int) -> None:
        """Take a notice out of the run as if it had never been."""
        for number, one in enumerate(self.sent):
            if (one.key, one.value["source_event_id"][-len(f"P{days}D") :]) == (user, f"P{days}D"):
                del self.sent[number]
                self.batches = [batch for batch in self.batches if self._is_left(batch, one)]
                return
        raise AssertionError(f"{user} is not told of {days} days")

    def _is_left(self, batch: dict[str, Any], gone: Sent) -> bool:
        rows = batch["decisions"]
        rows[:] = [row for row in rows if row["notification_id"] != gone.value["notification_id"]]
        return bool(rows)

    def of(self, user: str, days: int) -> int:
        """Return which notice that is."""
        name = f"c-{user}/1/P{days}D"
        return next(at for at, one in enumerate(self.sent) if one.value["source_event_id"] == name)

    def change(self, user: str, days: int, **fields: Any) -> None:
        """Change fields of what is told; the decision stays."""
        number = self.of(user, days)
        one = self.sent[number]
        self.sent[number] = one._replace(value={**one.value, **fields})

    def row_of(self, user: str, days: int) -> dict[str, Any]:
        """Return the decision of a notice."""
        name = self.sent[self.of(user, days)].value["notification_id"]
        return next(row for row in self._rows() if row["notification_id"] == name)

    def _rows(self) -> Iterator[dict[str, Any]]:
        return (row for batch in self.batches for row in batch["decisions"])

    def check(self, *, is_exactly_once: bool = True, interval_s: float = 3_600) -> dict[str, Invariant]:
        """Return what the checker says, by invariant."""
        found = self._recording()
        report = Conservation(self.evidence(is_exactly_once), is_exactly_once=is_exactly_once).run()
        standing = Standing({(REQUESTS, 0): len(self.requests)}, {(REQUESTS, 0): (9, 9)})
        said = check(
            found, report, standing, None, is_exactly_once=is_exactly_once, reminder_interval_s=interval_s
        )
        if not is_exactly_once:
            said = merged([*said, *permissions(found)])
        return {one.name: one for one in said}

    def _recording(self) -> Recording:
        found = Recording(1, {(topic, 0): [] for topic in EVENT_TOPICS}, {0: self.requests})
        found.batches[0] = sorted(self.batches, key=lambda batch: batch["decided_at"])
        found.sent = self._in_order()
        found.markers[0] = self.markers
        found.states[0] = kept(Consents(0, 1), self.requests)
        found.salts = {subject.encode(): [(-1, salt_of(subject))] for subject in SUBJECTS.values()}
        return found

    def _in_order(self) -> list[Sent]:
        sent = sorted(self.sent, key=lambda one: one.appended)
        return [one._replace(offset=number) for number, one in enumerate(sent)]

    def evidence(self, is_exactly_once: bool) -> Evidence:
        """Return the same for the check of conservation, with a chain where one is kept."""
        batches, previous = [], ""
        for value in sorted(self.batches, key=lambda batch: batch["decided_at"]):
            if is_exactly_once:
                batches.append(sealed({**value, "previous_hash": previous}))
                previous = batches[-1].value["hash"]
            else:
                position = Position("notifier.decisions", 0, value["decided_at"])
                batches.append(Batch(position, encoded(value), value))
        told = [
            Told(
                Position("messenger-delivery", 0, one.offset),
                one.key,
                one.value["notification_id"],
                one.value["recipient"],
                one.value["kind"],
                Position(*one.source),
                one.value["decided_at"],
            )
            for one in self._in_order()
        ]
        return Evidence(batches, logs={(topic, 0): Log(0, []) for topic in EVENT_TOPICS}, told=told)


def empty_batch(at: int, folded: int) -> dict[str, Any]:
    return {
        "partition": 0,
        "inputs": [],
        "consent_next_offset": folded,
        "decided_at": at,
        "policy_version": "1",
        "counts": [],
        "no_consent_runs": [],
        "decisions": [],
        "previous_hash": "",
        "hash": "",
    }


def notification(at: int, user: str, days: int, version: int = 1) -> dict[str, Any]:
    until, period = VALID_UNTIL[user], f"P{days}D"
    event_id = f"c-{user}/{version}/{period}"
    identity = f"{user}\x1f{SUBJECTS[user]}\x1fSERVICE\x1f{event_id}\x1f{period}"
    return {
        **dict.fromkeys(FIELDS),
        "notification_id": str(uuid.uuid5(NAMESPACE, identity)),
        "recipient": user,
        "channel_ref": "psid-1",
        "kind": "SERVICE",
        "purpose": "RECEIPT",
        "template_key": "service.consent_expires",
        "detail_level": "ACTIVITY_ONLY",
        "locale": "en",
        "timezone": "Europe/Prague",
        "priority": 2,
        "push": "REGULAR",
        "occurred_at": until - days * DAY,
        "decided_at": at,
        "not_before": until - days * DAY,
        "not_after": until,
        "source_event_id": event_id,
        "subject_label": f"bank …{SUBJECTS[user][-4:]}",
        "consent_id": f"c-{user}",
        "consent_version": version,
        "status": period if period in STATUSES else None,
    }


def row(told: dict[str, Any], user: str, offset: int) -> dict[str, Any]:
    subject = SUBJECTS[user]
    return {
        "topic": REQUESTS,
        "offset": offset,
        "event_id": told["source_event_id"],
        "holder": pseudonym(subject, "u" + user),
        "outcome": "NOTIFY",
        "reason": None,
        "rule": "consent_expires",
        "kind": "SERVICE",
        "consent_id": told["consent_id"],
        "consent_version": told["consent_version"],
        "notification_id": told["notification_id"],
        "subject": pseudonym(subject, "s" + subject),
    }


def salt_of(subject: str) -> bytes:
    return hashlib.sha256(subject.encode()).digest()[:16]


def pseudonym(subject: str, name: str) -> str:
    digest = hmac.new(salt_of(subject), name.encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")
