"""What is counted, under which names, and that no input can make the number of series grow."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.core.codes import ConsentOutcome, Fate, Kind, LinkAction, Reason, RefusalReason
from streams.core.project import FREE_TEXTS
from streams.ops.metrics import TABLE, TRANSACTION_OUTCOMES, Metrics, MetricSpec, as_markdown

ROOT = Path(__file__).parents[2]
TOPICS = ("bank.transactions", "bank.balances", "bank.security", "shipping.events")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of ours as (name, label values) -> value."""
    order = {spec.name: spec.labels for spec in TABLE}
    return {
        (
            sample.name,
            tuple(sample.labels[label] for label in order.get(sample.name, sample.labels)),
        ): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name.startswith("notifier_")
    }


def merge(metrics: Metrics, **changes: object) -> None:
    arguments: dict[str, object] = {
        "topic": "bank.transactions",
        "partition": 0,
        "fates": {},
        "decisions": {},
        "notified_kinds": {},
        "append_latencies_s": {},
        "lag_records": 0,
        "lag_seconds": 0.0,
        "transaction_seconds": 0.0,
    }
    metrics.merged(**(arguments | changes))  # type: ignore[arg-type]


def everything(metrics: Metrics, partitions: int, stranger: str = "") -> None:
    """Tell the metrics of every name that can occur, and of a stranger beside each."""
    strangers = [stranger] if stranger else []
    reasons: list[str | None] = [None, *Reason.__members__, *strangers]
    pairs = {(fate, reason): 1 for fate in [*Fate.__members__, *strangers] for reason in reasons}
    kinds = dict.fromkeys([*Kind.__members__, *strangers], 1)
    for topic in TOPICS:
        for partition in range(partitions):
            merge(
                metrics, topic=topic, partition=partition, fates=pairs, decisions=pairs, notified_kinds=kinds
            )
            metrics.restore_progress(partition, topic, 1, 2)
    for reason in reasons:
        metrics.dead_letter(reason or "NO_KEY", 1)
    for outcome in [*ConsentOutcome.__members__, *strangers]:
        for refusal in [None, *RefusalReason.__members__, *strangers]:
            metrics.fold(outcome, refusal, 1)
        for action in [*LinkAction.__members__, *strangers]:
            metrics.link(action, outcome, 1)
    for field in [*FREE_TEXTS, "UNKNOWN", *strangers]:
        metrics.masked(field, 1)


def test_records_are_counted_by_fate_and_reason_and_decisions_apart() -> None:
    metrics = Metrics(4)
    fates = {("NOTIFY", None): 3, ("SUPPRESS", "NO_CONSENT"): 7}
    merge(
        metrics,
        fates=fates,
        decisions={("NOTIFY", None): 5, ("SUPPRESS", "STALE"): 1},
        notified_kinds={"RECEIPT": 5},
    )
    merge(metrics, fates=fates)
    seen = samples(metrics)
    assert seen["notifier_records_total", ("bank.transactions", "NOTIFY", "NONE")] == 6
    assert seen["notifier_records_total", ("bank.transactions", "SUPPRESS", "NO_CONSENT")] == 14
    assert seen["notifier_decisions_total", ("NOTIFY", "NONE")] == 5
    assert seen["notifier_decisions_total", ("SUPPRESS", "STALE")] == 1
    assert seen["notifier_notifications_total", ("RECEIPT",)] == 5


def test_a_notice_of_a_consents_end_is_a_notification_and_a_decision_but_no_record() -> None:
    metrics = Metrics(4)
    metrics.notices(3)
    found = samples(metrics)
    assert found["notifier_notifications_total", ("SERVICE",)] == 3
    assert found["notifier_decisions_total", ("NOTIFY", "NONE")] == 3
    assert not any(name == "notifier_records_total" for name, _ in found)


def test_a_latency_counts_in_every_bucket_whose_bound_it_does_not_exceed() -> None:
    metrics = Metrics(4)
    merge(metrics, append_latencies_s={0.005: 1, 0.006: 1, 700.0: 1})
    seen = samples(metrics)
    assert seen["notifier_event_to_append_seconds_bucket", ("0.005",)] == 1
    assert seen["notifier_event_to_append_seconds_bucket", ("0.01",)] == 2
    assert seen["notifier_event_to_append_seconds_bucket", ("600.0",)] == 2
    assert seen["notifier_event_to_append_seconds_bucket", ("+Inf",)] == 3
    assert seen["notifier_event_to_append_seconds_count", ()] == 3
    assert seen["notifier_event_to_append_seconds_sum", ()] == pytest.approx(700.011)


def test_transactions_folds_rebalances_and_dead_letters_are_counted() -> None:
    metrics = Metrics(4)
    metrics.transaction("committed", 0.02)
    metrics.transaction("aborted", 20.0)
    metrics.barrier_wait(3, 0.004)
    metrics.fold("REFUSED", "NO_USER", 2)
    metrics.fold("ACCEPTED", None, 3)
    metrics.link("UNLINK", "ACCEPTED", 2)
    metrics.link_revocations(5)
    metrics.rebalance()
    metrics.misrouted(4)
    metrics.masked("location", 2)
    metrics.dead_letter("MISROUTED", 4)
    seen = samples(metrics)
    assert seen["notifier_transactions_total", ("committed",)] == 1
    assert seen["notifier_transactions_total", ("unknown",)] == 0
    assert seen["notifier_transaction_seconds_count", ()] == 2
    assert seen["notifier_barrier_wait_seconds_bucket", ("0.005",)] == 1
    assert seen["notifier_consent_requests_total", ("REFUSED", "NO_USER")] == 2
    assert seen["notifier_consent_requests_total", ("ACCEPTED", "NONE")] == 3
    assert seen["notifier_link_requests_total", ("UNLINK", "ACCEPTED")] == 2
    assert seen["notifier_link_revocations_total", ()] == 5
    assert seen["notifier_rebalances_total", ()] == 1
    assert seen["notifier_misrouted_records_total", ()] == 4
    assert seen["notifier_dead_letters_total", ("MISROUTED",)] == 4
    assert seen["notifier_masked_texts_total", ("location",)] == 2


def test_a_lost_partition_takes_its_gauges_with_it() -> None:
    metrics = Metrics(4)
    merge(metrics, partition=1, lag_records=9, lag_seconds=1.5, transaction_seconds=0.2)
    merge(metrics, partition=2, lag_records=5)
    metrics.restore_progress(1, "consent.state", 10, 10)
    metrics.assigned({2})
    seen = samples(metrics)
    assert seen["notifier_assigned_partitions", ()] == 1
    assert seen["notifier_lag_records", ("bank.transactions", "2")] == 5
    assert not [name for name, labels in seen if labels[-1:] == ("1",)]


def test_restore_of_an_empty_topic_is_done_and_a_growing_one_never_passes_one() -> None:
    metrics = Metrics(4)
    metrics.restore_progress(0, "consent.state", 0, 0)
    metrics.restore_progress(1, "consent.state", 12, 10)
    metrics.restore_progress(2, "consent.state", 5, 20)
    seen = samples(metrics)
    assert [seen["notifier_restore_ratio", ("consent.state", str(p))] for p in range(3)] == [1, 1, 0.25]
    assert seen["notifier_restored_records", ("consent.state", "2")] == 5


def test_a_name_of_no_closed_list_makes_no_series_of_its_own() -> None:
    metrics = Metrics(24)
    everything(metrics, 24)
    before = set(samples(metrics))
    everything(metrics, 24, stranger="berka:4711")
    assert set(samples(metrics)) == before
    assert not re.search(r"berka", metrics.text().decode())


def test_all_that_can_occur_at_24_partitions_stays_under_2500_series() -> None:
    metrics = Metrics(24)
    everything(metrics, 24)
    assert len(samples(metrics)) < 2_500


def test_labels_are_only_those_that_are_bounded() -> None:
    assert {label for spec in TABLE for label in spec.labels} == {
        "topic", "partition", "fate", "reason", "outcome", "kind", "field", "action", "version", "python",
    }  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_metric_follows_the_naming_rules(row: MetricSpec) -> None:
    assert re.fullmatch(r"notifier_[a-z]+(_[a-z]+)*", row.name)
    assert row.name.endswith("_total") == (row.type == "counter")
    assert not re.search(r"_(ms|millis|milliseconds|minutes|kb|mb)(_|$)", row.name), "base units only"
    assert bool(row.buckets) == (row.type == "histogram")
    assert list(row.buckets) == sorted(set(row.buckets))
    assert row.meaning.endswith(".")
    assert not row.meaning.startswith(row.name)


def test_the_scrape_holds_every_metric_of_the_table_with_its_type_and_help_and_no_other() -> None:
    metrics = Metrics(4)
    everything(metrics, 4)
    text = metrics.text().decode()
    helps = dict(re.findall(r"^# HELP (notifier_\S+) (.+)$", text, re.MULTILINE))
    types = dict(re.findall(r"^# TYPE (notifier_\S+) (\S+)$", text, re.MULTILINE))
    assert helps == {spec.name: spec.meaning for spec in TABLE}
    assert types == {spec.name: spec.type for spec in TABLE}
    assert "_created" not in text
    lines = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines)), "a series is told once"


def test_the_three_outcomes_of_a_transaction_exist_before_the_first() -> None:
    seen = samples(Metrics(1))
    assert {labels for name, labels in seen if name == "notifier_transactions_total"} == {
        (o,) for o in TRANSACTION_OUTCOMES
    }


@pytest.mark.interop
def test_promtool_finds_nothing_to_say_about_a_full_scrape() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    metrics = Metrics(4)
    everything(metrics, 4)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=metrics.text(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_page_of_metrics_is_current() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == as_markdown()
