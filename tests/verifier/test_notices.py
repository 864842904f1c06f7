"""Notices that a consent ends: a run in order passes, and each thing that can be wrong has its invariant."""

from collections.abc import Callable

import pytest

from tests.verifier.notice_run import (
    DAY,
    DOWN,
    FIELDS,
    HOUR,
    JOINT,
    LATE,
    START,
    SUBJECTS,
    TOLD,
    VALID_UNTIL,
    NoticeRun,
    empty_batch,
    grant,
)
from verifier.chain import check_chain
from verifier.conservation import Conservation
from verifier.losses import Passes
from verifier.recording import Marker

Change = Callable[[NoticeRun], None]
GUARANTEES = pytest.mark.parametrize("is_exactly_once", [True, False], ids=["exactly-once", "at-least-once"])


def broken(
    run: NoticeRun, *, is_exactly_once: bool = True, interval_s: float = 3_600
) -> dict[str, list[str]]:
    """Return the violations of the invariants that have some."""
    found = run.check(is_exactly_once=is_exactly_once, interval_s=interval_s)
    assert not any(name in str(found) for name in (*SUBJECTS, *SUBJECTS.values())), "a person is named"
    return {name: one.violations for name, one in found.items() if one.violations}


@GUARANTEES
def test_a_run_in_order_passes(is_exactly_once: bool) -> None:
    found = NoticeRun().check(is_exactly_once=is_exactly_once)
    assert {name: one.violations for name, one in found.items() if one.violations} == {}
    assert found["I2"].checked >= found["I4"].checked == len(TOLD)
    assert found["I8"].checked >= 2 * len(TOLD)
    assert found["I6"].checked == 2 * len(TOLD) + 1, "as decided, and as owed, for which fewer days may stand"
    assert found["I6"].figures["notices_unjudged"] == 1, (
        "of hal, whose consent ended while the worker was down"
    )


# -- (1) by the consents in force --------------------------------------------------------------------------


def tell_the_revoked(run: NoticeRun) -> None:
    run.tell(START + 10 * DAY, "cora", 30)


def tell_of_the_suspended(run: NoticeRun) -> None:
    run.tell(START + 5 * DAY, "dora", 7)


def tell_too_early(run: NoticeRun) -> None:
    run.untell("anna", 30)
    run.tell(START + 10 * DAY - 1, "anna", 30)


def tell_at_the_end(run: NoticeRun) -> None:
    run.untell("ben", 1)
    run.tell(VALID_UNTIL["ben"], "ben", 1)


def tell_of_more_days_than_it_was_given_for(run: NoticeRun) -> None:
    run.tell(START + DAY, "ben", 30)


def tell_of_a_version_that_was_followed_by_another(run: NoticeRun) -> None:
    run.untell("anna", 7)
    run.untell("ida", 7)
    run.ask(START + 30 * DAY, JOINT, grant("anna", "CHANGE", START + 300 * DAY))
    run.tell(START + 33 * DAY, "anna", 7)


def tell_of_another_user(run: NoticeRun) -> None:
    run.untell("evelyn", 1)
    run.tell(START + 23 * DAY, "gil", 7)


def tell_of_more_days_where_fewer_are_due(run: NoticeRun) -> None:
    run.untell("gil", 1)
    run.tell(DOWN.stop, "gil", 7)


def tell_what_an_earlier_pass_went_past(run: NoticeRun) -> None:
    run.untell("anna", 30)
    run.tell(DOWN.stop, "anna", 30)


def tell_without_a_decision(run: NoticeRun) -> None:
    run.batches = [batch for batch in run.batches if batch["decided_at"] != START + 10 * DAY]


def decide_what_is_not_owed(run: NoticeRun) -> None:
    tell_the_revoked(run)
    run.sent.pop()


def name_no_request(run: NoticeRun) -> None:
    number = run.of("anna", 30)
    headers = {**run.sent[number].headers, "notifier.source": b"consent.requests/0/999"}
    run.sent[number] = run.sent[number]._replace(headers=headers)


def suspend_just_before(run: NoticeRun) -> None:
    """The pass had folded a request that suspended the subject."""
    run.ask(START + 23 * DAY, LATE, b"unreadable")
    run.batches[-2]["consent_next_offset"] = len(run.requests)


@GUARANTEES
@pytest.mark.parametrize(
    "change",
    [
        tell_the_revoked,
        tell_of_the_suspended,
        tell_too_early,
        tell_at_the_end,
        tell_of_more_days_than_it_was_given_for,
        tell_of_a_version_that_was_followed_by_another,
        tell_of_another_user,
        tell_of_more_days_where_fewer_are_due,
        tell_what_an_earlier_pass_went_past,
        tell_without_a_decision,
        name_no_request,
        suspend_just_before,
        decide_what_is_not_owed,
    ],
)
def test_what_the_consents_do_not_allow_is_i4(change: Change, is_exactly_once: bool) -> None:
    run = NoticeRun()
    change(run)
    assert "I4" in broken(run, is_exactly_once=is_exactly_once)


def test_a_notice_after_a_revocation_is_i5() -> None:
    run = NoticeRun()
    tell_the_revoked(run)
    [late] = broken(run)["I5"]
    assert f"appended {5 * DAY + 5} ms after a revocation" in late


@GUARANTEES
@pytest.mark.parametrize("name", sorted(FIELDS.keys() - {"notification_id"}))
def test_a_field_that_differs_is_i8(name: str, is_exactly_once: bool) -> None:
    run = NoticeRun()
    run.change("anna", 30, **{name: "another"})
    assert f"field {name} of a notice differs" in str(broken(run, is_exactly_once=is_exactly_once)["I8"])


def test_another_identity_is_neither_owed_nor_what_is() -> None:
    run = NoticeRun()
    run.change("anna", 30, notification_id="another")
    assert {"I1", "I4", "I6"} <= broken(run).keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event_id", "c-anna/1/P7D"),
        ("holder", "A" * 22),
        ("subject", "A" * 22),
        ("consent_id", "c-ben"),
        ("consent_version", 2),
        ("offset", 0),
        ("reason", "EXPIRED"),
    ],
)
def test_a_decision_that_differs_is_i8(name: str, value: object) -> None:
    run = NoticeRun()
    run.row_of("anna", 30)[name] = value
    assert f"{name}" in str(broken(run)["I8"])


@pytest.mark.parametrize("name", ["ce_id", "notifier.consent"])
def test_a_header_that_differs_is_i8(name: str) -> None:
    run = NoticeRun()
    number = run.of("anna", 30)
    run.sent[number] = run.sent[number]._replace(headers={**run.sent[number].headers, name: b"0"})
    assert f"header {name} of a notice differs" in str(broken(run)["I8"])


def test_another_key_is_i8() -> None:
    run = NoticeRun()
    number = run.of("anna", 30)
    run.sent[number] = run.sent[number]._replace(key="ben")
    assert "the key of a notice differs" in str(broken(run)["I8"])


# -- (2) none twice ----------------------------------------------------------------------------------------


def tell_again_in_the_next_pass(run: NoticeRun) -> None:
    run.tell(START + 10 * DAY + HOUR, "anna", 30)


def send_twice(run: NoticeRun) -> None:
    run.sent.append(run.sent[2])


def tell_two_of_a_version_in_one_pass(run: NoticeRun) -> None:
    run.sent[:] = [one for one in run.sent if one.key != "gil"]
    run.untell("evelyn", 7)
    run.tell(DOWN.stop, "gil", 7)
    run.tell(DOWN.stop, "gil", 1)


def tell_more_days_after_fewer(run: NoticeRun) -> None:
    run.tell(DOWN.stop + HOUR, "gil", 7)


@GUARANTEES
@pytest.mark.parametrize(
    "change",
    [
        tell_again_in_the_next_pass,
        send_twice,
        tell_two_of_a_version_in_one_pass,
        tell_more_days_after_fewer,
    ],
)
def test_what_is_told_twice_is_i2(change: Change, is_exactly_once: bool) -> None:
    run = NoticeRun()
    change(run)
    assert "I2" in broken(run, is_exactly_once=is_exactly_once)


# -- (3) one decision each, in a batch of its own ----------------------------------------------------------


def decide_without_telling(run: NoticeRun) -> None:
    del run.sent[1]


def decide_twice(run: NoticeRun) -> None:
    run.batches[1]["decisions"] *= 2


def decide_by_another_rule(run: NoticeRun) -> None:
    run.row_of("anna", 30)["rule"] = "notify"


def decide_otherwise(run: NoticeRun) -> None:
    run.row_of("anna", 30)["outcome"] = "SUPPRESS"


def count_it_as_a_record(run: NoticeRun) -> None:
    run.batches[1]["counts"] = [{"fate": "NOTIFY", "reason": None, "kind": "SERVICE", "count": 1}]


def read_beside_it(run: NoticeRun) -> None:
    run.batches[1]["inputs"] = [
        {"topic": "bank.balances", "first_offset": 0, "last_offset": 0, "next_offset": 1, "records": 0}
    ]


def decide_a_record_beside_it(run: NoticeRun) -> None:
    rows = run.batches[1]["decisions"]
    rows.append({**rows[0], "topic": "bank.balances"})


@GUARANTEES
@pytest.mark.parametrize(
    "change",
    [
        tell_without_a_decision,
        decide_without_telling,
        decide_twice,
        decide_by_another_rule,
        decide_otherwise,
        count_it_as_a_record,
        read_beside_it,
        decide_a_record_beside_it,
        send_twice,
        tell_again_in_the_next_pass,
    ],
)
def test_what_is_not_decided_once_in_its_own_batch_is_i1(change: Change, is_exactly_once: bool) -> None:
    run = NoticeRun()
    change(run)
    found = broken(run, is_exactly_once=is_exactly_once)["I1"]
    assert any(one.startswith(("notice: ", "notification: ")) for one in found)


def test_the_chain_of_hashes_covers_what_is_told_of_consents() -> None:
    batches = NoticeRun().evidence(is_exactly_once=True).batches
    assert check_chain(batches, {0: (0, 99)}, None).violations == []
    place = batches[2].position
    assert check_chain(batches[:1] + batches[2:], {0: (0, 99)}, None).violations == [
        f"{place}: does not follow from the batch before it"
    ]
    changed = batches[2]._replace(body=batches[2].body.replace(b"consent_expires", b"consent-expires"))
    assert check_chain([*batches[:2], changed], {0: (0, 99)}, None).violations == [
        f"{place}: its hash is not that of its content"
    ]


def test_a_batch_of_notices_that_is_left_out_breaks_the_chain_of_a_run() -> None:
    run = NoticeRun()
    found = run.evidence(is_exactly_once=True)
    del found.batches[1]
    violations = Conservation(found, is_exactly_once=True).run().violations
    assert [one.partition(": ")[0] for one in violations] == ["chain", "notice"]


def test_notices_are_counted_beside_the_records_and_not_among_them() -> None:
    report = Conservation(NoticeRun().evidence(is_exactly_once=True), is_exactly_once=True).run()
    assert (report.notices, report.events, report.undecided, +report.fates) == (len(TOLD), 0, 0, {})


@pytest.mark.parametrize(("kept", "is_from_start"), [(slice(None, -1), True), (slice(1, None), False)])
def test_a_notice_of_before_or_after_the_decisions_that_were_read_is_not_judged(
    kept: slice, is_from_start: bool
) -> None:
    found = NoticeRun().evidence(is_exactly_once=True)
    found.batches, found.is_from_start = found.batches[kept], is_from_start
    assert Conservation(found, is_exactly_once=True).run().violations == []


# -- (4) none lost, as far as topics show it ---------------------------------------------------------------


@GUARANTEES
@pytest.mark.parametrize(("user", "days"), [(user, days) for _, user, days in TOLD])
def test_a_notice_that_never_came_is_i6(user: str, days: int, is_exactly_once: bool) -> None:
    run = NoticeRun()
    run.untell(user, days)
    assert f"the notice of {days} days was owed and never came" in str(
        broken(run, is_exactly_once=is_exactly_once).pop("I6")
    )


def test_without_any_pass_a_worker_at_work_owes_them_all_the_same() -> None:
    run = NoticeRun()
    run.batches, run.sent = [], []
    run.markers = [one._replace(reminded_until=START) for one in run.markers]
    assert len(broken(run)["I6"]) == len(TOLD) - 2, "not what was due while it was down"


def test_decisions_show_a_worker_at_work_as_markers_do_once_passes_are_made() -> None:
    run, times = NoticeRun(), [one.written_at for one in NoticeRun().markers]
    run.sent, run.batches = [], [empty_batch(at, len(run.requests)) for at in times]
    run.markers = [Marker(times[0], None)]
    assert len(broken(run)["I6"]) == len(TOLD) - 2
    run.markers = [Marker(times[-1], None)]
    assert broken(run) == {}, "workers of before made none"


def test_a_pass_that_was_cut_does_not_show_how_far_it_came() -> None:
    notice = {"topic": "consent.requests"}
    first, cut = ({"decided_at": at, "decisions": [notice] * told} for at, told in ((10, 1), (20, 5_000)))
    assert Passes([], [first, cut], 100).past(15) is None
    cut["decisions"] = [notice] * 4_999
    assert Passes([], [first, cut], 100).past(15) == 20


def test_a_worker_that_has_only_just_come_back_owes_nothing_yet() -> None:
    run = NoticeRun()
    run.batches = [batch for batch in run.batches if batch["decided_at"] < DOWN.start]
    run.sent = [one for one in run.sent if one.appended < DOWN.start]
    before = [one for one in run.markers if one.written_at < DOWN.start]
    run.markers = [*before, before[-1]._replace(written_at=DOWN.stop)]
    assert broken(run) == {}


@pytest.mark.parametrize("of", ["nothing", "no marks", "one marker"])
def test_nothing_is_owed_where_topics_do_not_show_that_passes_went_by(of: str) -> None:
    run = NoticeRun()
    run.batches, run.sent = [], []
    kept = {"nothing": [], "no marks": run.markers[::7], "one marker": run.markers[-1:]}[of]
    run.markers = [one._replace(reminded_until=None) for one in kept] if of == "no marks" else kept
    found = run.check()["I6"]
    assert (found.violations, found.checked) == ([], 0)


def test_passes_show_of_each_other_that_a_notice_is_missing_where_compaction_took_the_markers() -> None:
    run = NoticeRun()
    run.untell("anna", 30)
    run.markers = []
    [lost] = broken(run)["I6"]
    assert lost == "consent.requests/0/0: the notice of 30 days was owed and never came"


@pytest.mark.parametrize("at", [START + 10 * DAY - HOUR, START + 10 * DAY + HOUR])
def test_nothing_is_owed_of_a_consent_that_changed_about_then(at: int) -> None:
    run = NoticeRun()
    run.untell("anna", 30)
    run.untell("anna", 7)
    run.requests.pop()
    run.ask(at, JOINT, grant("anna", "CHANGE", START + 300 * DAY))
    for batch in run.batches:
        batch["consent_next_offset"] = sum(one.appended <= batch["decided_at"] for one in run.requests)
    found = run.check()["I6"]
    assert not [one for one in found.violations if "30 days" in one]


def test_the_margin_is_two_of_the_intervals_that_are_said() -> None:
    run = NoticeRun()
    run.untell("anna", 30)
    assert "I6" in broken(run, interval_s=4 * 86_400)
    assert "I6" not in broken(run, interval_s=10 * 86_400)


def test_fewer_days_stand_for_more_only_if_they_were_told_together() -> None:
    run = NoticeRun()
    assert "I6" not in broken(run), "7 days of gil were due with the last"
    run.untell("ben", 7)
    assert "I6" in broken(run), "the last day of ben was told six days after"
