"""Missing topics: waited for by name, never a message's fault, never skipped."""

import secrets
from collections.abc import Callable

from confluent_kafka import Message

from delivery_kit import Driver, a_config, a_row, ids
from pg_tide_dev.kafka import KafkaServer, create_topic, delete_topic
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass

MakeTopic = Callable[..., str]
NewKafka = Callable[..., KafkaServer]
ReadTopic = Callable[..., list[Message]]


def waits_for(driver: Driver, topic: str) -> bool:
    state = driver.delivery.state
    return (state.name, state.error_class, state.topic) == (
        StateName.BACKING_OFF,
        ErrorClass.DESTINATION,
        topic,
    )


def test_a_topic_that_is_required_is_waited_for_and_then_written(
    kafka: KafkaServer, read_topic: ReadTopic
) -> None:
    """Policy `require` never makes the broker create it; once somebody has, delivery goes on by itself."""
    topic = f"test-{secrets.token_hex(6)}"
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, topics={"policy": "require"}))
    driver.submit(a_row(1, key=b"A"), a_row(2, key=b"A"))
    driver.run_until(lambda: waits_for(driver, topic))
    assert "Create the topic" in (driver.delivery.state.cure or "")
    assert driver.settled_id == 0
    create_topic(kafka.bootstrap, topic)
    driver.run_until_settled(2)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    assert len(read_topic(topic, 2)) == 2
    delete_topic(kafka.bootstrap, topic)


def test_the_broker_creates_a_topic_on_its_first_message(kafka: KafkaServer, read_topic: ReadTopic) -> None:
    """Policy `broker`, the default: no trouble is ever shown."""
    topic = f"test-{secrets.token_hex(6)}"
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic))
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    driver.close()
    assert driver.log.events("warning") == []
    assert len(read_topic(topic, 1)) == 1
    delete_topic(kafka.bootstrap, topic)


def test_a_broker_that_creates_no_topics_is_waited_for(new_kafka: NewKafka, read_topic: ReadTopic) -> None:
    """auto.create.topics.enable=false: the same waiting, the same cure."""
    kafka = new_kafka(properties={"auto.create.topics.enable": "false"})
    driver = Driver(a_config(brokers=kafka.bootstrap, topic="missing"))
    driver.submit(a_row(1))
    driver.run_until(lambda: waits_for(driver, "missing"))
    create_topic(kafka.bootstrap, "missing")
    driver.run_until_settled(1)
    driver.close()
    assert len(read_topic("missing", bootstrap=kafka.bootstrap)) == 1


def test_a_missing_topic_of_one_message_holds_what_is_behind_it_and_nothing_before(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """Topics come from a template: what was for topics that are there is delivered and settled."""
    there = make_topic()
    config = a_config(
        brokers=kafka.bootstrap, topic=f"{there}{{stream_table}}{{op}}", topics={"policy": "require"}
    )
    inserts, updates = f"{there}ordersinsert", f"{there}ordersupdate"
    create_topic(kafka.bootstrap, inserts)
    driver = Driver(config)
    driver.submit(
        a_row(1, key=b"A"), a_row(2, key=b"A", op=b"update"), a_row(3, key=b"B"), a_row(4, key=b"B")
    )
    driver.run_until(lambda: waits_for(driver, updates))
    driver.run_until_settled(1)
    assert len(read_topic(inserts, 1)) == 1
    create_topic(kafka.bootstrap, updates)
    driver.run_until_settled(4)
    driver.close()
    assert len(read_topic(inserts, 3)) == 3
    for topic in (inserts, updates):
        delete_topic(kafka.bootstrap, topic)


def test_a_topic_deleted_while_running_is_waited_for_and_order_is_kept(
    new_kafka: NewKafka, read_topic: ReadTopic
) -> None:
    """Its loss is noticed from the reports; made again, it gets everything that had no outcome, in order."""
    kafka = new_kafka(properties={"auto.create.topics.enable": "false"})
    create_topic(kafka.bootstrap, "orders")
    driver = Driver(a_config(brokers=kafka.bootstrap))
    driver.submit(*[a_row(number, key=b"A") for number in range(1, 6)])
    driver.run_until_settled(5)
    delete_topic(kafka.bootstrap, "orders")
    driver.submit(*[a_row(number, key=b"A") for number in range(6, 26)])
    driver.run_until(lambda: waits_for(driver, "orders"), timeout_s=60)
    create_topic(kafka.bootstrap, "orders")
    driver.run_until_settled(25, timeout_s=60)
    driver.close()
    records = read_topic("orders", 20, bootstrap=kafka.bootstrap)
    assert list(dict.fromkeys(ids(records))) == list(range(6, 26))
