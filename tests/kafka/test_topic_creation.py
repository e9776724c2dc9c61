"""`topics.policy` `create`: the relay makes the missing topic, as the pipeline wants it, before its first record."""

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from delivery_kit import Driver, a_config, a_row, ids
from fix_relay import StartRelay
from pg_tide_dev.kafka import KafkaServer, create_topic, delete_topic
from pg_tide_relay.config.models import TopicsConfig
from pg_tide_relay.delivery_state import DeliveryState
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_config import admin_properties
from pg_tide_relay.topic_admin import CreationError, TopicCreator
from relay_kit import Tide, difference

MakeTopic = Callable[..., str]
NewKafka = Callable[..., KafkaServer]
ReadTopic = Callable[..., list[Message]]

COMPACT = {"cleanup.policy": "compact", "max.message.bytes": "54321"}


@pytest.fixture
def missing(kafka: KafkaServer) -> Iterator[str]:
    """Name of a topic that nobody has made yet."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    delete_topic(kafka.bootstrap, name)


def partitions_of(bootstrap: str, topic: str) -> int:
    found = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=10).topics
    return len(found[topic].partitions) if topic in found else 0


def settings_of(bootstrap: str, topic: str) -> dict[str, str]:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    found = admin.describe_configs([resource])[resource].result(timeout=30)
    return {name: str(entry.value) for name, entry in found.items()}


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def creating(kafka: KafkaServer, topic: str, **topics: Any) -> Driver:
    return Driver(a_config(brokers=kafka.bootstrap, topic=topic, topics={"policy": "create", **topics}))


def refused(driver: Driver) -> DeliveryState:
    """The state, once the driver's topic was refused."""
    driver.run_until(lambda: driver.delivery.state.name is StateName.ERROR)
    return driver.delivery.state


# -- what is made ---------------------------------------------------------------------------------------------


def test_a_missing_topic_is_made_with_exactly_these_partitions_and_settings_before_its_first_record(
    kafka: KafkaServer, missing: str, read_topic: ReadTopic
) -> None:
    """This broker would make one of its own kind when it was asked, so nobody asks it."""
    driver = creating(kafka, missing, partitions=5, replication=1, configs=COMPACT)
    driver.submit(*[a_row(number, key=b"%d" % number) for number in range(1, 21)])
    driver.run_until_settled(20)
    driver.close()
    assert driver.log.events("warning") == []
    assert partitions_of(kafka.bootstrap, missing) == 5
    assert settings_of(kafka.bootstrap, missing).items() >= COMPACT.items()
    records = read_topic(missing, 20)
    assert sorted(ids(records)) == list(range(1, 21))
    assert len({record.partition() for record in records}) > 1


def test_a_broker_that_makes_no_topics_makes_one_when_the_relay_wants_it_with_its_own_defaults(
    new_kafka: NewKafka,
) -> None:
    """No number of partitions or copies is given, nor settings: the broker's are taken."""
    kafka = new_kafka(properties={"auto.create.topics.enable": "false", "num.partitions": "4"})
    driver = creating(kafka, "orders")
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    assert partitions_of(kafka.bootstrap, "orders") == 4
    delete_topic(kafka.bootstrap, "orders")
    driver.submit(*[a_row(number, key=b"A") for number in range(2, 12)])
    driver.run_until_settled(11, timeout_s=60)  # deleted while it runs, it is made again
    driver.close()
    assert partitions_of(kafka.bootstrap, "orders") == 4


def test_every_topic_of_a_template_is_made_when_it_is_needed(kafka: KafkaServer, missing: str) -> None:
    driver = creating(kafka, f"{missing}{{op}}", partitions=2)
    driver.submit(a_row(1, key=b"A"), a_row(2, key=b"A", op=b"update"), a_row(3, key=b"A"))
    driver.run_until_settled(3)
    driver.close()
    made = [partitions_of(kafka.bootstrap, f"{missing}{op}") for op in ("insert", "update", "delete")]
    assert made == [2, 2, 0]
    for op in ("insert", "update"):
        delete_topic(kafka.bootstrap, f"{missing}{op}")


def test_a_topic_that_exists_is_left_as_it_is(kafka: KafkaServer, make_topic: MakeTopic) -> None:
    topic = make_topic(partitions=1, config={"max.message.bytes": "5000"})
    driver = creating(kafka, topic, partitions=6, configs=COMPACT)
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    driver.close()
    assert partitions_of(kafka.bootstrap, topic) == 1
    settings = settings_of(kafka.bootstrap, topic)
    assert (settings["max.message.bytes"], settings["cleanup.policy"]) == ("5000", "delete")


# -- who makes it ---------------------------------------------------------------------------------------------


def test_whoever_comes_second_finds_the_topic_of_the_first_and_leaves_it(
    kafka: KafkaServer, missing: str
) -> None:
    first, second = (
        TopicCreator(
            admin_properties(a_config(brokers=kafka.bootstrap), "test"),
            TopicsConfig(policy="create", partitions=partitions),
        )
        for partitions in (3, 5)
    )
    assert first.create(missing, 30) is True
    assert second.create(missing, 30) is False
    assert partitions_of(kafka.bootstrap, missing) == 3


def test_two_pipelines_that_want_the_same_topic_at_once_both_deliver(
    kafka: KafkaServer, missing: str, read_topic: ReadTopic
) -> None:
    drivers = [creating(kafka, missing, partitions=3) for _ in range(4)]
    for driver in drivers:
        driver.submit(a_row(1, key=b"A"), a_row(2, key=b"A"))
    drivers[0].run_until(lambda: [driver.step(0) for driver in drivers] and settled(drivers, 2))
    for driver in drivers:
        driver.close()
        assert driver.log.events("warning") == []
    assert len(read_topic(missing, 8)) == 8
    assert partitions_of(kafka.bootstrap, missing) == 3


def settled(drivers: list[Driver], message_id: int) -> bool:
    return all(driver.settled_id >= message_id for driver in drivers)


def test_creation_waits_on_the_worker_thread_and_leaves_no_client_behind(
    kafka: KafkaServer, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread must not wait for a cluster, nor for the end of a client's threads."""
    seen: list[tuple[str, int]] = []
    create = TopicCreator.create

    def watched(creator: TopicCreator, topic: str, timeout_s: float) -> bool:
        before = threads()
        made = create(creator, topic, timeout_s)
        seen.append((threading.current_thread().name, threads() - before))
        return made

    monkeypatch.setattr(TopicCreator, "create", watched)
    driver = creating(kafka, missing)
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    driver.close()
    ((thread, more_threads),) = seen
    assert thread.startswith("delivery-test")
    assert more_threads <= 1  # the producer may have got one for its connection meanwhile


def test_a_refused_creation_leaves_no_client_behind(kafka: KafkaServer, missing: str) -> None:
    creator = TopicCreator(
        admin_properties(a_config(brokers=kafka.bootstrap), "test"),
        TopicsConfig(policy="create", replication=3),
    )
    before = threads()
    with pytest.raises(CreationError, match="replication factor"):
        creator.create(missing, 30)
    assert threads() <= before


# -- a cluster that refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "code", "key"),
    [
        ({"replication": 3}, "INVALID_REPLICATION_FACTOR", "topics.replication"),
        ({"configs": {"no.such.setting": "1"}}, "INVALID_CONFIG", "topics.configs"),
        ({"configs": {"cleanup.policy": "shred"}}, "INVALID_CONFIG", "topics.configs"),
    ],
)
def test_what_the_cluster_refuses_is_an_error_that_names_topic_and_cause_and_ends_with_its_cause(
    kafka: KafkaServer, missing: str, read_topic: ReadTopic, wanted: dict[str, Any], code: str, key: str
) -> None:
    """Nothing is settled meanwhile. Somebody makes the topic by hand: delivery goes on by itself."""
    driver = creating(kafka, missing, **wanted)
    driver.submit(*[a_row(number, key=b"A") for number in range(1, 6)])
    state = refused(driver)
    assert (state.error_class, state.code, state.topic) == (ErrorClass.CONFIGURATION, code, missing)
    assert "can't be created" in (state.cause or "")
    assert key in (state.cure or "")
    assert driver.settled_id == 0
    create_topic(kafka.bootstrap, missing)
    driver.run_until_settled(5, timeout_s=60)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    assert ids(read_topic(missing, 5)) == [1, 2, 3, 4, 5]


def test_a_refused_topic_is_made_once_the_configuration_is_right_and_nothing_is_lost(
    tide: Tide, kafka: KafkaServer, missing: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Three copies on one broker; the operator sees it, corrects the pipeline, and the relay goes on."""
    tide.outbox()
    tide.pipeline(missing, topics={"policy": "create", "replication": 3, "partitions": 2})
    published = tide.publish_many(50, key="one")
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("configuration", "INVALID_REPLICATION_FACTOR")
    assert missing in row.error
    assert "topics.replication" in row.cure
    assert tide.pending() == 50
    assert partitions_of(kafka.bootstrap, missing) == 0
    tide.pipeline(missing, topics={"policy": "create", "replication": 1, "partitions": 2})
    tide.until_settled()
    tide.until_state("running")
    assert difference(ids(read_topic(missing, 50)), published) == ""
    assert partitions_of(kafka.bootstrap, missing) == 2


def test_two_relays_that_start_together_make_one_topic_for_both_of_their_pipelines(
    tide: Tide, kafka: KafkaServer, missing: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    tide.outbox()
    for name in ("one", "two"):
        tide.pipeline(missing, name=name, topics={"policy": "create", "partitions": 3})
    tide.publish_many(20)
    for name in ("one", "two"):
        start_relay(tide.dsn, "--pipeline", name)
    tide.until_settled("one", "two")
    assert [tide.pipeline_row(name).state for name in ("one", "two")] == ["running", "running"]
    assert len(read_topic(missing, 40)) == 40
    assert partitions_of(kafka.bootstrap, missing) == 3
