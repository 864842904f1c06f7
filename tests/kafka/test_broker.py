import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.errors import BrokerInstallError, ConfigurationError, KafkaUnreachableError
from streams.kafka.broker import RunningBroker, broker_status, start_broker, stop_broker
from streams.kafka.jars import default_cache
from streams.kafka.processes import birth_mark, is_same_process


def _admin(broker: RunningBroker) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap})


def _create_topic(broker: RunningBroker, name: str) -> None:
    admin = _admin(broker)  # kept: it takes its futures with it when it goes
    admin.create_topics([NewTopic(name, num_partitions=2)])[name].result(timeout=20)


def _topics(broker: RunningBroker) -> set[str]:
    return set(_admin(broker).list_topics(timeout=20).topics)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose broker is stopped whatever the test did; with all that a path may hold."""
    folder = tmp_path / "my höme 🏠 = a\\b#"
    yield folder
    stop_broker(folder)


@pytest.mark.broker
def test_data_survive_a_crash_and_a_stop_but_not_fresh(home: Path) -> None:
    first = start_broker(home)
    _create_topic(first, "kept")
    first.kill()
    assert broker_status(home) is None

    second = start_broker(home)
    assert second.bootstrap == first.bootstrap
    assert "kept" in _topics(second)
    assert stop_broker(home)
    assert not stop_broker(home)

    with start_broker(home, fresh=True) as third:
        assert "kept" not in _topics(third)
    assert broker_status(home) is None


@pytest.mark.broker
def test_two_starters_without_java_on_the_path_get_one_broker_that_outlives_them(
    tmp_path: Path, home: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from streams.kafka.broker import start_broker;"
        "print(start_broker(Path(sys.argv[1]), cache=Path(sys.argv[2])).pid)"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "M2_REPO", "M2_HOME")}
    environment |= {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(home), str(default_cache())]
    starters = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    pids = [int(starter.communicate()[0]) for starter in starters]
    running = broker_status(home)
    assert running is not None
    assert pids == [running.pid, running.pid]
    assert running.stop()


@pytest.mark.broker
def test_running_broker_is_returned_unless_something_else_is_asked(broker: RunningBroker) -> None:
    assert start_broker(broker.home) == broker
    assert start_broker(broker.home, port=broker.port) == broker
    with pytest.raises(ConfigurationError, match=f"runs at {broker.bootstrap}: stop it first"):
        start_broker(broker.home, fresh=True)
    with pytest.raises(ConfigurationError, match="stop it first"):
        start_broker(broker.home, port=broker.port + 1)


@pytest.mark.broker
def test_data_of_a_broker_nobody_remembers_are_left_alone_while_it_runs(broker: RunningBroker) -> None:
    note = broker.home / "broker.json"
    remembered = note.read_text()
    note.unlink()
    try:
        with pytest.raises(ConfigurationError, match="another Kafka process uses"):
            start_broker(broker.home, fresh=True)
    finally:
        note.write_text(remembered)
    assert broker_status(broker.home) == broker


@pytest.mark.broker
def test_unknown_topic_does_not_come_into_being_by_a_typo(broker: RunningBroker) -> None:
    metadata = _admin(broker).list_topics("tpyo", timeout=20)
    assert metadata.topics["tpyo"].error is not None
    assert "tpyo" not in _topics(broker)


@pytest.mark.broker
def test_broker_that_ends_while_starting_is_reported_with_the_end_of_its_log(home: Path) -> None:
    with pytest.raises(
        KafkaUnreachableError, match=r"(?s)ended while starting.*no\.such\.Reporter"
    ) as failed:
        start_broker(home, properties={"metric.reporters": "no.such.Reporter"})
    assert failed.value.exit_code == 3
    assert broker_status(home) is None


@pytest.mark.broker
def test_setting_that_kafka_refuses_is_reported_with_its_reason(home: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Invalid value 0 for configuration num\.io\.threads"):
        start_broker(home, properties={"num.io.threads": "0"})


@pytest.mark.broker
def test_broker_that_does_not_answer_in_time_is_ended(home: Path) -> None:
    with pytest.raises(KafkaUnreachableError, match=r"did not answer within 0\.1 s"):
        start_broker(home, timeout_s=0.1)
    assert broker_status(home) is None


def test_first_start_without_network_says_what_it_fetches_and_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody listens
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    told: list[str] = []
    with pytest.raises(BrokerInstallError, match="needs the network once"):
        start_broker(tmp_path / "home", cache=tmp_path / "cache", progress=told.append)
    assert "jar 1 of" in told[0]
    assert broker_status(tmp_path / "home") is None


def test_occupied_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is in use") as refused:
            start_broker(tmp_path, port=port)
    assert refused.value.exit_code == 4


@pytest.mark.broker
@pytest.mark.parametrize("fresh", [False, True])
def test_data_of_another_cluster_are_never_touched(tmp_path: Path, fresh: bool) -> None:
    foreign = tmp_path / "data" / "meta.properties"
    foreign.parent.mkdir()
    foreign.write_text("version=1\ncluster.id=SomebodyElse\n")
    with pytest.raises(ConfigurationError, match="data of another Kafka cluster"):
        start_broker(tmp_path, fresh=fresh)
    assert foreign.exists()


@pytest.mark.broker
def test_data_of_another_kafka_version_are_refused_with_the_cure(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "meta.properties").write_text("version=1\ncluster.id=Ours\n")
    (tmp_path / "broker.json").write_text(json.dumps({"kafka": "9.9.9", "cluster_id": "Ours"}))
    with pytest.raises(ConfigurationError, match=r"written by Kafka 9\.9\.9.*--fresh"):
        start_broker(tmp_path)


def test_recycled_pid_is_neither_reported_nor_stopped(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        mark = birth_mark(other.pid)
        assert mark is not None
        state = {
            "kafka": "4.3.1",
            "cluster_id": "x",
            "port": 1,
            "controller_port": 2,
            "pid": other.pid,
            "mark": "ticks 1",
        }
        (tmp_path / "broker.json").write_text(json.dumps(state))
        assert broker_status(tmp_path) is None
        assert not stop_broker(tmp_path)
        assert is_same_process(other.pid, mark)
        other.communicate(b"\n")


@pytest.mark.parametrize("note", ["", "[]", '{"kafka": 1}', "{"])
def test_home_without_a_readable_note_has_no_broker(tmp_path: Path, note: str) -> None:
    (tmp_path / "broker.json").write_text(note)
    assert broker_status(tmp_path) is None
    assert not stop_broker(tmp_path)


def test_home_with_a_comma_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="comma"):
        start_broker(tmp_path / "a,b")
