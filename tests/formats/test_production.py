import json
from pathlib import Path

import pytest

from streams.core.consent import ConsentRequest
from streams.core.events import event_time
from streams.errors import ConfigurationError
from streams.formats.berka import Berka
from streams.formats.grants import GrantRule, user_of
from streams.formats.jsonl import Jsonl
from streams.formats.production import MAX_KEPT_REJECTS, Production, survey
from streams.formats.retime import Span
from tests.formats.samples import BERKA, real_file

START = 1_800_000_000_000


def payment(number: int, at: int) -> str:
    return json.dumps(
        {
            "event_id": f"t{number}", "subject": f"bank:{number % 2}", "occurred_at": at, "status": "POSTED",
            "amount_minor": -1, "currency": "EUR",
        }
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three payments, not in the order of their times, and a broken line."""
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join([payment(1, 4_000), "broken", payment(2, 1_000), payment(3, 7_000)]))
    return path


def test_a_survey_counts_and_names_subjects_in_order(file: Path) -> None:
    found = survey(Jsonl(), file)
    assert found.events == {"bank.transactions": 3}
    assert list(found.subjects) == ["bank:1", "bank:0"]
    assert found.span == Span(1_000, 7_000)
    assert (found.rejected_count, [line for line, _reason in found.rejected]) == (1, [2])


def test_only_the_first_rejects_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("{\n" * 250)
    found = survey(Jsonl(), path)
    assert (len(found.rejected), found.rejected_count) == (MAX_KEPT_REJECTS, 250)
    assert found.span is None


def test_without_a_speed_events_keep_their_times_and_are_due_at_once(file: Path) -> None:
    items = list(Production(Jsonl(), file).items(START))
    times = [event_time(event) for _due, _topic, event in items if not isinstance(event, ConsentRequest)]
    assert times == [4_000, 1_000, 7_000]
    assert {due for due, _topic, _event in items} == {None}


def test_retimed_events_are_due_when_they_happen_and_keep_the_order_of_the_file(file: Path) -> None:
    items = list(Production(Jsonl(), file, speed=2.0).items(START))
    times = [event_time(event) for _due, _topic, event in items if not isinstance(event, ConsentRequest)]
    assert times == [START + 1_500, START, START + 3_000]
    assert [due for due, _topic, _event in items] == times


def test_speed_max_is_stamped_when_it_is_sent(file: Path) -> None:
    production = Production(Jsonl(), file, speed="max")
    due, _topic, event = next(iter(production.items(START)))
    assert due is None
    sent = production.stamp(event, START + 5)
    assert not isinstance(sent, ConsentRequest)
    assert event_time(sent) == START + 5


def test_at_other_speeds_a_stamp_changes_nothing(file: Path) -> None:
    for speed in (None, 2.0):
        production = Production(Jsonl(), file, speed=speed)
        event = next(iter(production.items(START)))[2]
        assert production.stamp(event, START + 5) == event


def test_a_file_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trans.asc"
    path.write_text(BERKA)
    with pytest.raises(ConfigurationError, match="--speed"):
        Production(Berka(), path, speed=1.0)


def test_grants_are_for_the_subjects_of_the_file_and_joint_holders(tmp_path: Path) -> None:
    path = tmp_path / "trans.asc"
    path.write_text(BERKA)
    (tmp_path / "disp.asc").write_text('9;9;1787;"DISPONENT"\n8;8;5;"DISPONENT"\n')
    requests = list(Production(Berka(), path, rule=GrantRule(1, 1)).grants(START))
    assert [request.subject for request in requests] == ["berka:2378", "berka:1787", "berka:1787"]
    assert requests[1].user_id == user_of("berka:1787") != requests[2].user_id


def test_without_a_rule_nobody_is_granted(file: Path) -> None:
    assert list(Production(Jsonl(), file).grants(START)) == []


@pytest.mark.data
def test_real_berka_fits_ten_minutes_at_the_speed_that_its_refusal_names() -> None:
    file = real_file("berka/trans.asc")
    with pytest.raises(ConfigurationError) as refused:
        Production(Berka(), file, speed=1.0)
    fits = int(refused.value.message.partition("--speed ")[2].partition(",")[0])
    last = max(
        due for due, _topic, _event in Production(Berka(), file, speed=fits).items(0) if due is not None
    )
    assert 599_000 < last <= 600_000
