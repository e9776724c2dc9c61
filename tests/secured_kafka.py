"""A Kafka that asks who is there and what they may do: listeners with SASL and TLS, rights granted one by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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

from certificates import Authority
from pg_tide_dev.kafka import find_programs
from pg_tide_dev.kafka_nodes import Address, KafkaNode, kafka_id, new_addresses, wait_ready
from pg_tide_dev.kafka_prepare import prepared
from pg_tide_dev.places import give
from pg_tide_dev.processes import Run, free_port
from pg_tide_dev.sources import Source

API_KEY, API_SECRET = "api-key", "api-s3cret"
"""The one user that the listener for PLAIN knows: Kafka keeps such users in its own configuration."""

REAUTHENTICATE_MS = 3000
"""How long a connection to the listener for SCRAM over TLS lives before it must prove itself again (KIP-368)."""

LISTENERS = {
    "PLAINTEXT": "PLAINTEXT",
    "SCRAM": "SASL_PLAINTEXT",
    "PLAINTLS": "SASL_SSL",
    "SCRAMTLS": "SASL_SSL",
    "MTLS": "SSL",
}
_MODULE = "org.apache.kafka.common.security"
_SCRAM_LOGIN = f"{_MODULE}.scram.ScramLoginModule required;"
_PLAIN_LOGIN = f'{_MODULE}.plain.PlainLoginModule required user_{API_KEY}="{API_SECRET}";'
_MECHANISMS = {
    ScramMechanism.SCRAM_SHA_256: "SCRAM-SHA-256",
    ScramMechanism.SCRAM_SHA_512: "SCRAM-SHA-512",
}
WRITER = (AclOperation.WRITE, AclOperation.DESCRIBE)
"""What a pipeline's user needs on its topic."""


@dataclass(frozen=True, kw_only=True)
class SecuredKafka:
    """Addresses by listener, an administrator's client, and the authority that signed the brokers' certificates."""

    nodes: tuple[KafkaNode, ...]
    addresses: Mapping[str, str]
    """For `bootstrap.servers`, by name of the listener (those of LISTENERS); every node is listed."""
    admin: AdminClient
    authority: Authority

    @property
    def bootstrap(self) -> str:
        """The listener for administrators: no questions asked, all rights."""
        return self.addresses["PLAINTEXT"]

    @property
    def scram(self) -> str:
        """SCRAM without TLS."""
        return self.addresses["SCRAM"]

    def set_password(
        self, user: str, password: str, mechanism: ScramMechanism = ScramMechanism.SCRAM_SHA_256
    ) -> None:
        """Give a user a password, or another one; connections that are open stay so."""
        info = ScramCredentialInfo(mechanism, 4096)
        change = UserScramCredentialUpsertion(user, info, password.encode())
        self.admin.alter_user_scram_credentials([change])[user].result(timeout=30)

    def grant(self, user: str, topic: str, *operations: AclOperation) -> None:
        """Let a user do something with a topic."""
        rights = [
            AclBinding(
                ResourceType.TOPIC,
                topic,
                ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for operation in operations
        ]
        for done in self.admin.create_acls(rights).values():
            done.result(timeout=30)

    def revoke(self, user: str, topic: str, operation: AclOperation = AclOperation.ANY) -> None:
        """Take a right on a topic back, or all of them."""
        rights = AclBindingFilter(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for done in self.admin.delete_acls([rights]).values():
            assert done.result(timeout=30), "there was no such right"

    def kill_node(self, node_id: int) -> None:
        """Crash one node."""
        self.nodes[node_id - 1].kill()

    def start_node(self, node_id: int) -> None:
        """Start one node again; returns when it is in the cluster's metadata."""
        node = self.nodes[node_id - 1]
        node.start()
        wait_ready(node.bootstrap, [node_id], [node.process] if node.process else [])

    def pause_node(self, node_id: int) -> None:
        """Freeze one node: its connections stay, it answers nothing."""
        self.nodes[node_id - 1].pause()

    def resume_node(self, node_id: int) -> None:
        """Let a paused node go on."""
        self.nodes[node_id - 1].resume()

    def kill(self) -> None:
        """Crash every node."""
        for node in self.nodes:
            node.kill()


def start_secured(run: Run, folder: Path, progress: object = print, *, nodes: int = 1) -> SecuredKafka:
    """Start a secured cluster; returns when every node answers. `folder` gets the certificates."""
    found = find_programs(Source.PACKAGES, progress)  # type: ignore[arg-type]
    assert found is not None
    programs = prepared(run, found)
    authority = Authority(folder)
    cluster = new_addresses(nodes)
    cluster_id = kafka_id()
    ports = {address.node_id: _ports(address) for address in cluster}
    started = []
    for address in cluster:
        node = KafkaNode(run, programs, address)
        node.configure(
            cluster, _properties(address, ports[address.node_id], _key_store(authority, node), authority)
        )
        node.format(cluster_id, [])
        node.start()
        started.append(node)
    addresses = {
        name: ",".join(f"127.0.0.1:{ports[address.node_id][name]}" for address in cluster)
        for name in LISTENERS
    }
    wait_ready(
        addresses["PLAINTEXT"],
        [address.node_id for address in cluster],
        [node.process for node in started if node.process],
    )
    return SecuredKafka(
        nodes=tuple(started),
        addresses=addresses,
        admin=AdminClient({"bootstrap.servers": addresses["PLAINTEXT"], "log_level": 0}),
        authority=authority,
    )


def _ports(address: Address) -> dict[str, int]:
    return {name: address.client_port if name == "PLAINTEXT" else free_port() for name in LISTENERS}


def _key_store(authority: Authority, node: KafkaNode) -> Path:
    """A node's key and certificates in one file, as Kafka wants them."""
    certificate, key = authority.issue(f"node{node.address.node_id}")
    store, trusted = node.folder / "node.pem", node.folder / "trusted.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    trusted.write_bytes(authority.certificate.read_bytes())
    give(store)
    give(trusted)
    return store


def _properties(
    address: Address, ports: Mapping[str, int], store: Path, authority: Authority
) -> dict[str, str]:
    listeners = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
    scram = {
        f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config": _SCRAM_LOGIN
        for listener in ("scram", "scramtls")
        for mechanism in _MECHANISMS.values()
    }
    return {
        "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{address.controller_port}"]),
        "listener.security.protocol.map": ",".join(
            f"{name}:{protocol}" for name, protocol in {**LISTENERS, "CONTROLLER": "PLAINTEXT"}.items()
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": ",".join(_MECHANISMS.values()),
        **scram,
        "listener.name.plaintls.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plaintls.plain.sasl.jaas.config": _PLAIN_LOGIN,
        "listener.name.scramtls.connections.max.reauth.ms": str(REAUTHENTICATE_MS),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(store.with_name("trusted.pem")),
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.mtls.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "auto.create.topics.enable": "false",
    }
