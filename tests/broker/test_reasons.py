"""Every reason that can occur now, reached through the broker; neighbours unaffected; nothing leaks.

One story: grants, a pause, then all records in one go, the bad ones between good ones of their partition.
"""

import re
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.cluster import Cluster, cluster, eventually
from tests.harness.messages import (
    Position,
    Record,
    acknowledged,
    alert,
    consent,
    conserved,
    fates,
    headers_of,
    notifications,
    now_ms,
    request,
    sent,
    shipment,
    transaction,
)
from tests.harness.worker import Worker

BANK, SECURITY, SHIPPING = "bank.transactions", "bank.security", "shipping.events"
pytestmark = pytest.mark.timeout(240)
CANARY = "CANARYVALUE"
EXPIRES_IN_MS = 6_000
ALERT_MAX_AGE_S = 1
VALUE_LIMIT = 1_048_576
SEEN_LIMIT = 32_768
NEIGHBOURS = 32


def secret(subject: str, event_id: str, **fields: Any) -> bytes:
    """Return a transaction whose every text is a canary."""
    texts = dict.fromkeys(("merchant_name", "category", "description", "order_ref"), f"{CANARY} text")
    return transaction(subject, event_id, **texts, **fields)


class Case(NamedTuple):
    """What a subject's last record meets, its consent requests before, and its records."""

    fate: str
    requests: Callable[[str], list[bytes | None]]
    records: Callable[[str], list[Record]]


def from_now(ms: int) -> Callable[[], int]:
    """Return a time that is taken when it is used."""
    return lambda: now_ms() + ms


def taken(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value() if callable(value) else value for name, value in fields.items()}


def granted(**fields: Any) -> Callable[[str], list[bytes | None]]:
    return lambda subject: [request(subject, "GRANT", consent=consent(**taken(fields)))]


def nothing(_: str) -> list[bytes | None]:
    return []


def prefers(**fields: Any) -> dict[str, Any]:
    return {"min_amount_minor": None, "currency": None, "low_balance_minor": None, **fields}


def one(**fields: Any) -> Callable[[str], list[Record]]:
    """Return a subject's only record: a transaction with these fields."""
    return lambda subject: [Record(BANK, subject, secret(subject, f"event-{subject}", **taken(fields)))]


def raw(value: Callable[[str], bytes | None], topic: str = BANK) -> Callable[[str], list[Record]]:
    return lambda subject: [Record(topic, subject, value(subject))]


def frame(schema_id: int, body: bytes) -> bytes:
    return b"\0" + struct.pack(">I", schema_id) + body


FULL = granted()
CASES: dict[str, Case] = {
    "no_consent": Case("SUPPRESS NO_CONSENT", nothing, one()),
    "no_consent_undecodable": Case(
        "SUPPRESS NO_CONSENT", nothing, raw(lambda _: f"{CANARY} garbage".encode())
    ),
    "no_consent_tombstone": Case("SUPPRESS NO_CONSENT", nothing, raw(lambda _: None)),
    "consent_unreadable": Case(
        "SUPPRESS CONSENT_UNREADABLE", lambda s: [*FULL(s), f"{CANARY} request".encode()], one()
    ),
    "consent_tombstone": Case("SUPPRESS CONSENT_UNREADABLE", lambda s: [*FULL(s), None], one()),
    "consent_of_another_subject": Case(
        "SUPPRESS CONSENT_UNREADABLE", lambda s: [*FULL(s), request("someone:else", "GRANT")], one()
    ),
    "suspended_undecodable": Case(
        "SUPPRESS CONSENT_UNREADABLE",
        lambda s: [*FULL(s), b"no request"],
        raw(lambda _: f"{CANARY} garbage".encode()),
    ),
    "not_effective": Case("SUPPRESS NOT_EFFECTIVE", FULL, one(occurred_at=from_now(-3_600_000))),
    "not_effective_yet": Case(
        "SUPPRESS NOT_EFFECTIVE", granted(effective_at=from_now(3_600_000)), one()
    ),
    "revoked": Case("SUPPRESS REVOKED", lambda s: [*FULL(s), request(s, "REVOKE")], one()),
    "revoked_for_all": Case("SUPPRESS REVOKED", lambda s: [*FULL(s), request(s, "REVOKE", None)], one()),
    "erased": Case("SUPPRESS NO_CONSENT", lambda s: [*FULL(s), request(s, "ERASE")], one()),
    "expired": Case(
        "SUPPRESS EXPIRED", granted(valid_until=from_now(EXPIRES_IN_MS)), one()
    ),
    "purpose": Case("SUPPRESS PURPOSE", granted(purposes=["SHIPPING"]), one()),
    "direction": Case("SUPPRESS DIRECTION", granted(direction="IN"), one(amount_minor=-1)),
    "below_minimum": Case(
        "SUPPRESS BELOW_MINIMUM",
        granted(preferences=prefers(min_amount_minor=1_000, currency="EUR")),
        one(amount_minor=-999),
    ),
    "at_minimum": Case(
        "NOTIFY",
        granted(preferences=prefers(min_amount_minor=1_000, currency="EUR")),
        one(amount_minor=-1_000),
    ),
    "currency": Case(
        "SUPPRESS CURRENCY_NO_RULE",
        granted(preferences=prefers(min_amount_minor=1, currency="EUR")),
        one(currency="USD"),
    ),
    "stale": Case(
        "SUPPRESS STALE",
        FULL,
        lambda s: [Record(SECURITY, s, alert(s, f"e-{s}", occurred_at=now_ms() - ALERT_MAX_AGE_S * 1_500))],
    ),
    "unchanged": Case(
        "SUPPRESS UNCHANGED",
        FULL,
        lambda s: [
            Record(BANK, s, secret(s, f"1-{s}", lifecycle_id="life", amount_minor=-1_000, status="PENDING")),
            Record(BANK, s, secret(s, f"2-{s}", lifecycle_id="life", amount_minor=-1_010)),
        ],
    ),
    "unknown_status_of_a_shipment": Case(
        "SUPPRESS UNCHANGED",
        FULL,
        lambda s: [Record(SHIPPING, s, shipment(s, f"e-{s}", status="UNKNOWN", description=CANARY))],
    ),
    "removed": Case("SUPPRESS REMOVED", FULL, one(status="REMOVED")),
    "no_key": Case("REJECT NO_KEY", nothing, lambda s: [Record(BANK, None, secret(s, f"e-{s}"))]),
    "empty_key": Case("REJECT NO_KEY", nothing, lambda s: [Record(BANK, b"", secret(s, f"e-{s}"))]),
    "subject_mismatch": Case(
        "REJECT SUBJECT_MISMATCH", FULL, lambda s: [Record(BANK, s, secret(f"{s}0", f"e-{s}"))]
    ),
    "undecodable": Case("REJECT UNDECODABLE", FULL, raw(lambda _: f"{CANARY} garbage".encode())),
    "empty_value": Case("REJECT UNDECODABLE", FULL, raw(lambda _: b"")),
    "truncated": Case("REJECT UNDECODABLE", FULL, raw(lambda s: secret(s, "e")[:-1])),
    "left_over": Case("REJECT UNDECODABLE", FULL, raw(lambda s: secret(s, "e") + b"\0")),
    "unknown_schema": Case(
        "REJECT UNKNOWN_SCHEMA", FULL, raw(lambda s: frame(4_711, secret(s, "e")[5:]))
    ),
    "schema_of_another_topic": Case("REJECT UNKNOWN_SCHEMA", FULL, raw(lambda s: alert(s, "e"))),
    "too_large": Case(
        "REJECT TOO_LARGE", FULL, raw(lambda _: CANARY.encode() + b"x" * VALUE_LIMIT)
    ),
    "too_large_without_consent": Case("REJECT TOO_LARGE", nothing, raw(lambda _: b"x" * (VALUE_LIMIT + 1))),
    "invalid": Case("REJECT INVALID", FULL, one(currency="eur")),
    "future": Case("REJECT FUTURE", FULL, one(occurred_at=from_now(600_000))),
    "tombstone": Case("REJECT TOMBSTONE", FULL, raw(lambda _: None)),
    "duplicate": Case(
        "DUPLICATE", FULL, lambda s: [Record(BANK, s, secret(s, "same")), Record(BANK, s, secret(s, "same"))]
    ),
    "same_revision": Case(
        "DUPLICATE",
        FULL,
        lambda s: [Record(BANK, s, secret(s, f"{number}-{s}", lifecycle_id="life")) for number in (1, 2)],
    ),
    "notified": Case("NOTIFY", FULL, one()),
}  # fmt: skip
FULL_MEMORY = "full_memory"
MISROUTED = ("misrouted_without_consent", "misrouted_with_consent")


class Told(NamedTuple):
    """What the story left behind."""

    at: Cluster
    places: dict[str, Position]
    neighbours: list[Position]
    met: dict[Position, list[str]]
    metrics: str
    ready: str
    log: Path


def subject_of(name: str) -> str:
    return f"{CANARY}-{name}:account-0001"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    home = tmp_path_factory.mktemp("reasons")
    log = home / "worker.log"
    with (
        cluster(home / "kafka") as at,
        Worker(at.bootstrap, log, max_age_security_s=str(ALERT_MAX_AGE_S)) as worker,
    ):
        worker.wait_ready()
        neighbours = [f"neighbour:{number:04d}" for number in range(NEIGHBOURS)]
        requests: list[tuple[str, bytes | None]] = [(name, request(name, "GRANT")) for name in neighbours]
        for name, case in CASES.items():
            requests += [(subject_of(name), value) for value in case.requests(subject_of(name))]
        requests.append((subject_of(MISROUTED[1]), request(subject_of(MISROUTED[1]), "GRANT")))
        limits = consent(preferences=prefers(min_amount_minor=1_000, currency="EUR"))
        requests.append((subject_of(FULL_MEMORY), request(subject_of(FULL_MEMORY), "GRANT", consent=limits)))
        acknowledged(at.producer(), "consent.requests", requests)
        granted_at = time.monotonic()
        eventually("requests are answered", lambda: len(at.read("consent.results")) == len(requests))
        time.sleep(max(0.0, EXPIRES_IN_MS / 1000 + 0.2 - (time.monotonic() - granted_at)))

        producer = at.producer(**{"message.max.bytes": 2 * VALUE_LIMIT, "linger.ms": 50})
        records, asked = _records(at, producer, neighbours)
        places = sent(producer, records)
        total = len(records) + len(MISROUTED)
        eventually(
            f"{total} records are decided", lambda: worker.metric("notifier_records_total") >= total, 120
        )
        ready, metrics = worker.get("/readyz")[1], worker.get("/metrics")[1]
        told = Told(
            at,
            {name: places[number] for number, name in asked.items() if name != "neighbour"},
            [places[number] for number, name in asked.items() if name == "neighbour"],
            fates(at),
            metrics,
            ready,
            log,
        )
        assert worker.terminate() == 0
        yield told


def _records(at: Cluster, producer: Any, neighbours: list[str]) -> tuple[list[Record], dict[int, str]]:
    """Return all records, good ones around each case, and by number whose fate is asked."""
    records: list[Record] = []
    asked: dict[int, str] = {}
    turn = 0

    def good() -> None:
        nonlocal turn
        for _ in range(at.partitions):
            turn += 1
            name = neighbours[turn % len(neighbours)]
            asked[len(records)] = "neighbour"
            records.append(Record(BANK, name, transaction(name, f"good-{turn}")))

    for name, case in CASES.items():
        good()
        records += case.records(subject_of(name))
        asked[len(records) - 1] = name
    homes = sent(producer, [Record(BANK, subject_of(name), None) for name in MISROUTED])
    for name, home in zip(MISROUTED, homes, strict=True):
        good()
        elsewhere = (home.partition + 1) % at.partitions
        asked[len(records)] = name
        records.append(Record(BANK, subject_of(name), secret(subject_of(name), "e"), elsewhere))
    good()
    full = subject_of(FULL_MEMORY)
    records += [
        Record(BANK, full, transaction(full, f"small-{number}", amount_minor=-1))
        for number in range(SEEN_LIMIT)
    ]
    asked[len(records)] = FULL_MEMORY
    records.append(Record(BANK, full, secret(full, "one-too-many", amount_minor=-5_000)))
    good()
    return records, asked


@pytest.mark.parametrize("name", CASES)
def test_record_meets_the_fate_of_its_rule(told: Told, name: str) -> None:
    assert told.met[told.places[name]] == [CASES[name].fate]


@pytest.mark.parametrize("name", MISROUTED)
def test_key_on_a_partition_that_is_not_its_own_is_misrouted(told: Told, name: str) -> None:
    assert told.met[told.places[name]] == ["REJECT MISROUTED"]


def test_event_that_cannot_be_remembered_is_not_told(told: Told) -> None:
    assert told.met[told.places[FULL_MEMORY]] == ["SUPPRESS STATE_LIMIT"]


def test_neighbours_of_bad_records_are_notified(told: Told) -> None:
    missed = [place for place in told.neighbours if told.met[place] != ["NOTIFY"]]
    assert not missed, f"{len(missed)} of {len(told.neighbours)}: {told.met[missed[0]]}"
    sources = {told_of["headers"]["notifier.source"] for told_of in notifications(told.at)}
    assert {f"{place.topic}/{place.partition}/{place.offset}" for place in told.neighbours} <= sources


def test_every_reject_has_one_dead_letter_with_headers_and_no_value(told: Told) -> None:
    rejected = {place: met[0].split()[1] for place, met in told.met.items() if met[0].startswith("REJECT")}
    letters: dict[Position, str] = {}
    for message in told.at.read("notifier.dead-letters"):
        assert message.value() is None
        headers = headers_of(message)
        place = Position(
            headers["__streams.errors.topic"],
            int(headers["__streams.errors.partition"]),
            int(headers["__streams.errors.offset"]),
        )
        assert headers["__streams.errors.exception"]
        assert headers["__streams.errors.message"]
        assert place not in letters
        letters[place] = headers["notifier.error.code"]
    assert letters == rejected


def test_worker_counts_what_the_topics_show(told: Told) -> None:
    counted: dict[str, int] = {}
    for labels, count in re.findall(r"^notifier_records_total\{(.*)\} (\S+)$", told.metrics, re.MULTILINE):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        name = label["fate"] if label["reason"] == "NONE" else f"{label['fate']} {label['reason']}"
        counted[name] = counted.get(name, 0) + int(float(count))
    shown: dict[str, int] = {}
    for met in told.met.values():
        shown[met[0]] = shown.get(met[0], 0) + 1
    assert {name: count for name, count in counted.items() if count} == shown


def test_checker_finds_everything_conserved(told: Told) -> None:
    report = conserved(told.at)
    assert not report["violations"], report["violations"][:5]


def test_no_value_and_no_subject_leaks_into_logs_metrics_headers_or_dead_letters(told: Told) -> None:
    assert CANARY not in told.log.read_text()
    assert CANARY not in told.metrics + told.ready
    for topic in ("messenger-delivery", "notifier.dead-letters", "notifier.decisions", "consent.results"):
        for message in told.at.read(topic):
            leaking = [name for name, value in headers_of(message).items() if CANARY in value]
            assert not leaking, f"{topic}: {leaking}"
    notified = {"NOTIFY"}
    silent = [place for place, met in told.met.items() if not notified & set(met)]
    assert len(silent) > len(CASES) / 2
    for message in told.at.read("notifier.decisions"):
        assert f"{CANARY} ".encode() not in (message.value() or b""), "a decision holds a text of its event"
