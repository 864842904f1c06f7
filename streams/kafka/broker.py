"""The embedded broker: a real Apache Kafka (KRaft, one node) on 127.0.0.1, in a process that outlives us.

    home/broker.json        Kafka version, cluster, ports, pid and birth mark of the process
    home/server.properties  written anew at each start
    home/broker.log         warnings and errors of the broker
    home/data               Kafka's own; kept between starts unless `fresh`

May import `streams.errors` and the neighbours `jars`, `processes`, `probe`. Why like this:
docs/decisions/0001-embedded-broker.md.
"""

import base64
import fcntl
import itertools
import json
import random
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.errors import ConfigurationError, KafkaUnreachableError
from streams.kafka.jars import KAFKA_VERSION, java_command, resolve_jars
from streams.kafka.probe import is_ready
from streams.kafka.processes import birth_mark, end_process, is_same_process, spawn_detached

HOST = "127.0.0.1"
LISTENING_PORTS = range(20_000, 32_000)
STOP_GRACE_S = 20.0
START_TIMEOUT_S = 60.0
POLL_S = 0.05
LOG_TAIL_LINES = 12
MAX_MESSAGE_BYTES = 8 * 1024 * 1024  # a DecisionBatch of a large fetch; one event is at most 1 MiB
JVM_ARGS = (
    "-Xms256m",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:+ExitOnOutOfMemoryError",
    "--sun-misc-unsafe-memory-access=allow",  # else Java 25 warns about Kafka's own way to unmap a file
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker that runs now; as a context manager it is stopped at the end of the block."""

    home: Path
    port: int
    pid: int
    mark: str

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`."""
        return f"{HOST}:{self.port}"

    def stop(self) -> bool:
        """Stop it in good order, by force after 20 s; say whether it still ran. Never raises."""
        return stop_broker(self.home)

    def kill(self) -> None:
        """End it at once with SIGKILL, as a power cut would; its data stay. For tests of crashes."""
        end_process(self.pid, self.mark, grace_s=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class _Home:
    """What broker.json says. Ports are 0 and pid None until the first start."""

    kafka: str
    cluster_id: str
    port: int = 0
    controller_port: int = 0
    pid: int | None = None
    mark: str = ""


def start_broker(
    home: Path,
    *,
    port: int | None = None,
    fresh: bool = False,
    partitions: int = 4,
    properties: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
    cache: Path | None = None,
    timeout_s: float = START_TIMEOUT_S,
) -> RunningBroker:
    """Start the broker of this home and wait until it answers; return the running one if it already runs.

    Args:
        home: folder of the broker; made when absent.
        port: for clients, on 127.0.0.1; None takes the last one again, or any free one.
        fresh: throw the data of this home away first.
        partitions: of Kafka's own topics, and of a topic created without a count.
        properties: broker settings that win over ours, by Kafka's names.
        progress: told in a few words what takes time.
        cache: folder that keeps fetched jars, see `streams.kafka.jars.resolve_jars`.
        timeout_s: how long the broker may take to answer.

    Raises:
        BrokerInstallError: a part is missing, altered or cannot be fetched.
        ConfigurationError: port occupied, data of another Kafka or of another program, broker in the way.
        KafkaUnreachableError: it ended or did not answer in time; the text has the end of its log.
    """
    home = home.absolute()
    tell = progress or _say_nothing
    home.mkdir(parents=True, exist_ok=True)
    with _only_one_start(home):
        if running := broker_status(home):
            if fresh or port not in (None, running.port):
                raise ConfigurationError(
                    f"the broker of {home} already runs at {running.bootstrap}: stop it first"
                )
            return running
        _refuse_occupied(port)
        resolve_jars(cache=cache, progress=tell)
        command = java_command(
            "kafka.Kafka", str(home / "server.properties"), jvm_args=_jvm_args(home), cache=cache
        )
        state = _prepare_data(home, fresh=fresh)
        state = _with_ports(state, port)
        _write_properties(home, state, partitions, properties or {})
        if not (home / "data" / "meta.properties").exists():
            tell("formatting the data folder")
            _format(home, state, cache)
        tell(f"starting Kafka {KAFKA_VERSION}")
        return _launch(home, state, command, timeout_s)


def stop_broker(home: Path) -> bool:
    """Stop the broker of this home (SIGTERM, SIGKILL after 20 s), keep its data, say whether it ran."""
    running = broker_status(home)
    return running is not None and end_process(running.pid, running.mark, grace_s=STOP_GRACE_S)


def broker_status(home: Path) -> RunningBroker | None:
    """Return the broker of this home if its process lives, else None. Never raises."""
    state = _read_state(home.absolute())
    if state is None or state.pid is None or not is_same_process(state.pid, state.mark):
        return None
    return RunningBroker(home.absolute(), state.port, state.pid, state.mark)


def _say_nothing(_: str) -> None:
    pass


@contextmanager
def _only_one_start(home: Path) -> Iterator[None]:
    with (home / ".starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_state(home: Path) -> _Home | None:
    try:
        return _Home(**json.loads((home / "broker.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def _write_state(home: Path, state: _Home) -> None:
    new = home / "broker.json.new"
    new.write_text(json.dumps(asdict(state)), encoding="utf-8")
    new.replace(home / "broker.json")


def _prepare_data(home: Path, *, fresh: bool) -> _Home:
    """Return the home's state, made anew if there are no data; refuse data that are not ours or in use."""
    data, state = home / "data", _read_state(home)
    if data.exists() and any(data.iterdir()):
        _refuse_data_in_use(data)
        if state is None or state.cluster_id != _cluster_id(data, state.cluster_id):
            raise ConfigurationError(
                f"{data} holds data of another Kafka cluster, not of this broker: "
                "choose another home, or move them away"
            )
        if state.kafka != KAFKA_VERSION and not fresh:
            raise ConfigurationError(
                f"{data} was written by Kafka {state.kafka}, this is {KAFKA_VERSION}: "
                "choose another home, or start with --fresh to throw these data away"
            )
        if not fresh:
            return state
        shutil.rmtree(data)
    ports = (0, 0) if state is None else (state.port, state.controller_port)
    state = _Home(KAFKA_VERSION, _new_cluster_id(), *ports)
    _write_state(home, state)
    return state


def _refuse_data_in_use(data: Path) -> None:
    lock_file = data / ".lock"
    if not lock_file.exists():
        return
    with lock_file.open("r+") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the lock Kafka itself takes
        except OSError as error:
            raise ConfigurationError(
                f"another Kafka process uses {data}: stop it, or choose another home"
            ) from error


def _cluster_id(data: Path, unformatted: str) -> str:
    try:
        lines = (data / "meta.properties").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return unformatted  # an interrupted format: nothing in it yet
    return next((line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id=")), "")


def _new_cluster_id() -> str:
    """Return a random id as Kafka writes them; one that starts with a dash would look like an option."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


def _refuse_occupied(port: int | None) -> None:
    if port is not None and not _is_free(port):
        raise ConfigurationError(
            f"port {port} on {HOST} is in use by another program: stop it, or choose another port (--port)"
        )


def _with_ports(state: _Home, port: int | None) -> _Home:
    any_port, any_controller_port = free_ports(2)
    last, last_controller = state.port, state.controller_port
    chosen = port or (last if last and _is_free(last) else any_port)
    is_usable = last_controller and last_controller != chosen and _is_free(last_controller)
    controller = last_controller if is_usable else any_controller_port
    return replace(state, port=chosen, controller_port=controller)


def free_ports(count: int) -> list[int]:
    """Return free ports below the range that the system gives to clients.

    In that range a client that keeps connecting to a stopped broker can connect to itself, and hold the port.
    """
    candidates = random.sample(LISTENING_PORTS, len(LISTENING_PORTS))
    return list(itertools.islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closing connection is not an owner
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _jvm_args(home: Path) -> tuple[str, ...]:
    return (*JVM_ARGS, f"-XX:ErrorFile={home}/java-crash-%p.log")


def _write_properties(home: Path, state: _Home, partitions: int, extra: Mapping[str, str]) -> None:
    if "," in str(home):
        raise ConfigurationError(f"{home}: Kafka takes a comma for the end of a path; choose another home")
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{state.controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{state.port},CONTROLLER://{HOST}:{state.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{state.port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": f"{home}/data",
        "num.partitions": str(partitions),
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": str(partitions),
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": str(partitions),
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # A topic that comes into being by a typo has the wrong partitions, retention and time stamps.
        "auto.create.topics.enable": "false",
        # After a crash the broker may register again only when its last session is over.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "transaction.max.timeout.ms": "900000",
        # How often timed out transactions are looked for: it adds to the time a dead worker holds up readers.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # A transaction's first batch waits so long again while markers of the one before are missing.
        "add.partitions.to.txn.retry.backoff.ms": "2",
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        "log.retention.check.interval.ms": "60000",
        **extra,
    }
    lines = [f"{_escaped(name)}={_escaped(value)}\n" for name, value in settings.items()]
    (home / "server.properties").write_text("".join(lines), encoding="ascii")


def _escaped(text: str) -> str:
    """Return the text as java.util.Properties reads it: UTF-16 units in escapes, but for plain ASCII."""
    units = memoryview(text.encode("utf-16-be", "surrogatepass"))
    codes = [units[at] << 8 | units[at + 1] for at in range(0, len(units), 2)]
    return "".join(chr(code) if 32 <= code < 127 and code != 92 else f"\\u{code:04x}" for code in codes)


def _format(home: Path, state: _Home, cache: Path | None) -> None:
    command = java_command(
        "kafka.tools.StorageTool",
        *("format", "-t", state.cluster_id, "-c", str(home / "server.properties")),
        jvm_args=(*_jvm_args(home), "-XX:TieredStopAtLevel=1"),
        cache=cache,
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigurationError(f"Kafka cannot format {home}/data:\n{_tail(done.stdout + done.stderr)}")


def _launch(home: Path, state: _Home, command: list[str], timeout_s: float) -> RunningBroker:
    log = home / "broker.log"
    log_start = log.stat().st_size if log.exists() else 0
    pid = spawn_detached(command, log)
    mark = birth_mark(pid) or ""
    is_up = False
    try:
        _write_state(home, replace(state, pid=pid, mark=mark))
        is_up = _is_up_within(timeout_s, state.port, pid, mark)
    finally:
        was_alive = is_same_process(pid, mark)
        if not is_up:
            end_process(pid, mark, grace_s=0)
    if not is_up:
        what = f"did not answer within {timeout_s:g} s" if was_alive else "ended while starting"
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(log_start)
            raise KafkaUnreachableError(f"the broker {what}; the end of {log}:\n{_tail(file.read())}")
    return RunningBroker(home, state.port, pid, mark)


def _is_up_within(seconds: float, port: int, pid: int, mark: str) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and is_same_process(pid, mark):
        if is_ready(HOST, port):
            return True
        time.sleep(POLL_S)
    return False


def _tail(text: str) -> str:
    """Return the last lines that say something: the frames of a stack trace would push its cause out."""
    lines = [line for line in text.strip().splitlines() if not line.lstrip().startswith("at ")]
    return "\n".join(lines[-LOG_TAIL_LINES:])
