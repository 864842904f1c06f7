"""Kafka Streams as contenders: one stream thread, a KTable of consents; guarantees, stores and forms of it.

The plain names are its best form here: byte arrays joined, only matches looked into, the store in memory.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from shutil import rmtree

from bench.contender import ROOT, Contender, Stage
from bench.jvm import JVM, command

SOURCES = ("StreamsJoin.java", "Slices.java", "Records.java")
GUARANTEES = ("exactly_once_v2", "at_least_once")
FORMS = (("tuned", "memory"), ("tuned", "rocksdb"), ("idiomatic", "memory"), ("idiomatic", "rocksdb"))
OUTPUT = "kafka-streams-deliveries"
BOTH = {"num.stream.threads": "1"}
OF_GUARANTEE = {
    # 100 ms is the default of exactly_once_v2. The 30 s of at_least_once would show no progress to measure.
    "exactly_once_v2": {"commit.interval.ms": "100"},
    "at_least_once": {"commit.interval.ms": "1000"},
}
OF_STYLE: Mapping[str, Mapping[str, str]] = {
    "idiomatic": {"producer.compression.type": "lz4"},
    "tuned": {
        "producer.compression.type": "lz4",
        "producer.batch.size": "262144",
        "producer.linger.ms": "100",
        "producer.buffer.memory": "134217728",
        "consumer.max.partition.fetch.bytes": "4194304",
        "consumer.fetch.max.bytes": "52428800",
        "statestore.cache.max.bytes": "67108864",
    },
}


def contender(guarantee: str, style: str, store: str, more: Mapping[str, str] | None = None) -> Contender:
    """Make a contender of a guarantee and a form; `more` settings win."""
    suffixes = [suffix for suffix in (style, store) if suffix not in {"tuned", "memory"}]
    name = "-".join(["kafka-streams", guarantee.replace("_", "-"), *suffixes])
    settings = {
        "processing.guarantee": guarantee,
        **BOTH,
        **OF_GUARANTEE[guarantee],
        **OF_STYLE[style],
        **(more or {}),
    }
    return Contender(
        name=name,
        command=partial(_command, name, style, store, settings),
        group=name,
        output_topic=OUTPUT,
        settings={"form": style, "store": store, "jvm": " ".join(JVM[:3]), **settings},
        reset=partial(_reset, name),
        is_exact=guarantee == "exactly_once_v2",
    )


def _command(
    name: str, style: str, store: str, settings: Mapping[str, str], bootstrap: str, folder: Path
) -> Sequence[str]:
    places = {"bootstrap.servers": bootstrap, "application.id": name, "state.dir": str(folder / name)}
    pairs = [f"{key}={value}" for key, value in {**places, **settings}.items()]
    return command("streams", SOURCES, OUTPUT, str(ROOT / "schemas"), style, store, *pairs)


def _reset(name: str, stage: Stage) -> None:
    """Forget the group, the state on disk and the topics that hold it, and what it told."""
    stage.cluster.forget_group(name)
    stage.cluster.remove(f"{name}-consents-changelog")
    stage.cluster.recreate({OUTPUT: {}})
    rmtree(stage.folder / name, ignore_errors=True)


CONTENDERS = tuple(contender(guarantee, *form) for form, guarantee in product(FORMS, GUARANTEES))
