"""Writes `docs/benchmarks/contenders.md` from the contenders: `python -m tools.contenders_page`."""

from pathlib import Path

from bench.contender import Contender
from bench.latency import ECHO, LINGER_MS
from bench.latency_contenders import DEFAULTS, KNOWN, LOW_LATENCY

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "contenders.md"
HEAD = """# Contenders and their settings

Made by `python -m tools.contenders_page` from `bench/contenders/` and `bench/latency_contenders.py`; change
it there. What is not named is the program's default. Addresses, groups and folders are left out.

"Exact": nothing may be seen beyond the committed offsets. "Timed": events after those that warm up; where
nothing stands, as many as the run has. "Latency": whether `python -m bench latency` runs it by default.

| contender | exact | timed | latency | settings |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    echo = f"| `{ECHO}` | | | only | `producer.linger.ms={LINGER_MS}`: produced and read back |\n"
    return HEAD + "".join(_row(contender) for contender in KNOWN.values()) + echo


def _row(contender: Contender) -> str:
    name = contender.name
    timed = "" if contender.timed_events is None else f"{contender.timed_events:,}"
    latency = "only" if name.endswith(LOW_LATENCY) else "yes" if name in DEFAULTS else ""
    settings = ", ".join(f"`{key}={value}`" for key, value in contender.settings.items())
    return f"| `{name}` | {'yes' if contender.is_exact else ''} | {timed} | {latency} | {settings} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
