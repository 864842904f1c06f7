"""Flink as contenders: a mini-cluster with one slot, consents as keyed state on the heap, both guarantees.

Events that come before the consents of the start are kept back: see `bench/java/FlinkJoin.java`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shutil import rmtree

from bench.contender import Contender, Stage
from bench.jvm import JVM, command

OUTPUT = "flink-deliveries"
SETTINGS = {
    "execution.checkpointing.storage": "filesystem",
    "restart-strategy.type": "none",
    "pipeline.object-reuse": "true",
    "pipeline.generic-types": "false",
    "taskmanager.numberOfTaskSlots": "1",
    "taskmanager.memory.network.fraction": "0.2",
    "consumer.max.poll.records": "20000",
    "consumer.max.partition.fetch.bytes": "4194304",
    "producer.compression.type": "lz4",
    "producer.batch.size": "262144",
    "producer.linger.ms": "100",
    "producer.buffer.memory": "134217728",
    "producer.transaction.timeout.ms": "60000",
}
# Every checkpoint is a snapshot of all consents and a commit. 100 ms is what exactly_once_v2 of Kafka Streams
# has; no notification of at-least-once waits for a checkpoint, so that it may be rarer.
CHECKPOINT = {"exactly-once": "100ms", "at-least-once": "1000ms"}


def _contender(guarantee: str) -> Contender:
    name = f"flink-{guarantee}"
    settings = {"execution.checkpointing.interval": CHECKPOINT[guarantee], **SETTINGS}
    return Contender(
        name=name,
        command=partial(_command, name, guarantee, settings),
        group=name,
        output_topic=OUTPUT,
        settings={"guarantee": guarantee, "state": "hashmap", "jvm": " ".join(JVM[:3]), **settings},
        reset=partial(_reset, name),
    )


def _command(
    name: str, guarantee: str, settings: Mapping[str, str], bootstrap: str, folder: Path
) -> Sequence[str]:
    home = (folder / name).absolute().as_uri()
    places = (bootstrap, name, OUTPUT, home, guarantee)
    pairs = [f"{key}={value}" for key, value in {"execution.checkpointing.dir": home, **settings}.items()]
    return command("flink", ("FlinkJoin.java", "Slices.java"), *places, *pairs)


def _reset(name: str, stage: Stage) -> None:
    stage.cluster.forget_group(name)
    stage.cluster.recreate({OUTPUT: {}})
    rmtree(stage.folder / name, ignore_errors=True)


CONTENDERS = tuple(map(_contender, ("exactly-once", "at-least-once")))
