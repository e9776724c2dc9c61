"""Every row of docs/troubleshooting.md, provoked on a real broker; all at once, on one relay."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation

from docs_kit import ROOT, run_sql, runnable
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay, relays
from pg_tide_dev.kafka import create_topic
from pg_tide_dev.processes import Run, free_port
from relay_kit import Tide, records
from secured_kafka import SecuredKafka
from secured_kit import SCRAM_PASSWORD, SCRAM_USER, USER, as_printed, environment, without

PAGE = "docs/troubleshooting.md"
_ROW = re.compile(r"^\| `(\w+)` \| ([^`].+?) \| (.+?) \|$", re.MULTILINE)
Config = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A row of the page."""

    code: str
    part_of_error: str
    cure: str

    @property
    def pipeline(self) -> str:
        return f"{self.code} {self.part_of_error}"


ROWS = [Told(*cells) for cells in _ROW.findall((ROOT / PAGE).read_text(encoding="utf-8"))]


def plain(secured: SecuredKafka, topic: str = "there-events", **keys: object) -> Config:
    return {"sink_type": "kafka", "brokers": secured.bootstrap, "topic": topic, **keys}


def printed(secured: SecuredKafka, way: str, **keys: object) -> Config:
    return as_printed(way, secured, "there-events") | keys


PROVOKED: dict[str, tuple[str, Callable[[SecuredKafka], Config]]] = {
    "Connection refused": (
        "cluster_away",
        lambda secured: plain(secured, brokers=f"127.0.0.1:{free_port()}"),
    ),
    "Failed to resolve": ("cluster_away", lambda secured: plain(secured, brokers="kafka-9.invalid:9092")),
    "is closed without an answer": (
        "cluster_away",
        lambda secured: plain(secured, brokers=secured.addresses["PLAINTLS"]),
    ),
    "SSL connection closed by peer": (
        "cluster_away",
        lambda secured: printed(secured, "PLAIN", brokers=secured.bootstrap),
    ),
    "Authentication failed": (
        "credentials",
        lambda secured: printed(secured, "SCRAM-SHA-256", sasl_password="${env:KAFKA_PASS_WRONG}"),
    ),
    "broker's supported mechanisms: PLAIN": (
        "credentials",
        lambda secured: printed(secured, "PLAIN", sasl_mechanism="SCRAM-SHA-512"),
    ),
    "certificate verify failed": (
        "credentials",
        lambda secured: without(printed(secured, "PLAIN"), "tls_ca_cert"),
    ),
    "alert certificate required": (
        "credentials",
        lambda secured: without(printed(secured, "mTLS"), "tls_client_cert", "tls_client_key"),
    ),
    "KAFKA_UNSET is not set where the relay runs": (
        "configuration",
        lambda secured: printed(secured, "PLAIN", sasl_password="${env:KAFKA_UNSET}"),
    ),
    "(topic missing-events)": ("destination", lambda secured: plain(secured, "missing-events")),
    "(topic forbidden-events)": (
        "destination",
        lambda secured: printed(secured, "SCRAM-SHA-256", topic="forbidden-events"),
    ),
    "(topic narrow-events)": (
        "message",
        lambda secured: plain(secured, "narrow-events", dlq={"on_error": "stop"}),
    ),
}


@pytest.fixture(scope="module")
def troubled(shared_tide: Tide, secured: SecuredKafka, dev_run: Run) -> Iterator[Tide]:
    """One outbox with one large message; a pipeline for each row of the page, all with a relay."""
    for topic, most in (
        ("there-events", "1000000"),
        ("narrow-events", "1000"),
        ("forbidden-events", "1000000"),
    ):
        create_topic(secured.bootstrap, topic, config={"max.message.bytes": most})
    secured.set_password(SCRAM_USER, SCRAM_PASSWORD)
    for user in set(USER.values()):
        secured.grant(user, "there-events", AclOperation.WRITE)
    shared_tide.outbox("orders")
    shared_tide.publish({"x": "x" * 5_000})
    for row in ROWS:
        _, config = PROVOKED[row.part_of_error]
        shared_tide.pipeline(**without(config(secured), "sink_type"), name=row.pipeline)
    with relays(dev_run) as start:
        start(shared_tide.dsn, env=environment(secured))
        yield shared_tide


def test_every_fault_that_is_provoked_is_on_the_page_once() -> None:
    assert Counter(row.part_of_error for row in ROWS) == Counter(PROVOKED.keys())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pipeline)
def test_the_state_says_what_the_page_says(troubled: Tide, row: Told) -> None:
    """Code, object and cure; the message stays where it is."""
    error_class, _ = PROVOKED[row.part_of_error]
    state = "backing_off" if error_class in ("cluster_away", "destination") else "error"
    found = troubled.until_told(row.code, row.pipeline, part=row.part_of_error)
    assert (found.state, found.error_class, found.cure) == (state, error_class, row.cure)
    assert troubled.pending(row.pipeline) == 1
    assert (found.message_id is not None) == (error_class == "message")


def test_the_configuration_on_the_page_brings_an_entitys_events_into_one_partition(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """With dedup keys alone they are scattered; with the printed key they are in order."""
    scattered, together = make_topic(partitions=3), make_topic(partitions=3)
    tide.outbox("orders")
    published = [tide.publish({"customer": "c-1"}, dedup_key=f"order-{number}") for number in range(30)]
    tide.pipeline(scattered)
    start_relay(tide.dsn)
    tide.until_settled()
    assert len({message.partition() for message in read_topic(scattered)}) > 1
    (block,) = runnable(PAGE, "sql")[1:]
    tide.value("select tide.relay_drop('orders-to-kafka')")
    run_sql(tide.connection, block, {"localhost:9092": tide.bootstrap, "order-events": together})
    tide.until_settled()
    found = read_topic(together)
    assert len({message.partition() for message in found}) == 1
    assert [record.message_id for record in records(found)] == published
