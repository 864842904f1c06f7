"""Programs of other Python libraries as contenders, and the floors below which no Python program comes.

They share `fastavro_join.py`: consents are read into a dict before the first event, a key is looked up before
anything is decoded. Slow ones are timed on fewer events.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.contender import Contender, Stage

AIOKAFKA: Mapping[str, Mapping[str, Any]] = {
    "consumer": {"max_partition_fetch_bytes": 4 << 20},
    "producer": {"compression_type": "lz4", "max_batch_size": 256 << 10, "linger_ms": 0},
    "getmany": {"timeout_ms": 1_000, "max_records": 20_000},
}
TRANSACTIONAL: Mapping[str, Mapping[str, Any]] = {
    **AIOKAFKA,
    # How long aiokafka waits before it asks again whether the last transaction is through; by default 100.
    "producer": {
        **AIOKAFKA["producer"],
        "transactional_id": "aiokafka-loop-transactional",
        "retry_backoff_ms": 10,
    },
}
LIBRDKAFKA_PRODUCER = {"compression.type": "lz4", "linger.ms": 20, "batch.size": 256 << 10}
CONFLUENT: Mapping[str, Mapping[str, Any]] = {
    "consumer": {"max.partition.fetch.bytes": 4 << 20},
    "producer": LIBRDKAFKA_PRODUCER,
    "consume": {"num_messages": 20_000, "timeout": 0.2},
}
QUIX: Mapping[str, Any] = {
    "commit_interval": 1.0,
    "use_changelog_topics": False,
    "consumer_extra_config": CONFLUENT["consumer"],
    "producer_extra_config": LIBRDKAFKA_PRODUCER,
}
FASTSTREAM = {
    "broker": {"compression_type": "lz4", "max_batch_size": 256 << 10, "linger_ms": 5},
    "subscriber": {"max_partition_fetch_bytes": 4 << 20, "auto_commit_interval_ms": 500},
}
FASTSTREAM_BATCH = {
    "broker": {"compression_type": "lz4", "max_batch_size": 1 << 20},
    "subscriber": {"max_partition_fetch_bytes": 4 << 20, "max_records": 2_000},
}


def peer(
    name: str,
    module: str,
    settings: Mapping[str, Any],
    *arguments: str,
    timed_events: int,
    is_exact: bool = False,
) -> Contender:
    """Make a contender of a program of this folder; it is timed on `timed_events` at most."""
    output = f"{name}-deliveries"

    def command(bootstrap: str, _: Path) -> Sequence[str]:
        program = (sys.executable, "-m", f"bench.contenders.{module}")
        return (*program, bootstrap, name, output, json.dumps(settings), *arguments)

    return Contender(
        name=name,
        command=command,
        group=name,
        output_topic=output,
        settings={key: json.dumps(value) for key, value in settings.items()},
        reset=partial(_reset, name, output),
        is_exact=is_exact,
        timed_events=timed_events,
        warmup_events=timed_events // 5,
    )


def _reset(group: str, output: str, stage: Stage) -> None:
    stage.cluster.forget_group(group)
    stage.cluster.recreate({output: {}})


def _floor(name: str, form: str) -> Contender:
    def command(bootstrap: str, _: Path) -> Sequence[str]:
        return (sys.executable, "-m", "bench.contenders.read_only", bootstrap, name, form)

    return Contender(
        name=name,
        command=command,
        group=name,
        output_topic="",
        settings={"max_partition_fetch_bytes": str(4 << 20), "commit": "every 50 ms"},
        reset=lambda stage: stage.cluster.forget_group(name),
        is_floor=True,
    )


CONTENDERS = (
    peer("aiokafka-loop", "aiokafka_loop", AIOKAFKA, timed_events=1_000_000),
    peer(
        "aiokafka-loop-transactional", "aiokafka_loop", TRANSACTIONAL, timed_events=1_000_000, is_exact=True
    ),
    peer("confluent-loop", "confluent_loop", CONFLUENT, timed_events=1_000_000),
    peer("quix-streams", "quix_join", QUIX, timed_events=500_000),
    peer("faststream", "faststream_join", FASTSTREAM, "single", timed_events=100_000),
    peer("faststream-batch", "faststream_join", FASTSTREAM_BATCH, "batch", timed_events=500_000),
)
FLOORS = (_floor("floor-raw-fetch", "raw"), _floor("floor-aiokafka-consume", "records"))
