"""A Kafka that others started, and one in containers."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pg_tide_dev.containers import Container, docker_answers
from pg_tide_dev.errors import NotOursError, ServerUnavailableError
from pg_tide_dev.kafka_nodes import FAST_FAILOVER, SMALL_BROKER, kafka_id
from pg_tide_dev.processes import attempts, free_port
from pg_tide_dev.sources import Source

ADDRESS_VARIABLE = "PG_TIDE_TEST_KAFKA"
IMAGE = "apache/kafka:4.3.1"
READY_SECONDS = 120.0
CLIENT_PORT, CONTROLLER_PORT, BROKER_PORT = 9092, 9093, 9094


class ExternalKafka:
    """The cluster at an address: it can be used, and nothing else."""

    source = Source.ENV
    node_ids: Sequence[int] = ()

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def stop(self) -> None:
        raise self._not_ours()

    def kill(self) -> None:
        raise self._not_ours()

    def start(self) -> None:
        raise self._not_ours()

    def discard(self) -> None:
        raise self._not_ours()

    def kill_node(self, node_id: int) -> None:
        raise self._not_ours(f"node {node_id}")

    def stop_node(self, node_id: int) -> None:
        raise self._not_ours(f"node {node_id}")

    def start_node(self, node_id: int) -> None:
        raise self._not_ours(f"node {node_id}")

    def pause_node(self, node_id: int) -> None:
        raise self._not_ours(f"node {node_id}")

    def resume_node(self, node_id: int) -> None:
        raise self._not_ours(f"node {node_id}")

    def console_consumer(self, topic: str, count: int, *arguments: str) -> list[str]:
        asked = " ".join(["console consumer of", topic, str(count), *arguments])
        raise self._not_ours(asked)

    def _not_ours(self, asked: str = "every node") -> NotOursError:
        return NotOursError(f"the cluster of {ADDRESS_VARIABLE} is someone else's: no control ({asked})")


class DockerKafka:
    """The project's own image, one container per node in a network of their own."""

    source = Source.DOCKER

    def __init__(self, nodes: int, properties: Mapping[str, str]) -> None:
        from testcontainers.core.network import Network  # noqa: PLC0415

        self._ports = {node_id: free_port() for node_id in range(1, nodes + 1)}
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self._ports.values())
        network: Any = Network().create()
        cluster_id = kafka_id()
        self._containers = {
            node_id: Container(
                IMAGE,
                ports={CLIENT_PORT: port},
                env=container_environment(node_id, port, nodes, {**properties, "cluster.id": cluster_id}),
                network=network,
                alias=f"node{node_id}",
            )
            for node_id, port in self._ports.items()
        }
        self._wait_ready(self.node_ids)

    @property
    def node_ids(self) -> Sequence[int]:
        return tuple(self._ports)

    def stop(self) -> None:
        for node_id in self.node_ids:
            self.stop_node(node_id)

    def kill(self) -> None:
        for node_id in self.node_ids:
            self.kill_node(node_id)

    def start(self) -> None:
        for container in self._containers.values():
            container.start()
        self._wait_ready(self.node_ids)

    def discard(self) -> None:
        for container in self._containers.values():
            container.remove()

    def kill_node(self, node_id: int) -> None:
        self._containers[node_id].end("SIGKILL")

    def stop_node(self, node_id: int) -> None:
        self._containers[node_id].end("SIGTERM")

    def start_node(self, node_id: int) -> None:
        self._containers[node_id].start()
        self._wait_ready([node_id])

    def pause_node(self, node_id: int) -> None:
        self._containers[node_id].pause()

    def resume_node(self, node_id: int) -> None:
        self._containers[node_id].resume()

    def console_consumer(self, topic: str, count: int, *arguments: str) -> list[str]:
        program = ["/opt/kafka/bin/kafka-console-consumer.sh", "--bootstrap-server", f"node1:{BROKER_PORT}"]
        reading = [
            "--topic",
            topic,
            "--from-beginning",
            "--max-messages",
            str(count),
            "--timeout-ms",
            "30000",
        ]
        return self._containers[1].execute([*program, *reading, *arguments]).splitlines()

    def _wait_ready(self, node_ids: Sequence[int]) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for _ in attempts(READY_SECONDS, list):
            try:
                answered = admin.list_topics(timeout=1).brokers
            except KafkaException:
                continue
            if set(node_ids) <= set(answered):
                return


def container_environment(
    node_id: int, client_port: int, nodes: int, extra: Mapping[str, str]
) -> dict[str, str]:
    """A node's configuration as the image takes it: property names in capitals, points as underscores."""
    voters = ",".join(f"{one}@node{one}:{CONTROLLER_PORT}" for one in range(1, nodes + 1))
    copies = min(3, nodes)
    listeners = {"CLIENT": CLIENT_PORT, "CONTROLLER": CONTROLLER_PORT, "BROKER": BROKER_PORT}
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": voters,
        "listeners": ",".join(f"{name}://:{port}" for name, port in listeners.items()),
        "advertised.listeners": f"CLIENT://127.0.0.1:{client_port},BROKER://node{node_id}:{BROKER_PORT}",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(max(1, copies - 1)),
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(max(1, copies - 1)),
        **SMALL_BROKER,
        **(FAST_FAILOVER if nodes > 1 else {}),
        **{name: value for name, value in extra.items() if name != "cluster.id"},
    }
    named = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
    return {**named, "CLUSTER_ID": extra["cluster.id"], "KAFKA_HEAP_OPTS": "-Xmx256m"}


def from_environment() -> ExternalKafka | None:
    """The cluster that the environment names, if it names one."""
    bootstrap = os.environ.get(ADDRESS_VARIABLE)
    if not bootstrap:
        return None
    try:
        AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=10)
    except KafkaException as error:
        raise ServerUnavailableError(f"{ADDRESS_VARIABLE}={bootstrap} does not answer: {error}") from error
    return ExternalKafka(bootstrap)


def from_docker(nodes: int, properties: Mapping[str, str]) -> DockerKafka | None:
    """Containers of the project's image, if a container engine answers."""
    return DockerKafka(nodes, properties) if docker_answers() else None
