"""What the page prints runs as it is printed; only hosts, ports, paths and passwords are this machine's."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Literal

import brief_page
from fix_kafka import ReadTopic
from fix_relay import StartRelay
from pg_tide_dev.kafka import KafkaServer, console_arguments, delete_topic
from relay_kit import Tide, header, records

ORDERS = "create table orders (id uuid primary key, customer_id text, total numeric, status text)"
EVENT = (
    b'{"items": [{"qty": 2, "sku": "WIDGET-A"}], "total": 99.99, "order_id": "ord-12345",'
    b' "event_type": "order.confirmed", "customer_id": "cust-789"}'
)


@pytest.fixture
def printed_topics(kafka: KafkaServer) -> Iterator[None]:
    """The topics that the page names exist for this test only: the broker makes them."""
    names = (
        "order-events",
        "orders.events.insert",
        "orders.events.update",
        "events.orders.insert",
        "dbserver1.public.orders",
    )
    yield
    for name in names:
        delete_topic(kafka.bootstrap, name)


@pytest.fixture
def relay_user(tide: Tide) -> Iterator[str]:
    """The page's role relay_user: it may log in and run relays, nothing else. Its password."""
    password = "a-password"
    tide.connection.execute(SQL("create role relay_user login password {}").format(Literal(password)))
    tide.value("select tide.role_grant('relay', 'relay_user')")
    yield password
    tide.connection.execute("drop owned by relay_user")
    tide.connection.execute("drop role relay_user")


@pytest.fixture
def program_path(tmp_path: Path) -> str:
    """A PATH whose first folder has the program `pg-tide`."""
    program = tmp_path / "pg-tide"
    program.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pg_tide_relay "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


def run_sql(tide: Tide, printed: str) -> None:
    """Run printed statements as a terminal would: as they are, one after the other."""
    tide.connection.execute(printed.encode())


def printed_sql(places: tuple[str, str], **replaced: str) -> str:
    text = brief_page.sql_in(brief_page.section(*places))
    return brief_page.replaced(text, {name.replace("_", ":"): ours for name, ours in replaced.items()})


def test_the_complete_example_delivers_the_order_to_kafkas_own_console_consumer(
    tide: Tide,
    kafka: KafkaServer,
    printed_topics: None,
    relay_user: str,
    program_path: str,
    start_relay: StartRelay,
) -> None:
    """Steps 1 to 5 as printed, with a role that may only run relays, in an environment with nothing in it."""
    tide.connection.execute(ORDERS)
    run_sql(tide, printed_sql(brief_page.CREATE))
    assert tide.value("select retention_hours from tide.outboxes where outbox = 'orders'") == 48
    run_sql(tide, printed_sql(brief_page.PUBLISH))
    run_sql(tide, printed_sql(brief_page.CONFIGURE, kafka_9092=kafka.bootstrap))
    info = tide.connection.info
    line = brief_page.replaced(
        brief_page.shell_in(brief_page.section(*brief_page.START), "pg-tide"),
        {
            ":password@": f":{relay_user}@",
            "localhost:5432": f"{info.host}:{info.port}",
            "/mydb": f"/{info.dbname}",
        },
    )
    relay = start_relay("", command=["/bin/sh", "-c", f"exec {line}"], env={"PATH": program_path})
    relay.wait_for("pipeline_acquired")

    printed = brief_page.shell_in(brief_page.section(*brief_page.VERIFY), "kafka-console-consumer")
    typed = brief_page.replaced(printed, {"kafka:9092": kafka.bootstrap, "\\\n": ""})
    program, *arguments = shlex.split(typed)
    run = console_arguments(kafka.bootstrap, "order-events", 1)
    assert (program, arguments) == ("kafka-console-consumer", run[: len(arguments)])
    tide.until_settled()
    assert kafka.console_consumer("order-events", 1) == [EVENT.decode()]
    assert tide.value("select count(*) from orders") == 1
    assert relay.terminate() == 0


def test_a_rolled_back_order_leaves_no_order_and_no_event(
    tide: Tide,
    kafka: KafkaServer,
    printed_topics: None,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """The printed transaction with ROLLBACK in place of COMMIT, then with COMMIT: one order, one event."""
    tide.connection.execute(ORDERS)
    run_sql(tide, printed_sql(brief_page.CREATE))
    run_sql(tide, printed_sql(brief_page.CONFIGURE, kafka_9092=kafka.bootstrap))
    start_relay(tide.dsn)
    run_sql(tide, brief_page.replaced(printed_sql(brief_page.PUBLISH), {"COMMIT;": "ROLLBACK;"}))
    run_sql(tide, printed_sql(brief_page.PUBLISH))
    tide.until_settled()
    assert [record.value() for record in read_topic("order-events", 1)] == [EVENT]
    assert tide.value("select count(*) from orders") == 1


def test_the_minimal_example_sends_all_messages(
    tide: Tide,
    kafka: KafkaServer,
    printed_topics: None,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """Set alone is enough: what was published before and what is published later arrives; the group exists."""
    tide.outbox("orders")
    tide.publish({"n": 1}, dedup_key="first")
    run_sql(tide, printed_sql(brief_page.MINIMAL, localhost_9092=kafka.bootstrap))
    start_relay(tide.dsn)
    tide.until_settled()
    tide.publish({"n": 2}, dedup_key="second")
    assert [record.value() for record in read_topic("order-events", 2)] == [b'{"n": 1}', b'{"n": 2}']
    assert tide.rows("select consumer_group, pipeline from tide.consumer_groups") == [
        ("kafka-relay", "orders-to-kafka")
    ]


def test_the_printed_template_routes_by_outbox_and_operation(
    tide: Tide, printed_topics: None, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The page's sentence on routing, word for word."""
    text = brief_page.section(*brief_page.ROUTING)
    found = re.search(r'"(\S+)" routes (\w+) messages from the (\w+) outbox to the topic (\S+)\.\n', text)
    assert found is not None
    template, op, outbox, topic = found.groups()
    assert (template, topic) == ("events.{stream_table}.{op}", "events.orders.insert")
    tide.outbox(outbox)
    tide.pipeline(template, outbox=outbox)
    published = tide.publish({"n": 1}, outbox=outbox, op=op.lower())
    start_relay(tide.dsn)
    (record,) = records(read_topic(wait_for_topic(tide, topic), 1))
    assert record.message_id == published


def test_the_record_has_the_fields_of_the_printed_table(
    tide: Tide, printed_topics: None, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Key, value, topic and headers of the table under "Message Format", byte for byte."""
    table = brief_page.section(*brief_page.MESSAGE_FORMAT)
    for row in (
        'Keymessage_key template or dedup_key"order-12345"',
        'ValueSerialized message payload (JSON by default){"order_id": 12345, ...}',
        'Topictopic template"orders.events.insert"',
        'Headerspg_tide metadata + configured static headerspg_tide_outbox: "orders", pg_tide_op: "insert"',
    ):
        assert f"\n{row}\n" in table
    tide.outbox("orders")
    tide.pipeline("orders.events.{op}")
    tide.publish({"order_id": 12345}, dedup_key="order-12345")
    start_relay(tide.dsn)
    (record,) = records(read_topic(wait_for_topic(tide, "orders.events.insert"), 1))
    assert (record.key, record.value) == (b"order-12345", b'{"order_id": 12345}')
    assert header("pg_tide_outbox", record) == b"orders"
    assert header("pg_tide_op", record) == b"insert"


def test_the_printed_debezium_configuration_sends_change_events_of_its_topic(
    tide: Tide, printed_topics: None, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The block under "Wire Format Integration": envelopes whose names are those in the printed topic."""
    printed = json.loads(brief_page.json_in(brief_page.section(*brief_page.WIRE_FORMAT)))
    assert printed.pop("sink_type") == "kafka"
    assert printed.pop("brokers") == "localhost:9092"
    tide.outbox("orders")
    tide.pipeline(**printed)
    tide.publish({"order_id": 12345, "total": 99.99}, dedup_key="order-12345")
    start_relay(tide.dsn)
    (record,) = records(read_topic(wait_for_topic(tide, "dbserver1.public.orders"), 1))
    event = json.loads(record.value or b"")
    assert record.key == b"order-12345"
    assert (event["op"], event["before"], event["after"]) == ("c", None, {"order_id": 12345, "total": 99.99})
    source = event["source"]
    assert (source["name"], source["schema"], source["table"]) == ("dbserver1", "public", "orders")
    assert source["connector"] == "postgresql"


def wait_for_topic(tide: Tide, topic: str) -> str:
    """The topic, once the broker has made it: everything sent is settled."""
    tide.until_settled()
    return topic


def test_every_key_of_the_printed_reference_has_its_printed_type_and_default(tide: Tide) -> None:
    """The 18 rows of "Configuration Reference", as tide.config_keys tells them."""
    rows = tide.rows(
        "select key, type, required, default_value from tide.config_keys order by number limit 18"
    )
    lines = [line for line in brief_page.section(*brief_page.REFERENCE).splitlines() if line]
    for (key, kind, required, default), line in zip(rows, lines[1:], strict=True):
        printed = "" if required else json.dumps(default)
        assert line.startswith(f"{key}{kind}{printed}"), line


def test_names_are_data(tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic) -> None:
    """Pipelines, outboxes and groups with dashes, points, quotes, other alphabets and 200 bytes all work."""
    names = ("a-b", "a.b", 'o\'x "y" \\z', "naïve-Ωμέγα", "n" * 200)
    for name in names:
        tide.outbox(name)
        tide.pipeline(topic, name=name, outbox=name, group=name)
        tide.publish({"name": name}, outbox=name)
    start_relay(tide.dsn)
    tide.until_settled(*names)
    found = records(read_topic(topic, len(names)))
    assert {header("pg_tide_outbox", record).decode() for record in found} == set(names)


def test_enable_after_set_changes_nothing_and_set_leaves_a_disabled_pipeline_disabled(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Set; set and enable; disable, set and enable: each order of the calls, seen from the topic."""
    for name in ("set", "set-enable", "disable-set-enable"):
        tide.outbox(name)
        tide.pipeline(topic, name=name, outbox=name)
        tide.publish({"from": name}, outbox=name)
    before = tide.pipeline_row("set-enable")
    tide.enable("set-enable")
    assert tide.pipeline_row("set-enable") == before
    tide.disable("disable-set-enable")
    tide.pipeline(topic, name="disable-set-enable", outbox="disable-set-enable", linger_ms=1)
    start_relay(tide.dsn)
    tide.until_settled("set", "set-enable")
    assert tide.pipeline_row("disable-set-enable").state == "disabled"
    sent = {header("pg_tide_outbox", record) for record in records(read_topic(topic, 2))}
    assert sent == {b"set", b"set-enable"}
    tide.enable("disable-set-enable")
    sent = {header("pg_tide_outbox", record) for record in records(read_topic(topic, 3))}
    assert sent == {b"set", b"set-enable", b"disable-set-enable"}


def test_enable_before_set_names_the_pipeline_that_is_not_there(tide: Tide) -> None:
    with pytest.raises(psycopg.Error) as refused:
        tide.enable("orders-to-kafka")
    assert refused.value.sqlstate == "TD021"
    assert "orders-to-kafka" in str(refused.value)
