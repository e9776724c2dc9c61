"""The page's four ways to authenticate, each as it is printed, on a secured broker."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka.admin import ScramMechanism

import brief_page
from certificates import Authority
from relay_kit import Tide
from secured_kafka import API_KEY, API_SECRET, WRITER, SecuredKafka

SCRAM_USER, SCRAM_PASSWORD = "relay-user", "relay-s3cret"
NEXT_PASSWORD = "next-s3cret"
CERTIFIED_USER = "relay"
"""The name in the relay's certificate."""

PRINTED = {
    "PLAIN": brief_page.CONFLUENT_CLOUD,
    "SCRAM-SHA-256": brief_page.SCRAM,
    "SCRAM-SHA-512": brief_page.SCRAM,
    "mTLS": brief_page.MTLS,
}
LISTENER = {
    "PLAIN": "PLAINTLS",
    "SCRAM-SHA-256": "SCRAMTLS",
    "SCRAM-SHA-512": "SCRAMTLS",
    "mTLS": "MTLS",
}
USER = {
    "PLAIN": API_KEY,
    "SCRAM-SHA-256": SCRAM_USER,
    "SCRAM-SHA-512": SCRAM_USER,
    "mTLS": CERTIFIED_USER,
}
MECHANISM = {
    "SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256,
    "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512,
}
Config = dict[str, Any]
_SYSTEM_STORE = Path("/etc/ssl/certs/ca-certificates.crt")


def environment(secured: SecuredKafka) -> dict[str, str]:
    """The variables that the page's configurations refer to, and two of an administrator who changes passwords."""
    return {
        "CONFLUENT_BOOTSTRAP_SERVERS": secured.addresses["PLAINTLS"],
        "CONFLUENT_API_KEY": API_KEY,
        "CONFLUENT_API_SECRET": API_SECRET,
        "KAFKA_USER": SCRAM_USER,
        "KAFKA_PASS": SCRAM_PASSWORD,
        "KAFKA_PASS_NEXT": NEXT_PASSWORD,
        "KAFKA_PASS_WRONG": "wr0ng",
    }


def as_printed(way: str, secured: SecuredKafka, topic: str) -> dict[str, Any]:
    """A configuration of the page; only addresses, paths and the topic are this machine's.

    SCRAM-SHA-512 is the printed SCRAM-SHA-256 with that mechanism. The one key more is `tls_ca_cert`, where the page
    trusts the system's authorities: this one is not among them.
    """
    config: dict[str, Any] = json.loads(brief_page.json_in(brief_page.section(*PRINTED[way])))
    config["topic"] = topic
    if not config["brokers"].startswith("${"):
        config["brokers"] = secured.addresses[LISTENER[way]]
    if way in MECHANISM:
        config["sasl_mechanism"] = way
    if "tls_client_cert" in config:
        certificate, key = secured.authority.issue(CERTIFIED_USER)
        config |= {"tls_client_cert": str(certificate), "tls_client_key": str(key)}
    return config | {"tls_ca_cert": str(secured.authority.certificate)}


def trusting(authority: Path, program: str, folder: Path) -> list[str] | None:
    """A command that runs a shell line where the system trusts one authority more; None: not possible here.

    The line sees another file in the place of the system's store, in a mount namespace of its own.
    """
    if not _SYSTEM_STORE.exists():
        return None
    store = folder / "store.pem"
    store.write_bytes(_SYSTEM_STORE.read_bytes() + authority.read_bytes())
    apart = (
        ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    )
    mount = shlex.join(["mount", "--bind", str(store), str(_SYSTEM_STORE)])
    try:
        tried = subprocess.run([*apart, "sh", "-c", mount], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return [*apart, "sh", "-c", f"{mount} && exec {program}"] if tried.returncode == 0 else None


def relay_line(dsn: str) -> str:
    """What starts a relay, for a shell."""
    return shlex.join([sys.executable, "-m", "pg_tide_relay", "--postgres-url", dsn])


def without(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The configuration without some of its keys."""
    return {key: value for key, value in config.items() if key not in keys}


WAITING = 20
"""Messages that a case publishes at a time."""


@dataclass(kw_only=True)
class Case:
    """One pipeline on the secured broker, and everything that is done to it."""

    tide: Tide
    secured: SecuredKafka
    strangers: Authority
    way: str
    name: str
    topic: str
    published: list[int] = field(default_factory=list)

    @property
    def printed(self) -> Config:
        return as_printed(self.way, self.secured, self.topic)

    def set(self, config: Config) -> None:
        call = "select tide.relay_set_outbox(%s, %s, %s, %s::jsonb)"
        self.tide.value(call, self.name, self.name, self.name, json.dumps(config))

    def publish(self) -> None:
        self.published += self.tide.publish_many(WAITING, outbox=self.name, key="one")

    def change_password(self) -> None:
        """What is connected stays so until it must prove itself again."""
        self.set_password(NEXT_PASSWORD)
        self.tide.until_state("error", self.name)

    def set_password(self, password: str) -> None:
        self.secured.set_password(SCRAM_USER, password, MECHANISM[self.way])

    def grant(self) -> None:
        self.secured.grant(USER[self.way], self.topic, *WRITER)

    def revoke(self) -> None:
        self.secured.revoke(USER[self.way], self.topic)

    def pending(self) -> int:
        return self.tide.pending(self.name)


NewCase = Callable[[str], Case]
