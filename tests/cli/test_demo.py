import io

from rich.console import Console

from streams.cli.demo import in_words, summary_of
from streams.cli.demo_story import latency_of
from streams.cli.demo_view import BUBBLE_WIDTH, bubble
from streams.ops.topic_reader import Record
from tests.delivery.notifications import told

REPORT = {
    "conserved": True,
    "violations": [],
    "events": 10,
    "undecided": 0,
    "repeated": 0,
    "notifications": {"RECEIPT": 3},
    "suppressed": {"NO_CONSENT": 4, "STALE": 1},
    "dead_letters": {"UNDECODABLE": 1},
    "duplicates": 1,
}
RECORD = Record("messenger-delivery", 0, 7, 1_709_654_640_050, b"user:recipient", b"", ())


def test_percentiles_are_by_nearest_rank() -> None:
    assert latency_of([]) == (None, None)
    assert latency_of([5]) == (5, 5)
    assert latency_of(list(range(200, 0, -1))) == (100, 198)


def test_the_summary_has_what_outside_checks_rely_on() -> None:
    summary = summary_of(REPORT, [10, 20, 30])
    assert set(summary) >= {
        "events",
        "notifications",
        "suppressed",
        "dead_letters",
        "latency_ms",
        "conserved",
    }
    assert summary["latency_ms"] == {"p50": 20, "p99": 30}
    assert summary["conserved"] is True


def test_the_summary_in_words_does_not_hide_a_loss() -> None:
    words = in_words(summary_of(REPORT, [10]))
    assert "10 events" in words
    assert "suppressed: 5 (NO_CONSENT 4, STALE 1)" in words
    assert "nothing lost, nothing twice" in words
    assert "NOT conserved" in in_words(summary_of({**REPORT, "conserved": False}, []))


def test_a_bubble_shows_person_words_and_time_and_takes_no_markup_from_a_merchant() -> None:
    notification = told("RECEIPT", merchant_name="[red]Shop[/red] [/]", amount_minor=-100, currency="EUR")
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(bubble(RECORD, notification))
    shown = console.export_text()
    assert "user:recipient" in shown
    assert "16:04:00.050" in shown
    assert "[red]Shop[/red] [/]" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) == BUBBLE_WIDTH
