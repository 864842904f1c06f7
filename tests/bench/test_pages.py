"""What the benchmark's pages say is what the benchmark does."""

import re
from pathlib import Path

from bench import growth, guard, latency
from bench.growth_figures import curves
from bench.latency_figures import SATURATION_SHARE
from bench.workload import TEXT_BYTES, TEXT_CHARACTERS
from tools import contenders_page

PAGES = Path(__file__).parents[2] / "docs" / "benchmarks"
README = (PAGES / "README.md").read_text(encoding="utf-8")


def test_the_page_of_contenders_is_current() -> None:
    found = contenders_page.PAGE.read_text(encoding="utf-8")
    assert found == contenders_page.page(), "run: python -m tools.contenders_page"


def test_the_page_of_contenders_names_no_machine() -> None:
    assert not re.search(r"127\.0\.0\.1|localhost|/(home|tmp|root|work)/", contenders_page.page())


def test_the_numbers_of_the_latency_run_are_those_of_the_page() -> None:
    text = f"{latency.WARMUP_S} s warm-up, {latency.MEASURED_S} s measured"
    assert text in README
    assert f"{SATURATION_SHARE:.0%}".replace("%", " %") + " of its measured throughput" in README
    assert f"linger of {latency.LINGER_MS} ms" in README
    assert all(f"{rate:,}" in README for rate in latency.FIXED_RATES)


def test_the_numbers_of_growth_and_guard_are_those_of_the_page() -> None:
    for curve in curves(growth.MAX_SUBJECTS["full"]):
        assert f"| {curve.name} |" in README
    assert f"{TEXT_CHARACTERS:,} characters" in README
    assert f"{TEXT_BYTES:,} bytes" in README
    assert f"below {guard.RATIO:g} of" in README
    assert f"{growth.FULL.events:,}" in README
    assert f"{growth.QUICK.events:,}" in README
