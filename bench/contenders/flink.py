"""Flink as contenders: a mini-cluster with one slot, consents as keyed state on the heap, both guarantees.

Events that come before the consents of the start are kept back: see `bench/java/FlinkJoin.java`.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import rmtree

from bench.contender import Contender, Stage
from bench.jvm import JVM, command

OUTPUT = "flink-deliveries"
SETTINGS = {
    "execution.checkpointing.interval": "100ms",
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


def _contender(guarantee: str) -> Contender:
    name = f"flink-{guarantee}"
    return Contender(
        name=name,
        command=partial(_command, name, guarantee),
        group=name,
        output_topic=OUTPUT,
        settings={"guarantee": guarantee, "state": "hashmap", "jvm": " ".join(JVM[:3]), **SETTINGS},
        reset=partial(_reset, name),
    )


def _command(name: str, guarantee: str, bootstrap: str, folder: Path) -> Sequence[str]:
    home = (folder / name).absolute().as_uri()
    places = (bootstrap, name, OUTPUT, home, guarantee)
    pairs = [f"{key}={value}" for key, value in {"execution.checkpointing.dir": home, **SETTINGS}.items()]
    return command("flink", ("FlinkJoin.java", "Slices.java"), *places, *pairs)


def _reset(name: str, stage: Stage) -> None:
    stage.cluster.forget_group(name)
    stage.cluster.recreate({OUTPUT: {}})
    rmtree(stage.folder / name, ignore_errors=True)


CONTENDERS = tuple(map(_contender, ("exactly-once", "at-least-once")))
