"""Every invariant is tripped by one change to a run that is otherwise in order."""

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.model.desk import Ask
from tests.model.rehearsal import Rehearsal
from tests.model.sources import Send, Source
from tests.model.values import Writer
from tests.product_run import ProductRun
from verifier.conservation import Report
from verifier.evidence import EVENT_TOPICS, REQUESTS
from verifier.invariant import Invariant
from verifier.invariants import Seen, Standing, check
from verifier.model.consents import Consents
from verifier.recording import Recording, Request

SUBJECTS = [f"bank:account-{number}" for number in range(12)]
REVOKED, GRANTED, STRANGER = SUBJECTS[0], SUBJECTS[1], SUBJECTS[11]
LATENCY_MS = 5


@dataclass
class Run:
    """What `check` takes; each test changes one thing of its own copy."""

    recording: Recording
    report: Report
    standing: Standing
    live: list[Seen]

    def check(self) -> dict[str, Invariant]:
        return {one.name: one for one in check(self.recording, self.report, self.standing, self.live)}

    def number_of(self, subject: str) -> int:
        """Return which notification is the last one of a subject."""
        return max(number for number, one in enumerate(self.recording.sent) if one.key == f"user:{subject}")

    def change(self, number: int, **changed: Any) -> None:
        self.recording.sent[number] = self.recording.sent[number]._replace(**changed)


def source() -> Source:
    def send(number: int, subject: str) -> Send:
        fields = {
            "event_id": f"e-{number}-{subject}",
            "status": "POSTED",
            "amount_minor": -1,
            "currency": "EUR",
        }
        return Send("bank.transactions", subject, fields)

    return Source({}, [send(number, subject) for number in range(8) for subject in SUBJECTS])


@cache
def whole() -> Run:
    grants = [Ask(subject, "GRANT", f"user:{subject}", {"consent_id": "c"}) for subject in SUBJECTS[:6]]
    asks = [grants, [], [], [Ask(REVOKED, "REVOKE", None, {})]]
    found = ProductRun(Rehearsal().run(source(), asks)).run()
    decided_at = {
        (span["topic"], partition, offset): batch["decided_at"]
        for partition, batches in found.batches.items()
        for batch in batches
        for span in batch["inputs"]
        for offset in range(span["first_offset"], span["next_offset"])
    }
    found.sent = [one._replace(appended=decided_at[one.source] + LATENCY_MS) for one in found.sent]
    found.states = {
        partition: kept(Consents(partition, found.partitions), requests)
        for partition, requests in found.requests.items()
    }
    places = [(topic, partition) for topic in EVENT_TOPICS for partition in range(found.partitions)]
    committed = {
        (topic, partition): len(found.events[topic, partition])
        for topic, partition in places
        if found.events[topic, partition]
    } | {(REQUESTS, partition): len(requests) for partition, requests in found.requests.items()}
    live = [Seen("messenger-delivery", one.partition, one.offset, one.digest) for one in found.sent]
    report = Report(events=sum(map(len, found.events.values())))
    return Run(found, report, Standing(committed, dict.fromkeys(places, (9, 9))), live)


def kept(consents: Consents, requests: list[Request]) -> dict[bytes, bytes | None]:
    """Return what `consent.state` has after these requests."""
    for one in requests:
        consents.apply(one.key, one.value, one.appended, one.offset)
    writer = Writer("consent_state")
    states: dict[bytes, bytes | None] = {}
    for key, subject in consents.subjects():
        holders = [{"user_id": user, "versions": versions} for user, versions in subject.holders.items()]
        fields = {"subject": key.decode(), "holders": holders, "suspended": subject.is_suspended}
        if holders or subject.is_suspended:
            salt = hashlib.sha256(key).digest()[:16]
            states[key] = writer.framed({**fields, "request_offset": -1, "salt": salt})
    return states


def test_a_run_in_order_passes_them_all() -> None:
    found = whole().check()
    assert {name: one.violations for name, one in found.items()} == {f"I{n}": [] for n in range(1, 12)}
    assert all(one.checked for one in found.values())
    assert len(whole().recording.sent) > 30


def test_at_least_once_leaves_out_what_takes_a_repeat_for_a_fault() -> None:
    run = copy.deepcopy(whole())
    repeat(run)
    found = check(run.recording, run.report, run.standing, None, is_exactly_once=False)
    assert [one.name for one in found] == [f"I{number}" for number in (1, 2, 4, 5, 6, 8, 9, 10, 11)]
    assert not any(one.violations for one in found)


def lose(run: Run) -> None:
    run.report.violations.append("coverage: a/0/1: decided 0 times")


def leave_undecided(run: Run) -> None:
    run.report.undecided = 3


def read_one_twice_and_another_never(run: Run) -> None:
    run.live[-1] = run.live[0]


def revoke_again(run: Run) -> None:
    """A second revocation does not begin the time anew."""
    requests = next(
        of for of in run.recording.requests.values() if any(o.key == REVOKED.encode() for o in of)
    )
    last = next(one for one in reversed(requests) if one.key == REVOKED.encode())
    requests.append(last._replace(offset=len(requests), appended=last.appended + 3_000))
    run.change(run.number_of(REVOKED), appended=last.appended + 3_001)


def fold_too_little(run: Run) -> None:
    place = next(place for place, end in run.standing.committed.items() if place[0] == REQUESTS and end)
    run.standing = run.standing._replace(
        committed={**run.standing.committed, place: run.standing.committed[place] - 1}
    )


def repeat(run: Run) -> None:
    run.recording.sent.append(run.recording.sent[0]._replace(offset=10_000))


def unread(run: Run) -> None:
    run.live.append(run.live[0]._replace(offset=10_000))


def overwrite(run: Run) -> None:
    run.live[3] = run.live[3]._replace(digest="another")


def miss(run: Run) -> None:
    run.live.pop()


def tell_a_stranger(run: Run) -> None:
    sent = run.recording.sent[0]
    for (topic, partition), records in run.recording.events.items():
        for record in records:
            if record.key == STRANGER.encode():
                headers = {**sent.headers, "notifier.source": f"{topic}/{partition}/{record.offset}".encode()}
                run.recording.sent.append(sent._replace(offset=10_000, headers=headers))
                return


def tell_after_revocation(run: Run) -> None:
    requests = [one for of in run.recording.requests.values() for one in of if one.key == REVOKED.encode()]
    run.change(run.number_of(REVOKED), appended=requests[-1].appended + 2_001)


def silence(run: Run) -> None:
    del run.recording.sent[5]


def turn_round(run: Run) -> None:
    last = run.number_of(GRANTED)
    run.change(last, offset=-1)


def another_amount(run: Run) -> None:
    value = {**run.recording.sent[2].value, "amount_minor": 2}
    run.change(2, value=value)


def another_header(run: Run) -> None:
    run.change(2, headers={**run.recording.sent[2].headers, "notifier.consent": b"9999"})


def name_with_another_salt(run: Run) -> None:
    salts = run.recording.salts[GRANTED.encode()]
    salts[:] = [(offset, bytes(16)) for offset, _ in salts]


def name_in_clear_where_the_salt_is_gone(run: Run) -> None:
    run.recording.salts.clear()
    next(row_of_a_holder(run))["holder"] = "user:bank:account-1"


def row_of_a_holder(run: Run) -> Iterator[dict[str, Any]]:
    batches = (batch for partition in run.recording.batches.values() for batch in partition)
    return (row for batch in batches for row in batch["decisions"] if row["holder"])


def test_names_are_not_checked_where_compaction_has_taken_the_salt_of_then() -> None:
    run = copy.deepcopy(whole())
    run.recording.salts = {key: [(10_000, bytes(16))] for key in run.recording.salts}
    assert not run.check()["I8"].violations


def commit_ahead(run: Run) -> None:
    place = next(place for place in run.standing.committed if place[0] != REQUESTS)
    run.standing = run.standing._replace(
        committed={**run.standing.committed, place: run.standing.committed[place] + 1}
    )


def hang(run: Run) -> None:
    run.standing = run.standing._replace(ends={**run.standing.ends, ("messenger-delivery", 0): (7, 9)})


def forget_a_subject(run: Run) -> None:
    next(iter(states for states in run.recording.states.values() if states)).popitem()


def keep_a_stranger(run: Run) -> None:
    states = next(iter(states for states in run.recording.states.values() if states))
    states[b"nobody:1"] = next(iter(states.values()))


def keep_the_revoked(run: Run) -> None:
    """As a zombie would: the state from before the revocation is written over it."""
    for partition, requests in run.recording.requests.items():
        earlier = [one for one in requests if one.key != REVOKED.encode()]
        first = [one for one in requests if one.key == REVOKED.encode()][:1]
        run.recording.states[partition] = kept(Consents(partition, run.recording.partitions), earlier + first)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("I1", lose),
        ("I1", leave_undecided),
        ("I2", repeat),
        ("I3", unread),
        ("I3", overwrite),
        ("I3", miss),
        ("I3", read_one_twice_and_another_never),
        ("I4", tell_a_stranger),
        ("I5", tell_after_revocation),
        ("I5", revoke_again),
        ("I6", silence),
        ("I7", turn_round),
        ("I8", another_amount),
        ("I8", another_header),
        ("I8", name_with_another_salt),
        ("I8", name_in_clear_where_the_salt_is_gone),
        ("I9", commit_ahead),
        ("I9", fold_too_little),
        ("I10", hang),
        ("I11", forget_a_subject),
        ("I11", keep_a_stranger),
        ("I11", keep_the_revoked),
    ],
)
def test_one_change_is_found(name: str, change: Callable[[Run], None]) -> None:
    run = copy.deepcopy(whole())
    change(run)
    found = run.check()
    assert found[name].violations, name
    told = str([one.as_json() for one in found.values()])
    assert not any(subject in told for subject in SUBJECTS), "a violation names a person"


def told_late(run: Run, pauses: list[tuple[int, int]]) -> int:
    """Return how many are told too late after a revocation, if these spans do not count."""
    found = check(run.recording, run.report, run.standing, None, pauses=pauses)
    (late,) = [one for one in found if one.name == "I5"]
    return len(late.violations)


def test_only_the_part_of_a_pause_that_lies_within_a_delay_is_taken_from_it() -> None:
    run = copy.deepcopy(whole())
    tell_after_revocation(run)
    appended = run.recording.sent[run.number_of(REVOKED)].appended
    revoked = appended - 2_001
    assert told_late(run, []) == 1
    assert told_late(run, [(revoked + 10, revoked + 20)]) == 0
    assert told_late(run, [(revoked - 500, revoked), (appended, appended + 500)]) == 1
    assert told_late(run, [(revoked - 900_000, revoked - 800_000), (appended + 10, appended + 90_000)]) == 1
    change = appended - 1_000
    run.change(run.number_of(REVOKED), appended=change)
    assert told_late(run, [(appended + 50_000, appended + 60_000)]) == 0, "a later pause adds nothing"
