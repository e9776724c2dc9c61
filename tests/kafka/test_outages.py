"""PostgreSQL or Kafka away, at the start or later: waited for, said once, and everything goes on by itself."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

from delivery_kit import STOP
from fix_kafka import MakeTopic, NewKafka, ReadTopic
from fix_postgres import NewPostgres, install_schema
from fix_relay import Relay, StartRelay
from pg_tide_dev.kafka import KafkaServer, create_topic
from pg_tide_dev.postgres import PostgresServer
from relay_kit import FAST, Tide, alter_topic, difference, first_occurrences, ids
from waiting import eventually, for_all_of

AWAY = "database is away"
SAID = ("backing_off", "running")


@pytest.fixture
def server(new_postgres: NewPostgres) -> PostgresServer:
    """A PostgreSQL of the test's own, with the schema."""
    started = new_postgres(18)
    install_schema(started.dsn())
    return started


Connected = Callable[[], Tide]


@pytest.fixture
def connected(server: PostgresServer, kafka: KafkaServer) -> Iterator[Connected]:
    """Connects to that PostgreSQL: `connected()`, again after each of its crashes."""
    with ExitStack() as connections:

        def connect() -> Tide:
            connections.close()
            return Tide(
                connections.enter_context(psycopg.connect(server.dsn(), autocommit=True)), kafka.bootstrap
            )

        yield connect


def away_lines(relay: Relay) -> int:
    """How often it was said that the database is away; reminders and sums of them do not count."""
    return sum("repeated" not in line for line in relay.lines(AWAY))


def answers_lines(relay: Relay) -> int:
    """How often it was said that the database is there, in whatever way."""
    return len(relay.lines("database answers"))


# -- PostgreSQL -------------------------------------------------------------------------------------------


def test_a_database_that_is_away_at_the_start_is_waited_for_and_named_once(
    server: PostgresServer, connected: Connected, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    tide = connected()
    tide.outbox()
    tide.pipeline(topic)
    published = tide.publish_many(3, key="one")
    server.kill()
    relay = start_relay(server.dsn())
    relay.wait_for(AWAY)
    for_all_of(3.0, lambda: away_lines(relay) == 1)
    server.start()
    assert difference(ids(read_topic(topic, 3)), published) == ""
    assert answers_lines(relay) == 1


@pytest.mark.parametrize("crash", [True, False], ids=["crash", "shutdown"])
def test_a_database_that_goes_away_later_is_waited_for_and_named_once(
    server: PostgresServer,
    connected: Connected,
    topic: str,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    crash: bool,
) -> None:
    """Messages waiting, then none; with a restart within the lease and one after it."""
    tide = connected()
    tide.outbox()
    tide.pipeline(topic)
    published = tide.publish_many(3000, key="one")
    relay = start_relay(server.dsn(), *FAST)
    eventually(lambda: tide.cursor_row().last_id > 0)
    for outage in (1, 2):
        server.kill() if crash else server.stop()
        relay.wait_for(lambda outage=outage: away_lines(relay) == outage)
        for_all_of(1.5, lambda outage=outage: away_lines(relay) == outage)
        server.start()
        tide = connected()
        published += tide.publish_many(10, key="one")
        tide.until_settled()
        relay.wait_for(lambda outage=outage: answers_lines(relay) == outage + 1)
    assert difference(first_occurrences(ids(read_topic(topic, len(published)))), published) == ""


def test_terminated_connections_are_made_anew_and_nothing_is_lost(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Reading and writing connection, one at a time and both, in the middle of a backlog."""
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn, *FAST, "--relay-id", "r")
    published = []
    for names in (["reads"], ["writes"], ["reads", "writes"]):
        published += tide.publish_many(2000, key="one")
        ended = [f"pg-tide r {name}" for name in names]
        query = (
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = any(%s)"
        )
        eventually(lambda: tide.pending() < 2000)
        eventually(lambda ended=ended, query=query: tide.value(query, ended) == len(ended))
        tide.until_settled()
    assert difference(first_occurrences(ids(read_topic(topic, len(published)))), published) == ""


# -- Kafka ------------------------------------------------------------------------------------------------


@pytest.fixture
def broker(new_kafka: NewKafka) -> KafkaServer:
    """A Kafka of the test's own."""
    return new_kafka()


def state_lines(relay: Relay, pipeline: str = "orders-to-kafka") -> list[str]:
    """What was said of the pipeline's state, in order."""
    return [line["state"] for line in relay.lines("delivery_state", pipeline=pipeline)]


def test_a_cluster_that_is_away_at_the_start_and_later_is_waited_for_and_named_once(
    tide: Tide, topic: str, broker: KafkaServer, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Killed and started again twice; a pipeline to another cluster goes on meanwhile; nothing twice."""
    tide.outbox()
    tide.pipeline(topic, name="bystander")
    tide.pipeline("orders", brokers=broker.bootstrap)
    create_topic(broker.bootstrap, "orders")
    broker.kill()
    published = tide.publish_many(10, key="one")
    relay = start_relay(tide.dsn)
    for outage in (1, 2):
        row = tide.until_state("backing_off")
        assert row.error_class == "cluster_away"
        assert row.error
        assert row.cure
        tide.until_settled("bystander")
        assert tide.pipeline_row("bystander").state == "running"
        for_all_of(
            1.5,
            lambda outage=outage: state_lines(relay) == [*SAID * (outage - 1), "backing_off"],
            why=lambda: state_lines(relay),
        )
        broker.start()
        tide.until_settled(within=60)
        assert tide.until_state("running").error is None
        if outage == 1:
            broker.kill()
            published += tide.publish_many(10, key="one")
    assert difference(ids(read_topic("orders", 20, bootstrap=broker.bootstrap)), published) == ""


def test_a_cluster_that_answers_nothing_is_noticed_after_the_request_timeout(
    tide: Tide, broker: KafkaServer, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Frozen, not gone: its connections stay. The pipeline that is more patient says nothing yet."""
    tide.outbox()
    tide.pipeline("orders", brokers=broker.bootstrap, request_timeout_ms=1_000)
    tide.pipeline("others", name="patient", brokers=broker.bootstrap, request_timeout_ms=60_000)
    published = tide.publish_many(10, key="one")
    start_relay(tide.dsn)
    tide.until_settled("orders-to-kafka", "patient")
    broker.pause_node(1)
    published += tide.publish_many(10, key="one")
    row = tide.until_state("backing_off")
    assert row.error_class == "cluster_away"
    assert tide.pipeline_row("patient").state == "running"
    broker.resume_node(1)
    tide.until_settled("orders-to-kafka", "patient", within=60)
    tide.until_state("running")
    arrived = ids(read_topic("orders", 20, bootstrap=broker.bootstrap))
    assert difference(first_occurrences(arrived), published) == ""


def test_an_idle_pipeline_does_not_mind_a_cluster_that_is_away(
    tide: Tide, broker: KafkaServer, start_relay: StartRelay
) -> None:
    """Nothing waits, so nothing is wrong; the first message tells."""
    tide.outbox()
    tide.pipeline("orders", brokers=broker.bootstrap)
    tide.publish()
    start_relay(tide.dsn)
    tide.until_settled()
    broker.kill()
    for_all_of(3.0, lambda: tide.pipeline_row().state == "running")
    tide.publish()
    tide.until_state("backing_off")


def test_a_pipeline_can_be_led_to_another_cluster_while_its_own_is_away(
    tide: Tide, topic: str, broker: KafkaServer, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """It waits for answers as long as a request may take, no longer, and then sends everything there."""
    tide.outbox()
    tide.pipeline("orders", brokers=broker.bootstrap, request_timeout_ms=2_000)
    tide.publish()
    start_relay(tide.dsn)
    tide.until_settled()
    broker.kill()
    published = tide.publish_many(10, key="one")
    tide.until_state("backing_off")
    tide.pipeline(topic)
    tide.until_settled(within=20)
    assert difference(ids(read_topic(topic, 10)), published) == ""


# -- one topic, one message -------------------------------------------------------------------------------


def test_a_missing_topic_is_named_and_delivery_goes_on_once_it_is_there(
    tide: Tide, topic: str, kafka: KafkaServer, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Under topics.policy require nobody makes it; other pipelines go on."""
    tide.outbox()
    missing = f"{topic}-missing"
    tide.pipeline(topic, name="bystander")
    tide.pipeline(missing, topics={"policy": "require"})
    published = tide.publish_many(5, key="one")
    start_relay(tide.dsn)
    tide.until_settled("bystander")
    row = tide.until_state("backing_off")
    assert row.error_class == "destination"
    assert missing in row.error
    assert "Create the topic" in row.cure
    assert tide.pending() == 5
    create_topic(kafka.bootstrap, missing)
    tide.until_settled()
    tide.until_state("running")
    assert difference(ids(read_topic(missing, 5)), published) == ""


def test_a_message_that_cannot_be_delivered_stops_its_pipeline_and_is_never_skipped(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The state names message, cause and cure. Once the topic takes it and somebody enables the pipeline again,
    it and everything behind it arrive: nothing lost, nothing out of order."""
    narrow, wide = make_topic(config={"max.message.bytes": "5000"}), make_topic()
    tide.outbox()
    tide.pipeline(wide, name="bystander")
    tide.pipeline(narrow, dlq=STOP)
    published = tide.publish_many(250, key="one")
    large = tide.publish({"x": "x" * 20_000}, key="one")
    published += [large, *tide.publish_many(250, key="one")]
    relay = start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.error_code, row.message_id) == ("message", "MSG_SIZE_TOO_LARGE", large)
    assert "max.message.bytes" in row.cure
    assert narrow in row.error
    tide.until_settled("bystander")
    assert tide.pipeline_row("bystander").state == "running"
    eventually(lambda: tide.pending() == 251)
    assert list(dict.fromkeys(ids(read_topic(narrow)))) == published[:250]
    assert relay.lines("delivery_state", state="stopped", message_id=large)

    tide.disable()
    alter_topic(tide.bootstrap, narrow, max_message_bytes="100000")
    tide.enable()
    tide.until_settled()
    assert difference(first_occurrences(ids(read_topic(narrow))), published) == ""
    assert tide.until_state("running").message_id is None


def test_a_stopped_pipeline_stays_stopped_at_the_same_message_after_a_restart(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    narrow = make_topic(config={"max.message.bytes": "5000"})
    tide.outbox()
    tide.pipeline(narrow, dlq=STOP)
    first = tide.publish(key="one")
    large = tide.publish({"x": "x" * 20_000}, key="one")
    tide.publish(key="one")
    for _ in range(2):
        relay = start_relay(tide.dsn)
        relay.wait_for("delivery_state", state="stopped")
        assert tide.until_state("error").message_id == large
        assert relay.terminate() == 0
    assert ids(read_topic(narrow)) == [first]
    assert tide.pipeline_row().state == "error"


def test_a_message_that_fits_no_template_stops_its_pipeline_and_is_named(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """message_key asks for a dedup key that this message does not have."""
    tide.outbox()
    tide.pipeline(topic, message_key="{dedup_key}", dlq=STOP)
    first = tide.publish(dedup_key="a")
    bare = tide.publish()
    tide.publish(dedup_key="b")
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert row.message_id == bare
    assert "{dedup_key}" in row.error
    assert ids(read_topic(topic)) == [first]
    assert tide.pending() == 2
