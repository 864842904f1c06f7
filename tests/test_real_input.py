"""Real input, decided by the product and by the independent model: equal subject by subject, field by
field, word by word.

Without a broker: the product's fold and kernel over a rehearsed part of the input. With one: `notifier
worker` over all of it.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streams.delivery.render import render
from streams.kafka.admin import apply_topics
from streams.kafka.broker import start_broker
from streams.settings import Settings
from streams.wire.codec import decode_notification
from tests.model import sources
from tests.model.desk import phases
from tests.model.driver import Driver, with_giants
from tests.model.recording import Recording, decided, record
from tests.model.rehearsal import Rehearsal
from tests.model.replay import Outcome, Replay
from tests.model.sources import Lots, Source
from tests.model.words import words
from tests.product_run import ProductRun
from verifier.conservation import Conservation
from verifier.topics import Topics, collect

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LOTS = Lots(20_240_305)
GRANT_SHARE = 0.3
PARTITIONS = 4
LEAST_NOTIFIED = {"berka": 10_000, "olist": 3_000}
LONGEST_S = 120.0
ROOT = Path(__file__).resolve().parents[1]


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


@contextmanager
def worker(bootstrap: str, log: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process with shipped defaults and `settings` in its environment, ended by SIGTERM."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    command = [sys.executable, "-m", "streams.cli", "worker", "--kafka", bootstrap, "--ops-port", "0"]
    with log.open("wb") as output:
        running = subprocess.Popen(
            command, cwd=ROOT, env={**environment, **settings}, stdout=output, stderr=output
        )
        try:
            yield running
        finally:
            running.terminate()
            running.wait(60)


def wait_until_decided(bootstrap: str, running: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Wait until every record of the event topics is covered by a decision batch."""
    deadline = time.monotonic() + seconds
    while True:
        assert running.poll() is None, f"the worker ended:\n{log.read_text()[-3000:]}"
        reached, topics = decided(bootstrap), Topics(bootstrap)
        ends = topics.ends(("bank.transactions", "bank.balances", "bank.security", "shipping.events"))
        topics.close()
        left = {
            place: end - reached.get(place, 0) for place, end in ends.items() if end > reached.get(place, 0)
        }
        if not left:
            return
        assert time.monotonic() < deadline, (
            f"not decided after {seconds} s: {left}\n{log.read_text()[-3000:]}"
        )
        time.sleep(0.5)


@pytest.mark.broker
@pytest.mark.data
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["berka", "olist"])
def test_a_worker_tells_what_the_model_tells(name: str, tmp_path: Path) -> None:
    source = source_of(name)
    with start_broker(tmp_path / "broker", partitions=PARTITIONS) as broker:
        settings = Settings.from_env({}, kafka=broker.bootstrap, partitions=PARTITIONS)
        asyncio.run(apply_topics(settings))
        log, driver = tmp_path / "worker.log", Driver(broker.bootstrap, PARTITIONS)
        with worker(broker.bootstrap, log) as running:
            started = time.monotonic()
            driver.run(source, phases(source, GRANT_SHARE, LOTS))
            sent_s = time.monotonic() - started
            wait_until_decided(broker.bootstrap, running, log, LONGEST_S)
            took_s = time.monotonic() - started
        found = record(broker.bootstrap)
        topics = Topics(broker.bootstrap)
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
    with start_broker(tmp_path / "broker", partitions=PARTITIONS) as broker:
        asyncio.run(apply_topics(Settings.from_env({}, kafka=broker.bootstrap, partitions=PARTITIONS)))
        driver, log = Driver(broker.bootstrap, PARTITIONS), tmp_path / "worker.log"
        driver.run(source, [*phases(source, GRANT_SHARE, LOTS)[:2], [], []])
        with worker(broker.bootstrap, log, NOTIFIER_CLOCK_OFFSET_MS="7200000") as running:
            wait_until_decided(broker.bootstrap, running, log, LONGEST_S)
        outcome = compared(record(broker.bootstrap), driver)
    assert not outcome.differences, outcome.report()
    kinds = {kind for (fate, _, kind) in outcome.fates if fate == "NOTIFY"}
    assert "RECEIPT" in kinds
    assert not kinds & {"BALANCE", "SECURITY"}
    assert outcome.fates["SUPPRESS", "STALE", None] >= 100
    assert outcome.fates["SUPPRESS", "NOT_EFFECTIVE", None] >= 100
