"""SIGTERM: what was handed over is acknowledged and settled, then the relay goes, exit code 0; a second one ends it."""

import signal
import time

import psycopg
import pytest

from fix_kafka import NewKafka, ReadTopic
from fix_postgres import NewPostgres, install_schema
from fix_relay import StartRelay
from relay_kit import FAST, Tide, difference, first_occurrences, ids
from waiting import eventually

BYSTANDER = "bystander"
NOBODY = "select count(*) = 0 from tide.cursor where owner_token is not null"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_settles_everything_in_flight(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic, number: signal.Signals
) -> None:
    """In the middle of a backlog: exactly what is on the topic is settled, and the next relay repeats nothing."""
    tide.outbox()
    tide.pipeline(topic)
    published = tide.publish_many(10_000, key="one")
    relay = start_relay(tide.dsn)
    eventually(lambda: tide.cursor_row().last_id > 0)
    relay.signal(number)
    assert relay.wait() == 0
    (stops,) = relay.lines("relay stops")
    assert stops["in_flight"] > 0
    sent = ids(read_topic(topic))
    assert difference(sent, published[: len(sent)]) == ""
    assert len(sent) == tide.cursor_row().last_id - published[0] + 1 < len(published)
    assert tide.value(NOBODY)
    start_relay(tide.dsn)
    tide.until_settled()
    assert difference(ids(read_topic(topic)), published) == ""


def test_messages_that_nobody_acknowledges_are_waited_for_as_long_as_was_said(
    tide: Tide, topic: str, new_kafka: NewKafka, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Then the relay goes all the same, exit code 0; its successor sends them again."""
    broker = new_kafka()
    tide.outbox()
    tide.pipeline(topic, name=BYSTANDER)
    tide.pipeline("orders", brokers=broker.bootstrap, request_timeout_ms=3_000)
    published = tide.publish_many(10, key="one")
    relay = start_relay(tide.dsn, "--lease-ms", "1000", "--drain-timeout", "2")
    tide.until_settled()
    broker.pause_node(1)
    published += tide.publish_many(10, key="one")
    until_handed_over(tide)
    since = time.monotonic()
    assert relay.terminate() == 0
    assert 2 <= time.monotonic() - since < 8
    assert relay.lines("relay stops")[0]["in_flight"] >= 10
    assert relay.lines("not everything was acknowledged in time; it will be sent again")
    broker.resume_node(1)
    start_relay(tide.dsn)
    tide.until_settled(within=60)
    arrived = ids(read_topic("orders", 20, bootstrap=broker.bootstrap))
    assert difference(first_occurrences(arrived)[:20], published) == ""


def until_handed_over(tide: Tide) -> None:
    """What is published by now was handed over by every pipeline: one whose broker answers has sent what came later.

    All pipelines see new messages at one look, and their pages are read one after the other.
    """
    for _ in range(2):
        tide.publish()
        tide.until_settled(BYSTANDER)


def test_a_second_signal_ends_the_relay_at_once(
    tide: Tide, topic: str, new_kafka: NewKafka, start_relay: StartRelay
) -> None:
    """Whatever it waits for, with three pipelines whose broker does not answer."""
    broker = new_kafka()
    tide.outbox()
    tide.pipeline(topic, name=BYSTANDER)
    names = [f"pipeline-{number}" for number in range(3)]
    for name in names:
        tide.pipeline("orders", name=name, brokers=broker.bootstrap)
    tide.publish()
    relay = start_relay(tide.dsn, "--drain-timeout", "600")
    tide.until_settled(*names)
    broker.pause_node(1)
    until_handed_over(tide)
    relay.signal(signal.SIGTERM)
    assert relay.wait_for("relay stops")["in_flight"] > 0
    since = time.monotonic()
    relay.signal(signal.SIGTERM)
    assert relay.wait() == 1
    assert time.monotonic() - since < 5


def test_a_relay_stopped_while_it_starts_leaves_nothing_owned(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    """Whatever it was about to do for any of its 40 pipelines: nobody has to wait for a lease to run out."""
    tide.outbox()
    for number in range(40):
        tide.pipeline(topic, name=f"pipeline-{number}")
    for event in ("database answers", "pipeline_acquired", "pipeline_acquired"):
        relay = start_relay(tide.dsn)
        relay.wait_for(event)
        since = time.monotonic()
        assert relay.terminate() == 0
        assert time.monotonic() - since < 5
        assert tide.value(NOBODY)


def test_a_cursor_that_was_being_asked_for_is_given_back(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    """The signal comes between the database's yes and the relay's hearing of it."""
    tide.outbox()
    tide.pipeline(topic)
    relay = start_relay(tide.dsn, env={"PG_TIDE_FAILPOINTS": "after_acquire=sleep:1500"})
    eventually(lambda: tide.cursor_row().owner_token)
    assert relay.terminate() == 0
    assert tide.value(NOBODY)


def test_a_relay_that_waits_for_its_database_goes_at_once(
    new_postgres: NewPostgres, start_relay: StartRelay
) -> None:
    """At the start, when it was never there."""
    server = new_postgres(18)
    install_schema(server.dsn())
    server.kill()
    relay = start_relay(server.dsn())
    relay.wait_for("database is away")
    since = time.monotonic()
    assert relay.terminate() == 0
    assert time.monotonic() - since < 5


def test_a_relay_whose_database_went_away_goes_at_once(
    kafka: object, new_postgres: NewPostgres, start_relay: StartRelay, topic: str, tide: Tide
) -> None:
    """While running: there is nobody to settle with, and nothing is lost by not settling."""
    server = new_postgres(18)
    install_schema(server.dsn())
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        own = Tide(connection, tide.bootstrap)
        own.outbox()
        own.pipeline(topic)
        own.publish()
        relay = start_relay(own.dsn, *FAST)
        own.until_settled()
    server.kill()
    relay.wait_for("database is away")
    since = time.monotonic()
    assert relay.terminate() == 0
    assert time.monotonic() - since < 5
