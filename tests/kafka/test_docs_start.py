"""The pages' examples that need Kafka: the README's five minutes, the first steps' roles, the consumer's recipe."""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Message

from delivery_kit import STOP
from docs_kit import blocks, roles_of, run_shell, run_sql, runnable, shell_environment, with_places
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from pg_tide_dev.databases import Database, create_database, drop_database
from pg_tide_dev.kafka import KafkaServer
from pg_tide_dev.postgres import PostgresServer
from relay_kit import Tide, alter_topic, header, records

README_DSN = "postgresql://postgres:password@localhost:5432/postgres"


@pytest.fixture
def bare(pg18: PostgresServer) -> Iterator[Database]:
    """A database without the schema."""
    created = create_database(pg18)
    yield created
    drop_database(created)


@pytest.fixture
def places(kafka: KafkaServer, topic: str) -> dict[str, str]:
    """What the pages show, and what it is here."""
    return {"localhost:9092": kafka.bootstrap, "order-events": topic}


def nothing_pending(database: Database) -> bool:
    """Whether a relay has settled everything."""
    with database.connect(autocommit=True) as connection:
        return connection.execute("select coalesce(sum(pending), 0) from tide.lag").fetchone() == (0,)


def printed(text: str) -> str:
    """What a Python example prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, "example", "exec"), {})
    return out.getvalue()


def test_the_readmes_five_minutes_end_with_the_order_on_the_topic(
    bare: Database, places: dict[str, str], start_relay: StartRelay, tmp_path: Path
) -> None:
    places |= {README_DSN: bare.dsn}
    output = ""
    with psycopg.connect(bare.dsn, autocommit=True) as connection:
        for block in runnable("README.md", "sh", "sql", "python"):
            if block.text == "pg-tide\n":
                command = ["/bin/bash", "-c", f"exec {block.text}"]
                relay = start_relay(bare.dsn, command=command, env=shell_environment(bare.dsn, tmp_path))
                relay.wait_for(lambda: nothing_pending(bare))
            elif block.language == "sh":
                output = run_shell(block, bare.dsn, tmp_path, places)
            elif block.language == "sql":
                run_sql(connection, block, places)
            else:
                record = printed(with_places(block.text, places))
    assert "running" in output
    assert "b'ord-12345'" in record
    assert "order.confirmed" in record


def test_the_first_steps_relay_delivers_as_the_role_that_the_page_makes(
    bare: Database,
    places: dict[str, str],
    topic: str,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    tmp_path: Path,
) -> None:
    page = "docs/getting-started.md"
    with roles_of(blocks(page), bare):
        with psycopg.connect(bare.dsn, autocommit=True) as connection:
            for block in runnable(page, "sh", "sql"):
                if block.language == "sh":
                    run_shell(block, bare.dsn, tmp_path, places)
                else:
                    run_sql(connection, block, places)
            connection.execute("alter role delivery password 'delivery'")
        dsn = psycopg.conninfo.make_conninfo(bare.dsn, user="delivery", password="delivery")
        relay = start_relay(dsn)
        found = records(read_topic(topic, 7))
        assert relay.terminate() == 0
    of_one_order = [header("pg_tide_op", record) for record in found if record.key == b"ord-12345"]
    assert of_one_order == [b"insert", b"update", b"update", b"delete"]
    (traced,) = [record for record in found if "traceparent" in dict(record.headers)]
    assert header("pg_tide_actor", traced) == b"alice"


def test_the_consumers_recipe_applies_each_message_once_however_often_and_late_it_comes(
    tide: Tide, topic: str, read_topic: ReadTopic, start_relay: StartRelay
) -> None:
    tide.outbox()
    tide.pipeline(topic)
    for number in range(3):
        tide.publish({"order_id": f"ord-{number}", "customer": "cust-1"}, key=f"ord-{number}")
    start_relay(tide.dsn)
    messages: list[Message] = read_topic(topic, 3)
    (recipe,) = runnable("docs/consuming.md", "python")
    (tables, *_) = runnable("docs/consuming.md", "sql")
    run_sql(tide.connection, tables, {})
    names: dict[str, Any] = {}
    exec(compile(recipe.text, recipe.place, "exec"), names)
    handle: Callable[[psycopg.Connection, Message], None] = names["handle"]
    for message in itertools.chain(messages, reversed(messages), messages):
        handle(tide.connection, message)
    assert tide.value("select count(*) from shipment") == 3


def test_a_pipeline_that_a_message_stopped_goes_on_when_the_cause_is_cured_and_it_is_restarted_as_the_page_says(
    tide: Tide, make_topic: MakeTopic, read_topic: ReadTopic, start_relay: StartRelay
) -> None:
    topic = make_topic(config={"max.message.bytes": "2000"})
    tide.outbox()
    tide.pipeline(topic, dlq=STOP)
    tide.publish_many(2, size=10)
    tide.publish_many(1, size=10_000)
    tide.publish_many(2, size=10)
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.message_id) == ("message", 3)
    alter_topic(tide.bootstrap, topic, max_message_bytes="100000")
    (restart,) = [
        block
        for block in runnable("docs/operations.md", "sql")
        if block.text.startswith("select tide.relay_disable('orders-to-kafka');\nselect tide.relay_enable")
    ]
    run_sql(tide.connection, restart, {})
    tide.until_settled()
    tide.until_state("running")
    assert {record.message_id for record in records(read_topic(topic, 5))} == {1, 2, 3, 4, 5}
