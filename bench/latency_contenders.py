"""Whose latency is measured: ours, and Kafka Streams as its defaults have it and tuned for latency."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.contender import Contender
from bench.contenders import ALL
from streams.wire.topics import BANK_TRANSACTIONS

LOW_LATENCY = "-low-latency"
RELAYED = "latency-relay"
AT_ONCE: Mapping[str, Mapping[str, str]] = {
    # Streams waits 100 ms for a batch to fill and, with exactly_once_v2, commits every 100 ms. 5 ms is what
    # Kafka's producer waits by its own default; a commit every 10 ms is the shortest that one finds advised.
    "kafka-streams-exactly-once-v2": {"commit.interval.ms": "10", "producer.linger.ms": "5"},
    "kafka-streams-at-least-once": {"producer.linger.ms": "5"},
}
USUAL = ("ours-exactly-once", "ours-at-least-once", *AT_ONCE)


def retuned(base: Contender, settings: Mapping[str, str]) -> Contender:
    """Return a Kafka Streams contender with other settings and a name of its own; the last of two wins."""

    def command(bootstrap: str, folder: Path) -> Sequence[str]:
        return [*base.command(bootstrap, folder), *(f"{key}={value}" for key, value in settings.items())]

    return replace(
        base,
        name=base.name + LOW_LATENCY,
        command=command,
        settings={**base.settings, **settings},
    )


RELAY = Contender(
    name="floor-relay",
    command=lambda bootstrap, _: (
        *(sys.executable, "-m", "bench.contenders.relay"),
        *(bootstrap, "latency-relay", BANK_TRANSACTIONS, RELAYED),
    ),
    group="latency-relay",
    output_topic=RELAYED,
    settings={"linger.ms": "0", "acks": "all", "fetch.queue.backoff.ms": "1"},
    reset=lambda stage: stage.cluster.recreate({RELAYED: {}}),
    is_floor=True,
)
"""Each event as it is, from one topic to another: what no stream processor can be faster than."""

KNOWN: Mapping[str, Contender] = {RELAY.name: RELAY} | {
    contender.name: contender
    for one in ALL
    for contender in ((one, retuned(one, AT_ONCE[one.name])) if one.name in AT_ONCE else (one,))
}
"""By name, every contender there is, and those that only a latency run has."""

DEFAULTS = tuple(name for name in KNOWN if name.removesuffix(LOW_LATENCY) in (RELAY.name, *USUAL))
"""Who is run when none is named."""
