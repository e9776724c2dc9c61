"""Starts Kafka with one node or three: `start_kafka` is the way in."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pg_tide_dev import kafka_external
from pg_tide_dev.errors import ServerFailedError, ServerUnavailableError
from pg_tide_dev.java import find_java
from pg_tide_dev.kafka_jars import Progress, kafka_jars
from pg_tide_dev.kafka_nodes import KafkaNode, Programs, kafka_id, new_addresses, wait_ready
from pg_tide_dev.kafka_prepare import prepared
from pg_tide_dev.processes import Process, Run, attempts
from pg_tide_dev.sources import Source, wanted_sources

TOPIC_SECONDS = 60.0
CONSUMER_SECONDS = 120.0
PORT_TRIES = 3
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"


class KafkaServer(Protocol):
    """A running Kafka, whoever started it. Nodes are numbered from 1."""

    @property
    def bootstrap(self) -> str:
        """Addresses for `bootstrap.servers`."""

    @property
    def source(self) -> Source:
        """Where the server came from."""

    @property
    def node_ids(self) -> Sequence[int]:
        """The nodes that can be controlled one by one."""

    def stop(self) -> None:
        """Controlled shutdown of every node."""

    def kill(self) -> None:
        """Crash every node."""

    def start(self) -> None:
        """Start what was stopped or killed, on the same ports; returns when every node answers."""

    def discard(self) -> None:
        """Crash every node and remove what they stored: nobody needs them any more."""

    def kill_node(self, node_id: int) -> None:
        """Crash one node."""

    def stop_node(self, node_id: int) -> None:
        """Controlled shutdown of one node."""

    def start_node(self, node_id: int) -> None:
        """Start one node again; returns when it is in the cluster's metadata."""

    def pause_node(self, node_id: int) -> None:
        """Freeze one node: its connections stay, it answers nothing."""

    def resume_node(self, node_id: int) -> None:
        """Let a paused node go on."""

    def console_consumer(self, topic: str, count: int, *arguments: str) -> list[str]:
        """What Kafka's own console consumer prints for the first `count` records of a topic."""


class LocalKafka:
    """A cluster of this run: each node a process."""

    def __init__(
        self,
        run: Run,
        programs: Programs,
        *,
        nodes: int,
        properties: Mapping[str, str],
        format_arguments: Sequence[str] = (),
        full_speed: bool = False,
    ) -> None:
        addresses = new_addresses(nodes)
        self.bootstrap = ",".join(f"127.0.0.1:{address.client_port}" for address in addresses)
        self.source = programs.source
        self._run = run
        self._nodes = {a.node_id: KafkaNode(run, programs, a, full_speed=full_speed) for a in addresses}
        cluster_id = kafka_id()
        for node in self._nodes.values():
            node.configure(addresses, properties)
            node.format(cluster_id, format_arguments)

    @property
    def node_ids(self) -> Sequence[int]:
        return tuple(self._nodes)

    def node(self, node_id: int) -> KafkaNode:
        """One node, for what only a process of this run can do."""
        return self._nodes[node_id]

    def start(self) -> None:
        for node in self._nodes.values():
            node.start()
        wait_ready(self.bootstrap, self.node_ids, self._processes())

    def stop(self) -> None:
        for node in self._nodes.values():
            node.stop()

    def kill(self) -> None:
        for node in self._nodes.values():
            node.kill()

    def discard(self) -> None:
        self.kill()
        for node in self._nodes.values():
            shutil.rmtree(node.folder, ignore_errors=True)

    def stop_node(self, node_id: int) -> None:
        self._nodes[node_id].stop()

    def kill_node(self, node_id: int) -> None:
        self._nodes[node_id].kill()

    def start_node(self, node_id: int) -> None:
        node = self._nodes[node_id]
        node.start()
        wait_ready(node.bootstrap, [node_id], [node.process] if node.process else [])

    def pause_node(self, node_id: int) -> None:
        self._nodes[node_id].pause()

    def resume_node(self, node_id: int) -> None:
        self._nodes[node_id].resume()

    def console_consumer(self, topic: str, count: int, *arguments: str) -> list[str]:
        first = next(iter(self._nodes.values()))
        consumer = [CONSOLE_CONSUMER, *console_arguments(self.bootstrap, topic, count), *arguments]
        command = [*first.java_command(), *consumer]
        return self._run.call(command, timeout_seconds=CONSUMER_SECONDS).splitlines()

    def _processes(self) -> list[Process]:
        return [node.process for node in self._nodes.values() if node.process is not None]


def console_arguments(bootstrap: str, topic: str, count: int) -> list[str]:
    """Arguments of the console consumer: from the beginning, `count` records, 30 s without one at most."""
    where = ["--bootstrap-server", bootstrap, "--topic", topic]
    return [*where, "--from-beginning", "--max-messages", str(count), "--timeout-ms", "30000"]


def start_kafka(
    run: Run,
    *,
    nodes: int = 1,
    own: bool = False,
    properties: Mapping[str, str] | None = None,
    format_arguments: Sequence[str] = (),
    full_speed: bool = False,
    progress: Progress = print,
) -> KafkaServer:
    """Start Kafka, or find the one that the environment names; returns when every node answers.

    `properties` are added to each node's configuration, `format_arguments` to the call that formats its data
    (users for SCRAM). `full_speed` lets the Java compiler optimise, for measurements. These, `own` and more
    than one node need a cluster of this run: an address in the environment is passed over.
    """
    sources = wanted_sources()
    own = own or nodes > 1 or bool(properties) or bool(format_arguments) or full_speed
    for source in sources:
        found: KafkaServer | None = None
        if source is Source.ENV:
            found = kafka_external.from_environment() if not own else None
        elif source is Source.DOCKER:
            found = kafka_external.from_docker(nodes, properties or {}) if not format_arguments else None
        else:
            programs = find_programs(source, progress)
            if programs is not None:
                found = start_local(
                    run,
                    prepared(run, programs),
                    nodes,
                    properties or {},
                    format_arguments=format_arguments,
                    full_speed=full_speed,
                )
        if found is not None:
            return found
    tried = ", ".join(source.value for source in sources)
    raise ServerUnavailableError(f"Kafka not found (tried: {tried}). Cure: pip install pg-tide[dev]")


def start_local(
    run: Run,
    programs: Programs,
    nodes: int,
    properties: Mapping[str, str],
    *,
    format_arguments: Sequence[str],
    full_speed: bool,
) -> LocalKafka:
    """Start a cluster of this run; with other ports when one was taken since it was found free."""
    for tries_left in reversed(range(PORT_TRIES)):
        cluster = LocalKafka(
            run,
            programs,
            nodes=nodes,
            properties=properties,
            format_arguments=format_arguments,
            full_speed=full_speed,
        )
        try:
            cluster.start()
        except ServerFailedError as error:
            cluster.kill()
            if tries_left == 0 or "already in use" not in str(error):
                raise
        else:
            break
    return cluster


def find_programs(source: Source, progress: Progress) -> Programs | None:
    """A Java runtime and Kafka's jars: `KAFKA_HOME` and an installed Java, or both from packages."""
    home = os.environ.get("KAFKA_HOME")
    if source is Source.LOCAL and not home:
        return None
    java = find_java(source)
    if java is None:
        return None
    jars = Path(home) / "libs" if source is Source.LOCAL and home else kafka_jars(progress)
    return Programs(java=java, jars=jars, source=source)


def create_topic(
    bootstrap: str, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Create a topic with the cluster's default replication; returns when it can be written to."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config=dict(config or {}))
    admin.create_topics([topic], operation_timeout=30)[name].result(timeout=60)
    for _ in attempts(TOPIC_SECONDS, list):
        found = admin.list_topics(name, timeout=10).topics[name]
        if (
            found.error is None
            and len(found.partitions) == partitions
            and all(p.leader >= 0 for p in found.partitions.values())
        ):
            return


def delete_topic(bootstrap: str, name: str) -> None:
    """Delete a topic; nothing happens when it does not exist."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        admin.delete_topics([name], operation_timeout=30)[name].result(timeout=60)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
