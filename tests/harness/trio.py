"""Three brokers that are one cluster: three copies of everything, two of which must acknowledge."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient

from streams.kafka.broker import HOST, RunningBroker, broker_status, free_ports, start_broker
from streams.kafka.jars import KAFKA_VERSION
from tests.harness.cluster import Cluster, eventually, kafka_tool, make_topics, started_again

NODES = 3
CLUSTER_ID = "dGhyZWUtYnJva2Vycy1vZg"
QUORUM = "org.apache.kafka.tools.MetadataQuorumCommand"
ASK_S = 20.0
IN_STEP_S = 90.0
_COPIES = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
}


class Trio(Cluster):
    """A running cluster of three nodes, numbered from 1; each is broker and controller."""

    def __init__(self, nodes: list[RunningBroker], properties: list[dict[str, str]], partitions: int) -> None:
        super().__init__(nodes[0], partitions)
        self.bootstrap = ",".join(node.bootstrap for node in nodes)
        self._nodes = nodes
        self._of_node = properties

    def node_with(self, role: str, topic: str, group: str) -> int:
        """Return which node leads partition 0 of the topic, coordinates the group, or controls."""
        if role == "controller":
            told = kafka_tool(self, QUORUM, "describe", "--status")
            found = re.search(r"LeaderId:\s+(\d+)", told)
            assert found, told
            return int(found[1])
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        if role == "leader":
            return int(admin.list_topics(topic, ASK_S).topics[topic].partitions[0].leader)
        return int(admin.describe_consumer_groups([group])[group].result(ASK_S).coordinator.id)

    def kill_node(self, number: int) -> None:
        """End a node with SIGKILL."""
        self._nodes[number - 1].kill()

    def stop_node(self, number: int) -> None:
        """End a node in good order."""
        self._nodes[number - 1].stop()

    def start_node(self, number: int) -> None:
        """Start a node again on its port, and wait until every partition has all its copies in step."""
        self._nodes[number - 1] = started_again(self._nodes[number - 1], self._of_node[number - 1])
        self._wait_in_step()

    def start_again(self) -> None:
        """Start every node that does not run."""
        for number, node in enumerate(self._nodes, 1):
            if broker_status(node.home) is None:
                self.start_node(number)

    def _wait_in_step(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})

        def in_step() -> bool:
            topics = admin.list_topics(timeout=ASK_S).topics.values()
            return all(len(one.isrs) == NODES for topic in topics for one in topic.partitions.values())

        eventually("every partition has three copies in step", in_step, IN_STEP_S, pause_s=0.5)


@contextmanager
def trio(home: Path, partitions: int) -> Iterator[Trio]:
    """Start three brokers with all topics; stop them at the end."""
    ports = free_ports(2 * NODES)
    clients, controllers = ports[:NODES], ports[NODES:]
    quorum = ",".join(f"{node}@{HOST}:{port}" for node, port in enumerate(controllers, 1))
    homes = [home / f"node-{node}" for node in range(1, NODES + 1)]
    properties = [
        {**_COPIES, "node.id": str(node), "controller.quorum.voters": quorum} for node in range(1, NODES + 1)
    ]
    for folder, port, controller in zip(homes, clients, controllers, strict=True):
        _prepare(folder, port, controller)
    with ExitStack() as stack, ThreadPoolExecutor(NODES) as starters:  # one answers when there are two
        for folder in homes:
            stack.callback(_kill, folder)
        nodes = list(starters.map(_started, homes, clients, properties))
        at = Trio(nodes, properties, partitions)
        make_topics(at.bootstrap, partitions, NODES)
        yield at


def _kill(home: Path) -> None:
    """End a node, if it runs, at once: the last of three would wait for a quorum before it ends well."""
    if running := broker_status(home):
        running.kill()


def _prepare(home: Path, port: int, controller_port: int) -> None:
    """Make a broker's home that belongs to our cluster: one that is interrupted before it is formatted."""
    (home / "data").mkdir(parents=True)
    (home / "data" / "one-of-three").touch()
    state = {
        "kafka": KAFKA_VERSION,
        "cluster_id": CLUSTER_ID,
        "port": port,
        "controller_port": controller_port,
    }
    (home / "broker.json").write_text(json.dumps(state), encoding="ascii")


def _started(home: Path, port: int, properties: dict[str, str]) -> RunningBroker:
    return start_broker(home, port=port, properties=properties)
