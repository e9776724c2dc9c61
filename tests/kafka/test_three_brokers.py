"""What the page promises of clusters: each of its ways to authenticate delivers, and acks means what Kafka says.

One secured cluster of three for the file; whoever takes nodes away brings them back.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic

import brief_page
from fix_kafka import ReadTopic
from fix_relay import StartRelay
from fix_run import Progress
from pg_tide_dev.processes import Run
from relay_kit import Tide, difference, first_occurrences, ids
from secured_kafka import WRITER, SecuredKafka, start_secured
from secured_kit import (
    MECHANISM,
    PRINTED,
    SCRAM_PASSWORD,
    SCRAM_USER,
    USER,
    as_printed,
    environment,
    relay_line,
    trusting,
    without,
)
from waiting import for_all_of

MESSAGES = 20


@pytest.fixture(scope="module")
def cluster(
    dev_run: Run, progress: Progress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredKafka]:
    started = start_secured(dev_run, tmp_path_factory.mktemp("authority"), progress, nodes=3)
    for mechanism in MECHANISM.values():
        started.set_password(SCRAM_USER, SCRAM_PASSWORD, mechanism)
    yield started
    started.kill()


def topic_on(cluster: SecuredKafka, leader: int) -> str:
    """A topic with one partition and a copy on each node, led by this one."""
    name = f"test-{secrets.token_hex(6)}"
    copies = [leader, *(node for node in (1, 2, 3) if node != leader)]
    new = NewTopic(name, num_partitions=1, replica_assignment=[copies], config={"min.insync.replicas": "2"})
    cluster.admin.create_topics([new], operation_timeout=30)[name].result(timeout=60)
    return name


# -- authentication ---------------------------------------------------------------------------------------


def test_no_authentication_as_printed_delivers(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """TID-A1: three keys, nothing else."""
    printed = brief_page.json_in(brief_page.section(*brief_page.NO_AUTHENTICATION))
    ours = {"localhost:9092": tide.bootstrap, "dev-events": topic}
    tide.outbox("orders")
    call = "select tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay', %s::jsonb)"
    tide.value(call, brief_page.replaced(printed, ours))
    published = tide.publish_many(MESSAGES, key="one")
    start_relay(tide.dsn)
    tide.until_settled()
    assert difference(ids(read_topic(topic)), published) == ""


@pytest.mark.parametrize("way", list(PRINTED))
def test_an_authentication_as_printed_delivers(
    tide: Tide,
    cluster: SecuredKafka,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    tmp_path: Path,
    way: str,
) -> None:
    """TID-A2 to TID-A4, secrets in the relay's environment, through the first broker of the list."""
    topic = topic_on(cluster, 1)
    cluster.grant(USER[way], topic, *WRITER)
    config = as_printed(way, cluster, topic)
    shell = trusting(cluster.authority.certificate, relay_line(tide.dsn), tmp_path)
    if shell and way != "mTLS":  # as printed, to the letter: the system trusts whoever signed
        config = without(config, "tls_ca_cert")
    tide.outbox("orders")
    tide.pipeline(**without(config, "sink_type"))
    published = tide.publish_many(MESSAGES, key="one")
    start_relay(tide.dsn, env=environment(cluster), command=shell or ())
    tide.until_settled()
    assert difference(ids(read_topic(topic, bootstrap=cluster.bootstrap)), published) == ""
    stored = str(tide.value("select config from tide.pipeline"))
    assert SCRAM_PASSWORD not in stored


def test_of_three_brokers_listed_one_may_be_away_when_the_relay_starts(
    tide: Tide, cluster: SecuredKafka, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The first of the list is not there: the others are asked, and lead in its place."""
    topic = topic_on(cluster, 1)
    cluster.grant(SCRAM_USER, topic, *WRITER)
    tide.outbox("orders")
    tide.pipeline(**without(as_printed("SCRAM-SHA-256", cluster, topic), "sink_type"))
    published = tide.publish_many(MESSAGES, key="one")
    cluster.kill_node(1)
    try:
        start_relay(tide.dsn, env=environment(cluster))
        tide.until_settled(within=60)
    finally:
        cluster.start_node(1)
    assert difference(ids(read_topic(topic, bootstrap=cluster.bootstrap)), published) == ""


# -- acks -------------------------------------------------------------------------------------------------


def test_acks_0_1_and_all_wait_for_nobody_for_the_leader_and_for_its_followers(
    tide: Tide, cluster: SecuredKafka, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """TID-D4. Both followers die: only `all` waits, and says so. The leader freezes, too: only `0` goes on.

    Every copy is back: everything is on each topic, in order.
    """
    tide.outbox("orders")
    topics = {acks: topic_on(cluster, 1) for acks in ("0", "1", "all")}
    for acks, topic in topics.items():
        tide.pipeline(topic, name=acks, brokers=cluster.bootstrap, acks=acks, request_timeout_ms=3000)
    start_relay(tide.dsn)
    published = tide.publish_many(MESSAGES, key="one")
    tide.until_settled(*topics, within=90)

    cluster.kill_node(2)
    cluster.kill_node(3)
    frozen = False
    try:
        published += tide.publish_many(MESSAGES, key="one")
        tide.until_settled("0", "1", within=90)
        row = tide.until_state("backing_off", "all", within=90)
        assert row.error_class == "cluster_away"
        assert tide.pending("all") == MESSAGES

        cluster.pause_node(1)
        frozen = True
        published += tide.publish_many(MESSAGES, key="one")
        tide.until_settled("0", within=90)
        for_all_of(2.0, lambda: tide.pending("1") == MESSAGES, why=lambda: tide.seen("1"))
        assert tide.pending("all") == 2 * MESSAGES
        cluster.resume_node(1)
        frozen = False
        tide.until_settled("1", within=90)
        assert tide.pending("all") == 2 * MESSAGES
    finally:
        if frozen:
            cluster.resume_node(1)
        cluster.start_node(2)
        cluster.start_node(3)
    tide.until_settled("all", within=90)
    assert tide.until_state("running", "all").error is None
    for acks, topic in topics.items():
        arrived = ids(read_topic(topic, len(published), bootstrap=cluster.bootstrap))
        assert difference(first_occurrences(arrived), published) == "", acks
