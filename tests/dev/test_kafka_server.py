"""Kafka as tests get it."""

from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from fix_kafka import MakeTopic, NewKafka, ReadTopic
from pg_tide_dev.errors import ServerFailedError
from pg_tide_dev.kafka import KafkaServer, LocalKafka, create_topic


def produce(bootstrap: str, topic: str, values: list[str], **settings: object) -> list[str]:
    """Produce values under one key; returns the errors of those that were not acknowledged."""
    errors: list[str] = []
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0, **settings}
    )
    for value in values:
        producer.produce(
            topic, value, key="k", on_delivery=lambda error, _: errors.append(str(error)) if error else None
        )
    assert producer.flush(60) == 0
    return errors


def values(records: list[object]) -> list[str]:
    """The records' values as text."""
    return [record.value().decode() for record in records]  # type: ignore[attr-defined]


def listening_addresses(port: int) -> set[str]:
    """The addresses, in the kernel's notation, on which something listens at a port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            address, number = line.split()[1].split(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                found.add(address)
    return found


def test_every_record_of_a_topic_is_read_in_order(
    kafka: KafkaServer, topic: str, read_topic: ReadTopic
) -> None:
    """What a test reads from its topic is what was produced, nothing more."""
    sent = [str(number) for number in range(10)]
    assert produce(kafka.bootstrap, topic, sent) == []
    assert values(read_topic(topic, 10)) == sent


def test_kafkas_own_console_consumer_prints_records(kafka: KafkaServer, topic: str) -> None:
    """A reader that shares no code with the client under test."""
    produce(kafka.bootstrap, topic, ["one", "two"])
    assert kafka.console_consumer(topic, 2) == ["one", "two"]
    printed = kafka.console_consumer(topic, 2, "--formatter-property", "print.key=true")
    assert printed == ["k\tone", "k\ttwo"]


def test_a_topic_has_the_wanted_partitions_and_configuration(
    kafka: KafkaServer, make_topic: MakeTopic
) -> None:
    """A record above a topic's limit is refused by the broker, as it will be in production."""
    name = make_topic(partitions=5, config={"max.message.bytes": "1000"})
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 5
    [error] = produce(kafka.bootstrap, name, ["x" * 5000])
    assert "MSG_SIZE_TOO_LARGE" in error


def test_a_broker_listens_on_the_loopback_only(new_kafka: NewKafka) -> None:
    """Client and controller port alike; the properties that were asked for are in force."""
    cluster = new_kafka(properties={"auto.create.topics.enable": "false"})
    assert isinstance(cluster, LocalKafka)
    address = cluster.node(1).address
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    for port in (address.client_port, address.controller_port):
        listening = listening_addresses(port)
        assert listening
        assert listening <= loopback
    [error] = produce(cluster.bootstrap, "not-there", ["x"], **{"message.timeout.ms": 3000})
    assert error


def test_a_broker_starts_from_the_prepared_class_archive(new_kafka: NewKafka) -> None:
    """Where an archive does not fit, Java reads 5,000 classes from jars instead, without a word."""
    cluster = new_kafka()
    assert isinstance(cluster, LocalKafka)
    process = cluster.node(1).process
    assert process is not None
    assert "/kafka.jsa\n" in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")


def test_a_killed_broker_comes_back_at_its_address_with_its_records(
    new_kafka: NewKafka, read_topic: ReadTopic
) -> None:
    """A crash of the broker loses nothing that was acknowledged and flushed by the system."""
    cluster = new_kafka()
    create_topic(cluster.bootstrap, "kept")
    produce(cluster.bootstrap, "kept", ["before"])
    cluster.kill()
    cluster.start()
    produce(cluster.bootstrap, "kept", ["after"])
    assert values(read_topic("kept", 2, bootstrap=cluster.bootstrap)) == ["before", "after"]


def test_three_nodes_survive_the_loss_of_one_and_take_it_back(
    kafka_cluster3: KafkaServer, read_topic: ReadTopic
) -> None:
    """Topics have three copies and two are enough to acknowledge; a paused node is a lost one until it goes on."""
    cluster = kafka_cluster3
    create_topic(cluster.bootstrap, "copied", partitions=3)
    assert produce(cluster.bootstrap, "copied", ["all there"]) == []
    cluster.kill_node(2)
    assert produce(cluster.bootstrap, "copied", ["one killed"]) == []
    cluster.start_node(2)
    cluster.pause_node(3)
    impatient = {"socket.timeout.ms": 2000, "request.timeout.ms": 2000}  # a paused node answers nothing
    assert produce(cluster.bootstrap, "copied", ["one paused"], **impatient) == []
    cluster.resume_node(3)
    assert values(read_topic("copied", 3, bootstrap=cluster.bootstrap)) == [
        "all there",
        "one killed",
        "one paused",
    ]


def test_a_broker_that_cannot_start_is_reported_with_its_log(new_kafka: NewKafka) -> None:
    """The cause stands in the error, not in a file that is gone."""
    with pytest.raises(ServerFailedError, match=r"min\.insync\.replicas"):
        new_kafka(properties={"min.insync.replicas": "none"})
