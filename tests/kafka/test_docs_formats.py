"""The page about wire formats: its examples send the records that it shows."""

import re
from pathlib import Path

from confluent_kafka.schema_registry import SchemaRegistryClient

from avro_orders import by_confluent
from docs_kit import blocks, run_shell, run_sql, runnable
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from pg_tide_dev.registry import RegistryServer
from relay_kit import Tide, records

PAGE = "docs/formats.md"


def without_time(text: str) -> str:
    """Times, release and database are those of the run."""
    text = re.sub(r'"(version|db|time)":"[^"]+"', r'"\1":"…"', text)
    return re.sub(r'"(ts_.s)":\d+', r'"\1":0', text)


def test_each_formats_example_is_what_arrives(
    tide: Tide,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    make_topic: MakeTopic,
    read_topic: ReadTopic,
    start_relay: StartRelay,
    tmp_path: Path,
) -> None:
    """In the order of the page."""
    shown_topics = (
        "plain",
        "dbserver1.public.orders",
        "typed",
        "changes-avro",
        "records",
        "events",
        "outbox.event.{stream_table}",
    )
    topics = {
        shown: make_topic(suffix="".join(shown.partition(".")[1:]).format(stream_table="order"))
        for shown in shown_topics
    }
    places = {"localhost:9092": tide.bootstrap, "http://localhost:8081": registry.url} | {
        f'"topic": "{shown}"': f'"topic": "{real}"' for shown, real in topics.items()
    }
    for block in runnable(PAGE, "sql"):
        run_sql(tide.connection, block, places)
    for block in runnable(PAGE, "sh"):
        run_shell(block, tide.dsn, tmp_path, {})
    start_relay(tide.dsn)
    shown = [block.text.strip() for block in blocks(PAGE) if block.language == "json"]
    compared = [topic for name, topic in topics.items() if name not in ("typed", "changes-avro", "records")]
    for topic, text in zip(compared, shown, strict=True):
        (record,) = records(read_topic(topic, 1))
        assert record.value is not None
        found = record.value.decode().replace(topic.partition(".")[0], "dbserver1")
        assert without_time(found) == without_time(text)
    (in_avro,) = records(read_topic(topics["records"], 1))
    (shown_in_avro,) = [block.text.strip() for block in blocks(PAGE) if block.language == "text"]
    assert repr(by_confluent(schemas, in_avro)) == shown_in_avro
