"""Kafka nodes as processes of a run: each is broker and controller (KRaft), on ports of its own."""

import base64
import secrets
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pg_tide_dev.places import give
from pg_tide_dev.processes import Process, Run, attempts, free_port
from pg_tide_dev.sources import Source

# Memory and time to start matter here, throughput does not: half of a default broker's memory, ready in 2 s.
HEAP = "-Xmx256m"
QUICK_START_FLAGS = ("-XX:TieredStopAtLevel=1",)  # the first compiler only
COMMON_FLAGS = ("-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto", "-Xlog:disable")
SMALL_BROKER = {
    "log.cleaner.dedupe.buffer.size": "2097152",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "background.threads": "2",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # a killed node can register again only after its session has timed out: 9 s by default
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
# With the defaults a cluster needs up to 13 s to notice that a node was killed, and 30 s that one was paused.
FAST_FAILOVER = {
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "300",
    "controller.quorum.fetch.timeout.ms": "1000",
    "controller.quorum.election.timeout.ms": "500",
    "replica.lag.time.max.ms": "2000",
    "controller.socket.timeout.ms": "3000",
    "replica.socket.timeout.ms": "3000",
    "request.timeout.ms": "3000",
}
READY_SECONDS = 90.0
CHECKPOINT = "bootstrap.checkpoint"
LOGGING = """Configuration:
  status: error
  Appenders: {Console: {name: C, target: SYSTEM_ERR, PatternLayout: {pattern: "%d %p %c - %m%n"}}}
  Loggers: {Root: {level: WARN, AppenderRef: {ref: C}}}
"""


@dataclass(frozen=True, kw_only=True)
class Programs:
    """What is needed to run Kafka: a Java runtime and a folder of jars."""

    java: Path
    jars: Path
    source: Source
    archive: Path | None = None  # of classes, for this Java runtime and these jars
    checkpoint: Path | None = None  # what formatting a data folder leaves in it


@dataclass(frozen=True, kw_only=True)
class Address:
    """The ports of one node."""

    node_id: int
    client_port: int
    controller_port: int


def new_addresses(count: int) -> list[Address]:
    """Free ports for a new cluster."""
    ports: set[int] = set()
    while len(ports) < 2 * count:
        ports.add(free_port())
    taken = list(ports)
    return [
        Address(node_id=i + 1, client_port=taken[2 * i], controller_port=taken[2 * i + 1])
        for i in range(count)
    ]


def kafka_id() -> str:
    """A random id as Kafka writes them: 16 bytes in base64 for URLs, not starting with a dash."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def node_properties(
    address: Address, cluster: Sequence[Address], folder: Path, extra: Mapping[str, str]
) -> str:
    """A node's configuration file; `extra` wins."""
    copies = min(3, len(cluster))
    in_sync = 2 if copies == 3 else 1
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(address.node_id),
        "controller.quorum.voters": ",".join(
            f"{one.node_id}@127.0.0.1:{one.controller_port}" for one in cluster
        ),
        "listeners": f"PLAINTEXT://127.0.0.1:{address.client_port},CONTROLLER://127.0.0.1:{address.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder / "data"),
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(in_sync),
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(in_sync),
        **SMALL_BROKER,
        **(FAST_FAILOVER if len(cluster) > 1 else {}),
        **extra,
    }
    return lines(settings)


def lines(settings: Mapping[str, str]) -> str:
    """A file of Java properties."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


class KafkaNode:
    """One node: its folder and, while it runs, its process."""

    def __init__(self, run: Run, programs: Programs, address: Address, *, full_speed: bool = False) -> None:
        self.address = address
        self.folder = run.make_folder(f"kafka-node{address.node_id}")
        self._run = run
        self._programs = programs
        self._full_speed = full_speed
        self._process: Process | None = None

    @property
    def bootstrap(self) -> str:
        """The node's address for clients."""
        return f"127.0.0.1:{self.address.client_port}"

    @property
    def process(self) -> Process | None:
        """None while the node is stopped."""
        return self._process

    def configure(self, cluster: Sequence[Address], extra: Mapping[str, str]) -> None:
        """Write the node's files."""
        self._write("server.properties", node_properties(self.address, cluster, self.folder, extra))
        self._write("log4j2.yaml", LOGGING)

    def format(self, cluster_id: str, arguments: Sequence[str]) -> None:
        """Prepare the node's data folder; with `arguments`, Kafka's own tool has to do it."""
        if self._programs.checkpoint is not None and not arguments:
            data = self.folder / "data"
            data.mkdir(mode=0o700)
            give(data)
            identity = {"version": "1", "cluster.id": cluster_id, "directory.id": kafka_id()}
            self._write("data/meta.properties", lines({**identity, "node.id": str(self.address.node_id)}))
            shutil.copyfile(self._programs.checkpoint, data / CHECKPOINT)
            give(data / CHECKPOINT)
            return
        tool = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster_id,
            "-c",
            str(self.folder / "server.properties"),
        ]
        self._run.call([*self.java_command(), *tool, *arguments])

    def start(self, *flags: str) -> None:
        """Start the node, with more flags for the Java runtime; returns at once."""
        if self._process is None:
            command = [*self.java_command(*flags), "kafka.Kafka", str(self.folder / "server.properties")]
            self._process = self._run.start(command, log=self.folder / "kafka.log")

    def stop(self) -> None:
        """Controlled shutdown: leadership is handed over first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """What a crash does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """The node keeps its connections and answers nothing."""
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Let a paused node go on."""
        if self._process is not None:
            self._process.resume()

    def java_command(self, *flags: str) -> list[str]:
        """The command line up to the class."""
        speed = [] if self._full_speed else [*QUICK_START_FLAGS]
        if self._programs.archive is not None:
            speed.append(f"-XX:SharedArchiveFile={self._programs.archive}")
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}"
        scratch = f"-Djava.io.tmpdir={self.folder}"
        class_path = f"{self._programs.jars}/*"
        java = [str(self._programs.java), HEAP, *COMMON_FLAGS, *speed, *flags]
        return [*java, logging, scratch, "-cp", class_path]

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(number)
            self._process = None

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        give(path)


def wait_ready(bootstrap: str, node_ids: Sequence[int], processes: Sequence[Process]) -> None:
    """Wait until the metadata answers and names every node."""
    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
    }
    for _ in attempts(READY_SECONDS, lambda: processes):
        try:
            # A new client each time: one that was answered too late asks at the advertised address from then on,
            # and behind that a test may have put something that is not there yet.
            answered = AdminClient(settings).list_topics(timeout=2.0).brokers
        except KafkaException:
            continue
        if set(node_ids) <= set(answered):
            return
