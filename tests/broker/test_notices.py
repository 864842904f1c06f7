"""Notices that a consent is about to end, as days pass between the starts of a worker: each told once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import Cluster, cluster, eventually
from tests.harness.messages import (
    Position,
    Record,
    batches,
    consent,
    has_reminded,
    marks,
    notifications,
    now_ms,
    request,
    sent,
)
from tests.harness.worker import Worker, notifier
from verifier.model.partitions import partition_of

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

DAY = 86_400_000
NAMES = [
    name for name in (f"notice:{number:06d}" for number in range(60)) if not partition_of(name.encode(), 4)
]
LONG, WITHDRAWN, SHORT, LATE, STRANGER = NAMES[:5]
VALID_DAYS = {LONG: 40, WITHDRAWN: 40, SHORT: 5, LATE: 60}


class Desk:
    """A cluster in which days pass: `at_day` runs a worker whose clock is so many days ahead."""

    def __init__(self, at: Cluster, home: Path) -> None:
        self.at = at
        self._home = home
        self._starts = 0

    def ask(self, subject: str, action: str, **fields: Any) -> Position:
        """Append a consent request, and return where it stands."""
        record = Record("consent.requests", subject, request(subject, action, "anna", **fields))
        return sent(self.at.producer(), [record])[0]

    def at_day(self, day: float, failpoints: str = "") -> None:
        """Run a worker until its pass over the consents is over, and its mark in the log."""
        self._starts += 1
        offset_ms, kernel = round(day * DAY), "interpreted" if self._starts % 2 else "auto"
        began = now_ms() + offset_ms
        with Worker(
            self.at.bootstrap,
            self._home / f"day-{day}.log",
            clock_offset_ms=str(offset_ms),
            kernel=kernel,
            failpoints=failpoints,
        ) as worker:
            worker.wait_ready()
            eventually("the pass is over", lambda: has_reminded(self.at, STRANGER, began))
            assert worker.terminate() == 0

    def told(self) -> list[tuple[str, str]]:
        """Return what was told of which consent, in order."""
        ids = [one["source_event_id"].split("/") for one in notifications(self.at)]
        return [(consent_id, revision) for consent_id, _, revision in ids]

    def run(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json and return what it says."""
        done = notifier(*arguments, "--json", "--kafka", self.at.bootstrap)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Give a desk at which all consents were given, and a year has not passed yet."""
    home = tmp_path_factory.mktemp("notices")
    with cluster(home / "kafka") as running:
        desk = Desk(running, home)
        for subject, days in VALID_DAYS.items():
            given = consent(consent_id=subject, valid_until=now_ms() + days * DAY)
            desk.ask(subject, "GRANT", consent=given)
        desk.at_day(0)
        yield desk


def test_each_notice_comes_once_when_its_day_has_come(desk: Desk) -> None:
    assert desk.told() == []
    desk.at_day(4.5)
    assert desk.told() == [(SHORT, "P1D")]
    desk.ask(WITHDRAWN, "REVOKE")
    desk.at_day(11, failpoints="consent_read:delay_ms=700")
    expected = [(SHORT, "P1D"), (LONG, "P30D")]
    assert desk.told() == expected
    desk.at_day(11)
    assert desk.told() == expected
    desk.at_day(34)
    assert set(desk.told()) == {*expected, (LONG, "P7D"), (LATE, "P30D")}
    desk.at_day(39.5)
    desk.at_day(59.5)  # nobody ran on the day of P7D
    told = desk.told()
    assert set(told) == {*expected, (LONG, "P7D"), (LATE, "P30D"), (LONG, "P1D"), (LATE, "P1D")}
    assert len(told) == len(set(told))
    found = [mark for mark in marks(desk.at, 0) if mark is not None]
    assert found == sorted(found)


def test_a_notice_is_a_decision_without_a_record_in_the_chain(desk: Desk) -> None:
    notices = [
        batch
        for batch in batches(desk.at)
        if any(row["rule"] == "consent_expires" for row in batch["decisions"])
    ]
    assert notices
    for batch in notices:
        assert batch["inputs"] == batch["counts"] == batch["no_consent_runs"] == []
        assert {row["outcome"] for row in batch["decisions"]} == {"NOTIFY"}
        assert batch["hash"]
    ours = [batch for batch in batches(desk.at) if batch["partition"] == 0]
    assert [batch["previous_hash"] for batch in ours] == ["", *(batch["hash"] for batch in ours[:-1])]
    rows = {row["notification_id"]: row for batch in notices for row in batch["decisions"]}
    told = notifications(desk.at)
    assert {one["notification_id"] for one in told} == rows.keys()
    for one in told:
        row = rows[one["notification_id"]]
        assert one["headers"]["notifier.source"] == f"consent.requests/0/{row['offset']}"
        assert (one["key"], one["kind"], row["kind"]) == ("anna", "SERVICE", "SERVICE")


def test_a_notice_is_explained_by_its_id_its_request_and_its_subject(desk: Desk) -> None:
    [by_id] = desk.run("explain", f"{LONG}/1/P30D")
    assert (by_id["outcome"], by_id["subject"]) == ("notified", LONG)
    assert by_id["explanation"] == "Somebody was told that a consent is about to end"
    [holder] = by_id["holders"]
    assert (holder["holder"], holder["meaning"]) == ("anna", "30 days before the consent ends")
    by_request = desk.run("explain", by_id["position"])
    assert [one["event_id"] for one in by_request] == [f"{LONG}/1/P{days}D" for days in (30, 7, 1)]
    assert by_id in by_request
    assert desk.run("explain", "--subject", LONG, "--until", "2100-01-01") == by_request
    [nothing] = desk.run("explain", "consent.requests/0/1", code=1)
    assert nothing["outcome"] == "unknown"


def test_a_replay_makes_the_same_bytes_again(desk: Desk) -> None:
    made = desk.run("replay", "--to", "2100-01-01", "--dry-run")
    assert made["notifications"] == len(desk.told()) > 0
    assert (made["digest"], made["missing"], made["other"]) == (made["delivered"], 0, 0)


def test_an_export_has_what_was_told_of_the_end(desk: Desk) -> None:
    exported = desk.run("consent", "export", LONG, "--user", "anna")
    sent_ids = [one["source_event_id"] for one in exported["sent"]]
    assert sorted(sent_ids) == sorted(f"{LONG}/1/P{days}D" for days in (30, 7, 1))


def test_the_independent_checker_decides_the_same(desk: Desk) -> None:
    found = desk.run("verify")
    assert not [one for one in found.values() if one["violations"]]
    assert found["I4"]["checked"] >= len(desk.told())
