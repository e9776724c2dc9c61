"""Debezium's change events in Avro, as Confluent's own deserializer reads them from the topic."""

import json
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from pg_tide_dev.registry import RegistryServer
from relay_kit import Record, Tide, records
from waiting import eventually

COLUMNS = [
    {"name": "id", "type": "bigint"},
    {"name": "total", "type": "numeric(10,2)"},
    {"name": "at", "type": "timestamp"},
    {"name": "tags", "type": "text[]"},
]
OLD = {"id": 7, "total": 1.10, "at": "2026-01-31T09:15:00.000001", "tags": ["a", None]}
NEW = OLD | {"total": 2.20, "tags": None}
READ_OLD = {"id": 7, "total": Decimal("1.10"), "at": 1769850900000001, "tags": ["a", None]}
READ_NEW = READ_OLD | {"total": Decimal("2.20"), "tags": None}


def pipeline(tide: Tide, topic: str, url: str, **serialization: Any) -> None:
    tide.outbox()
    tide.pipeline(
        topic,
        wire_format="debezium",
        wire_config={
            "server_name": topic.replace("-", "_"),
            "table": "public.orders",
            "row_schema": COLUMNS,
            "key_strategy": "struct",
            "key_fields": ["id"],
        },
        serialization={"format": "avro", **serialization},
        schema_registry={"url": url, "auto_register": True},
    )


def publish(tide: Tide, op: str, payload: Any, old: Any) -> None:
    tide.value(
        "select tide.outbox_publish('orders', %s::jsonb, op => %s, old_payload => %s::jsonb, key => 'k')",
        None if payload is None else json.dumps(payload),
        op,
        None if old is None else json.dumps(old),
    )


def read(schemas: SchemaRegistryClient, record: Record) -> tuple[Any, Any]:
    """Key and value."""
    deserialize = AvroDeserializer(schemas)
    return (
        deserialize(record.key, SerializationContext(record.topic, MessageField.KEY)),
        deserialize(record.value, SerializationContext(record.topic, MessageField.VALUE)),
    )


def test_a_rows_life_is_read_field_by_field(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """Key and rows of c, u, d, and a tombstone that has the key's bytes; decimals exact, times in microseconds."""
    pipeline(tide, topic, registry.url)
    publish(tide, "insert", OLD, None)
    publish(tide, "update", NEW, OLD)
    publish(tide, "delete", None, NEW)
    start_relay(tide.dsn)
    *events, tombstone = records(read_topic(topic, 4))
    found = [read(schemas, record) for record in events]
    assert [key for key, _ in found] == [{"id": 7}] * 3
    assert [(value["op"], value["before"], value["after"]) for _, value in found] == [
        ("c", None, READ_OLD),
        ("u", READ_OLD, READ_NEW),
        ("d", READ_NEW, None),
    ]
    assert {value["source"]["table"] for _, value in found} == {"orders"}
    assert (tombstone.key, tombstone.value) == (events[-1].key, None)


@pytest.mark.parametrize(
    ("strategy", "subjects"),
    [
        ("TopicNameStrategy", ("{topic}-key", "{topic}-value")),
        ("RecordNameStrategy", ("{server}.public.orders.Key", "{server}.public.orders.Envelope")),
        (
            "TopicRecordNameStrategy",
            ("{topic}-{server}.public.orders.Key", "{topic}-{server}.public.orders.Envelope"),
        ),
    ],
)
def test_key_and_value_stand_under_the_subjects_of_the_strategy(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    strategy: str,
    subjects: tuple[str, str],
) -> None:
    before = set(schemas.get_subjects())
    pipeline(tide, topic, registry.url, subject_name_strategy=strategy)
    publish(tide, "insert", OLD, None)
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    names = [subject.format(topic=topic, server=topic.replace("-", "_")) for subject in subjects]
    assert set(schemas.get_subjects()) - before == set(names)
    for name, framed in zip(names, (record.key, record.value), strict=True):
        assert schemas.get_latest_version(name).schema_id == int.from_bytes((framed or b"")[1:5], "big")


def test_a_new_column_is_a_new_version_that_readers_of_the_old_one_understand(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """All columns are optional, so that the registry finds it compatible in both directions."""
    pipeline(tide, topic, registry.url)
    publish(tide, "insert", OLD, None)
    start_relay(tide.dsn)
    tide.until_settled()
    schemas.set_compatibility(f"{topic}-value", "FULL")
    tide.value(
        "select tide.row_schema_set('orders', %s)", json.dumps([*COLUMNS, {"name": "note", "type": "text"}])
    )
    config = tide.value("select config from tide.pipeline")
    config["wire_config"]["row_schema"] = 1
    tide.value(
        "select tide.relay_set_outbox('orders-to-kafka', 'orders', 'orders-to-kafka', %s)", json.dumps(config)
    )
    eventually(lambda: tide.pipeline_row("orders-to-kafka").running_version == 2)
    publish(tide, "insert", OLD | {"note": "new"}, None)
    first, second = (read(schemas, record)[1]["after"] for record in records(read_topic(topic, 2)))
    assert (first, second) == (READ_OLD, READ_OLD | {"note": "new"})
    assert schemas.get_versions(f"{topic}-value") == [1, 2]


def test_any_json_goes_in_one_column(
    tide: Tide,
    make_topic: MakeTopic,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """Opaque, with a key that is a string in Avro."""
    topic = make_topic()
    tide.outbox()
    tide.pipeline(
        topic,
        wire_format="debezium",
        wire_config={"payload_as": "opaque"},
        serialization={"format": "avro", "key": "avro"},
        schema_registry={"url": registry.url, "auto_register": True},
    )
    tide.value("select tide.outbox_publish('orders', '[1.10]', key => 'k')")
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    key, value = read(schemas, record)
    assert key == "k"
    assert value["after"] == {"id": "k", "payload": "[1.10]"}


def test_a_row_that_does_not_fit_is_a_dead_letter_that_names_the_column(
    tide: Tide, topic: str, registry: RegistryServer, start_relay: StartRelay
) -> None:
    pipeline(tide, topic, registry.url)
    publish(tide, "insert", OLD | {"total": "much"}, None)
    start_relay(tide.dsn)
    tide.until_settled()
    error = tide.value("select error from tide.dead_letters")
    assert "column 'total': expected a numeric(10,2), not the string \"much\"" in error


def test_a_column_that_has_no_name_in_avro_is_the_pipelines_error(
    tide: Tide, topic: str, registry: RegistryServer, start_relay: StartRelay
) -> None:
    tide.outbox()
    tide.pipeline(
        topic,
        wire_format="debezium",
        wire_config={"row_schema": [{"name": "order id", "type": "bigint"}]},
        serialization={"format": "avro"},
        schema_registry={"url": registry.url},
    )
    start_relay(tide.dsn)
    eventually(lambda: tide.pipeline_row("orders-to-kafka").state == "error")
    assert "order id" in tide.pipeline_row("orders-to-kafka").error
