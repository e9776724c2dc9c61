"""What a relay costs its database and its machine: counted in statements, round trips and bytes, not in seconds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from fix_kafka import NewKafka, ReadTopic
from fix_postgres import NewPostgres, install_schema
from fix_relay import Relay, StartRelay
from pg_tide_dev.kafka import KafkaServer
from relay_kit import Tide, difference, ids
from round_trips import RoundTrips
from waiting import eventually, for_all_of

TICK = "select pg_current_snapshot()::text, pg_is_in_recovery()\n"
SETTLE = "tide._cursor_settle"
PAGE = "select p.id, p.op, p.key"
STATEMENTS_A_PAGE = 4
TRIPS_A_PAGE = 1
SETTLE_EVERY_S = 0.05

LOOKS_A_SECOND_MAX = 205  # one every 5 ms
OTHERS_A_PIPELINE_MAX = 1

MEMORY_MB = 120
QUEUES_MB = 16 + 32  # rows in flight, and what the Kafka client holds


@dataclass
class Watched:
    """A PostgreSQL that logs every statement, and a relay's way to it that counts round trips."""

    tide: Tide
    log: Path
    trips: RoundTrips

    def statements(self, relay_id: str, connection: str) -> list[str]:
        """What a connection of a relay has run so far, BEGIN and COMMIT included."""
        start = f"pg-tide {relay_id} {connection}|LOG:  "
        text = self.log.read_text(encoding="utf-8", errors="replace")
        found = [
            line.removeprefix(start) for line in text.splitlines(keepends=True) if line.startswith(start)
        ]
        return [line.partition(": ")[2] for line in found if line.startswith(("statement: ", "execute "))]


@pytest.fixture
def watched(new_postgres: NewPostgres, kafka: KafkaServer) -> Iterator[Watched]:
    server = new_postgres(18, settings={"log_statement": "all", "log_line_prefix": "%a|"})
    install_schema(server.dsn())
    trips = RoundTrips(server.dsn())
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        yield Watched(Tide(connection, kafka.bootstrap), server.data.parent / "postgres.log", trips)
    trips.close()


def test_a_page_costs_a_fixed_number_of_statements_and_round_trips(
    watched: Watched, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """10,000 messages in pages of 100; settling is bounded by time, and no message has a statement of its own."""
    tide = watched.tide
    tide.outbox()
    tide.pipeline(topic)
    published = tide.publish_many(10_000, key="one")
    relay = start_relay(watched.trips.dsn, "--relay-id", "r")
    tide.until_settled()
    assert relay.terminate() == 0
    assert difference(ids(read_topic(topic)), published) == ""

    reads, writes = watched.statements("r", "reads"), watched.statements("r", "writes")
    pages = sum(PAGE in statement for statement in reads)
    ticks = sum(statement == TICK for statement in reads)
    assert 100 <= pages <= 101
    # Beginning, settings, page, end; and the few windows that were opened.
    assert len(reads) - ticks <= STATEMENTS_A_PAGE * pages + 30
    assert watched.trips.count("reads") - ticks <= TRIPS_A_PAGE * pages + 30
    settles = sum(SETTLE in statement for statement in writes)
    assert 0 < settles <= seconds_between(relay, "pipeline_acquired", "relay stops") / SETTLE_EVERY_S + 2
    assert len(reads) + len(writes) - ticks < 1_000


def seconds_between(relay: Relay, first: str, last: str) -> float:
    """From the first line of one event to the first of another."""
    begun, ended = (datetime.fromisoformat(relay.lines(event)[0]["timestamp"]) for event in (first, last))
    return (ended - begun).total_seconds()


def idle_cost(
    watched: Watched, start_relay: StartRelay, relay_id: str, names: list[str]
) -> tuple[float, float]:
    """Looks for messages, and all other statements, a second, of an idle relay with these pipelines."""
    tide = watched.tide
    tide.publish()
    relay = start_relay(tide.dsn, "--relay-id", relay_id)
    tide.until_settled(*names)
    for_all_of(1.0, lambda: relay.exit_code is None)
    now = "select extract(epoch from clock_timestamp())::float"
    before, begun = idle_statements(watched, relay_id), tide.value(now)
    for_all_of(5.0, lambda: relay.exit_code is None)
    after, seconds = idle_statements(watched, relay_id), tide.value(now) - begun
    assert relay.terminate() == 0
    return (after[0] - before[0]) / seconds, (after[1] - before[1]) / seconds


def idle_statements(watched: Watched, relay_id: str) -> tuple[int, int]:
    """Looks for messages so far, and all other statements."""
    reads, writes = watched.statements(relay_id, "reads"), watched.statements(relay_id, "writes")
    ticks = sum(statement == TICK for statement in reads)
    return ticks, len(reads) + len(writes) - ticks


def test_an_idle_relay_looks_once_for_all_its_pipelines(
    watched: Watched, topic: str, start_relay: StartRelay
) -> None:
    """Every 5 ms, for one pipeline and for twenty; a pipeline adds one question whenever a transaction has ended."""
    tide = watched.tide
    tide.outbox()
    names = [tide.pipeline(topic, name="pipeline-00")]
    one_looks, one_others = idle_cost(watched, start_relay, "one", names)
    names += [tide.pipeline(topic, name=f"pipeline-{number:02}") for number in range(1, 20)]
    twenty_looks, twenty_others = idle_cost(watched, start_relay, "twenty", names)
    assert 10 < one_looks <= LOOKS_A_SECOND_MAX
    assert 10 < twenty_looks <= LOOKS_A_SECOND_MAX
    assert one_others <= 15
    assert (twenty_others - one_others) / 19 <= OTHERS_A_PIPELINE_MAX


def test_memory_is_bounded_whatever_waits_and_however_long_kafka_is_silent(
    tide: Tide, new_kafka: NewKafka, start_relay: StartRelay
) -> None:
    """100,000 messages of 10 KiB, a gigabyte, behind a broker that is frozen; then it answers and they go through."""
    broker = new_kafka()
    tide.bootstrap = broker.bootstrap
    tide.outbox()
    tide.pipeline("orders", batch_size=1_000, compression="zstd", request_timeout_ms=2_000)
    relay = start_relay(tide.dsn)
    tide.publish()
    tide.until_settled()
    broker.pause_node(1)
    tide.publish_many(100_000, key="one", size=10_240)
    tide.until_state("backing_off")
    for_all_of(3.0, lambda: relay.memory_mb() < MEMORY_MB + QUEUES_MB, why=relay.memory_mb)
    broker.resume_node(1)
    eventually(lambda: tide.pending() < 70_000, within=120)
    assert relay.memory_mb() < MEMORY_MB + QUEUES_MB
