"""`notifier demo`: everything on one machine, from made-up banks and shops to words in a chat."""

import asyncio
import signal
import time
from contextlib import ExitStack
from typing import Annotated, Any

import typer

from streams.cli.demo_processes import check_conservation, demo_broker, demo_folder, demo_worker
from streams.cli.demo_story import Story, latency_of
from streams.cli.demo_view import view_for
from streams.cli.shared import JsonOption, KafkaOption, answer, news, settings_of
from streams.errors import CheckFailedError
from streams.kafka.admin import apply_topics


def demo(
    kafka: KafkaOption = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long events are sent.")] = 60,
    rate: Annotated[float, typer.Option(min=0.1, help="Events per second, on average.")] = 40,
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same people, and much the same events.")
    ] = 1,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no page. So far there is none: all is shown here.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the notifier at work: a Kafka of its own, made-up banks and shops, and what people are told.

    With --kafka nothing is started but a worker, and the made-up events go to that Kafka. Ends with a
    summary; exit code 1 if an event was lost or told twice. --json prints only the summary.
    """
    del no_browser
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside: stop what was started
    begun = time.monotonic()
    with ExitStack() as stack:
        folder = stack.enter_context(demo_folder())
        settings = settings_of(kafka)
        if kafka is None:
            news("demo: 1/4 a Kafka of its own; the first time, about 45 MB are fetched")
            settings = settings_of(stack.enter_context(demo_broker(folder, settings.partitions)))
        else:
            news(f"demo: 1/4 using Kafka at {kafka}; made-up events will be published there")
        for problem in asyncio.run(apply_topics(settings)).problems:
            news(str(problem))
        from streams.kernel.path import choose_path  # numba takes half a second to import

        path = choose_path(settings.kernel)
        if not path.is_warm():
            news("demo: 2/4 compiling the kernel, once per version: about half a minute")
            path.warm_up()
        news("demo: 2/4 starting a worker and waiting until it is ready")
        with view_for(as_json=as_json) as view, demo_worker(folder, settings):
            news(f"demo: 3/4 ready after {time.monotonic() - begun:.0f} s; sending events for {seconds:g} s")
            story = Story(settings, view, rate=rate, seconds=seconds, seed=seed)
            asyncio.run(story.run())
        news("demo: 4/4 all decided; an independent process counts what is in the topics")
        summary = summary_of(check_conservation(settings), story.latencies)
    answer(summary if as_json else in_words(summary))
    if not summary["conserved"]:
        raise CheckFailedError("Not conserved: see `python -m verifier conservation` for what it checks.")


def summary_of(report: dict[str, Any], latencies: list[int]) -> dict[str, Any]:
    """Return the summary: the independent count, and the latencies measured by the demo's own reader."""
    counted = ("events", "notifications", "suppressed", "dead_letters", "duplicates")
    summary = {name: report[name] for name in counted}
    return {**summary, "latency_ms": latency_of(latencies)._asdict(), "conserved": report["conserved"]}


def in_words(summary: dict[str, Any]) -> str:
    """Return the summary as lines for a person."""
    lines = [f"{summary['events']:,} events"]
    for name in ("notifications", "suppressed", "dead_letters"):
        parts = ", ".join(f"{key} {count:,}" for key, count in sorted(summary[name].items()))
        lines.append(
            f"  {name.replace('_', ' ')}: {sum(summary[name].values()):,}" + (f" ({parts})" if parts else "")
        )
    lines.append(f"  duplicates: {summary['duplicates']:,}")
    p50, p99 = summary["latency_ms"]["p50"], summary["latency_ms"]["p99"]
    if p50 is not None:
        lines.append(f"from event to notification: half within {p50} ms, 99 % within {p99} ms")
    lines.append(
        "nothing lost, nothing twice"
        if summary["conserved"]
        else "NOT conserved: something was lost or doubled"
    )
    return "\n".join(lines)
