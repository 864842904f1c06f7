"""Real input, decided by the product and by the independent model: equal subject by subject, field by
field, word by word.

Without a broker: the product's fold and kernel over a rehearsed part of the input. With one: `notifier
worker` over all of it.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streams.delivery.render import render
from streams.wire.codec import decode_notification
from tests.harness.cluster import cluster
from tests.harness.worker import Worker
from tests.model import sources
from tests.model.desk import phases
from tests.model.driver import Driver, with_giants
from tests.model.rehearsal import Rehearsal
from tests.model.sources import Lots, Source
from tests.model.waiting import wait_until_decided
from tests.model.words import words
from tests.product_run import ProductRun
from verifier.conservation import Conservation
from verifier.recording import Recording, record
from verifier.replay import Outcome, Replay
from verifier.topics import Topics, collect

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LOTS = Lots(20_240_305)
GRANT_SHARE = 0.3
LEAST_NOTIFIED = {"berka": 10_000, "olist": 3_000}
LONGEST_S = 120.0


def source_of(name: str, share: float = 1.0) -> Source:
    if not (DATA / name).is_dir():
        pytest.skip("needs the real input in ../shared/data")
    return with_giants(getattr(sources, name)(DATA / name, LOTS, share))


def compared(found: Recording, driver: Driver | None = None) -> Outcome:
    """The model's outcome beside a run, words included."""
    values = {id(one.value): one.framed for one in found.sent}

    def product_words(value: dict[str, Any]) -> str:
        return render(decode_notification(values[id(value)]))

    return Replay(found, product_words, words).run(driver.floors if driver else None)


@pytest.mark.data
@pytest.mark.parametrize(("name", "share"), [("berka", 0.04), ("olist", 0.07)])
def test_a_rehearsed_part_is_decided_as_the_model_decides(name: str, share: float) -> None:
    source = source_of(name, share)
    outcome = compared(ProductRun(Rehearsal().run(source, phases(source, GRANT_SHARE, LOTS))).run())
    assert not outcome.differences, outcome.report()
    assert sum(outcome.notified.values()) > 300
    assert len(outcome.fates) > 12


@pytest.mark.broker
@pytest.mark.data
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["berka", "olist"])
def test_a_worker_tells_what_the_model_tells(name: str, tmp_path: Path) -> None:
    source = source_of(name)
    with cluster(tmp_path / "broker") as kafka:
        driver = Driver(kafka.bootstrap, kafka.partitions)
        with Worker(kafka.bootstrap, tmp_path / "worker.log") as worker:
            worker.wait_ready()
            started = time.monotonic()
            driver.run(source, phases(source, GRANT_SHARE, LOTS))
            sent_s = time.monotonic() - started
            wait_until_decided(kafka.bootstrap, LONGEST_S)
            took_s = time.monotonic() - started
        found = record(kafka.bootstrap)
        topics = Topics(kafka.bootstrap)
        report = Conservation(collect(topics), is_exactly_once=True).run()
        topics.close()
    outcome = compared(found, driver)
    assert not outcome.differences, outcome.report()
    assert not report.violations, report.violations[:20]
    assert sum(outcome.notified.values()) >= LEAST_NOTIFIED[name]
    reasons = Counter[str]()
    for (_, reason, _), count in outcome.fates.items():
        reasons[reason or ""] += count
    often = [reason for reason, count in reasons.items() if reason and count >= 100]
    assert len(often) >= 6, reasons
    assert took_s < LONGEST_S, f"sent in {sent_s:.0f} s, decided after {took_s:.0f} s"


@pytest.mark.broker
@pytest.mark.data
@pytest.mark.timeout(600)
def test_a_run_decided_two_hours_later_is_stale_and_silent_before_its_grants(tmp_path: Path) -> None:
    source = source_of("berka", 0.25)
    with cluster(tmp_path / "broker") as kafka:
        driver = Driver(kafka.bootstrap, kafka.partitions)
        driver.run(source, [*phases(source, GRANT_SHARE, LOTS)[:2], [], []])
        with Worker(kafka.bootstrap, tmp_path / "worker.log", clock_offset_ms="7200000"):
            wait_until_decided(kafka.bootstrap, LONGEST_S)
        outcome = compared(record(kafka.bootstrap), driver)
    assert not outcome.differences, outcome.report()
    kinds = {kind for (fate, _, kind) in outcome.fates if fate == "NOTIFY"}
    assert "RECEIPT" in kinds
    assert not kinds & {"BALANCE", "SECURITY"}
    assert outcome.fates["SUPPRESS", "STALE", None] >= 100
    assert outcome.fates["SUPPRESS", "NOT_EFFECTIVE", None] >= 100
