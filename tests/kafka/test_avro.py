"""Avro by a schema registry, as Confluent's own deserializer and fastavro read it from the topic."""

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from avro_orders import ORDER, PAYLOAD, READ, avro_pipeline, by_confluent, by_fastavro
from delivery_kit import STOP
from fix_kafka import ReadTopic
from fix_relay import StartRelay
from pg_tide_dev.kafka import KafkaServer, delete_topic
from pg_tide_dev.registry import RegistryServer
from registry_front import Front
from relay_kit import Tide, ids, records


def test_a_value_is_read_field_by_field_by_readers_of_others(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """Decimals, unions, enumerations, arrays, maps and defaults; the key is text."""
    avro_pipeline(tide, topic, registry.url)
    tide.publish(PAYLOAD, key="order-1")
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    assert by_confluent(schemas, record) == READ
    assert by_fastavro(schemas, record) == READ
    assert record.key == b"order-1"


@pytest.mark.parametrize(
    ("strategy", "subject"),
    [
        (None, "{topic}-value"),
        ("TopicNameStrategy", "{topic}-value"),
        ("RecordNameStrategy", "{name}"),
        ("TopicRecordNameStrategy", "{topic}-{name}"),
    ],
)
def test_the_schema_stands_under_the_subject_of_the_strategy(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    strategy: str | None,
    subject: str,
) -> None:
    """And under no other of the test's."""
    namespace = topic.replace("-", "_")
    name, schema = f"{namespace}.Order", ORDER | {"namespace": namespace}
    before = set(schemas.get_subjects())
    avro_pipeline(
        tide, topic, registry.url, serialization={"schema": schema, "subject_name_strategy": strategy}
    )
    tide.publish(PAYLOAD)
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    expected = subject.format(topic=topic, name=name)
    assert set(schemas.get_subjects()) - before == {expected}
    registered = schemas.get_latest_version(expected)
    assert registered.schema_id == int.from_bytes((record.value or b"")[1:5], "big")
    assert by_fastavro(schemas, record) == READ


def test_a_key_in_avro_is_a_string_under_the_subject_of_keys(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """A message without key has none."""
    avro_pipeline(tide, topic, registry.url, serialization={"schema": ORDER, "key": "avro"})
    tide.publish(PAYLOAD, key="Größe 🌊")
    tide.publish(PAYLOAD)
    start_relay(tide.dsn)
    keyed, keyless = sorted(records(read_topic(topic, 2)), key=lambda record: record.message_id)
    context = SerializationContext(topic, MessageField.KEY)
    assert AvroDeserializer(schemas)(keyed.key, context) == "Größe 🌊"
    assert keyless.key is None
    assert schemas.get_latest_version(f"{topic}-key").schema.schema_str == '"string"'
    assert by_fastavro(schemas, keyed) == by_fastavro(schemas, keyless) == READ


def test_a_delete_without_payload_is_a_tombstone_and_one_with_payload_is_not(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """A record without value makes a compacted topic forget the key."""
    avro_pipeline(tide, topic, registry.url)
    tide.value("select tide.outbox_publish('orders', null, op => 'delete', key => 'a')")
    tide.publish(PAYLOAD, op="delete", key="a")
    start_relay(tide.dsn)
    gone, with_payload = records(read_topic(topic, 2))
    assert (gone.key, gone.value) == (b"a", None)
    assert by_fastavro(schemas, with_payload) == READ


@pytest.mark.parametrize("version", [1, "latest"])
def test_the_schema_of_a_subject_and_version_is_the_registrys(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    version: int | str,
) -> None:
    """The newest has another order of fields and one more."""
    subject = f"{topic}-stored"
    newest = ORDER | {"fields": [*reversed(ORDER["fields"]), {"name": "new", "type": "int", "default": 7}]}
    numbers = [schemas.register_schema(subject, Schema(json.dumps(one), "AVRO")) for one in (ORDER, newest)]
    stored = {"subject": subject, "version": version}
    avro_pipeline(tide, topic, registry.url, registry={"auto_register": False}, serialization=stored)
    tide.publish(PAYLOAD)
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    found = int.from_bytes((record.value or b"")[1:5], "big")
    assert (found, by_confluent(schemas, record)) == (
        (numbers[0], READ) if version == 1 else (numbers[1], READ | {"new": 7})
    )


def test_the_schema_of_a_file_is_read_where_the_relay_runs(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    tmp_path: Path,
) -> None:
    """With spaces and in any order, as people write it."""
    file = tmp_path / "order.avsc"
    file.write_text(json.dumps(ORDER, indent=4), encoding="utf-8")
    avro_pipeline(tide, topic, registry.url, serialization={"schema_file": str(file)})
    tide.publish(PAYLOAD)
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    assert by_confluent(schemas, record) == READ


def test_the_registry_is_asked_once_and_not_for_every_message(
    tide: Tide, topic: str, front: Front, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A thousand messages more are no request more."""
    avro_pipeline(tide, topic, front.url)
    tide.publish(PAYLOAD, key="one")
    start_relay(tide.dsn)
    tide.until_settled()
    subject = f"/subjects/{topic}-value"
    assert front.count() == {f"POST {subject}": 1, f"POST {subject}/versions": 1}
    published = [tide.publish(PAYLOAD | {"id": number}, key="one") for number in range(10)]
    tide.value(
        "select count(tide.outbox_publish('orders', %s::jsonb, key => 'one')) from generate_series(1, 1000)",
        json.dumps(PAYLOAD),
    )
    tide.until_settled()
    assert front.count().total() == 2
    found = ids(read_topic(topic, 1011))
    assert len(found) == len(set(found)) == 1011
    assert found == sorted(found)
    assert set(published) <= set(found)


def test_each_topic_of_a_template_has_a_subject_and_asks_once(
    tide: Tide,
    topic: str,
    kafka: KafkaServer,
    front: Front,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """What follows in the same outbox waits meanwhile: ids stay in order on each topic."""
    avro_pipeline(tide, f"{topic}-{{payload.state}}", front.url)
    topics = [f"{topic}-{state}" for state in ("NEW", "PAID")]
    try:
        for number in range(20):
            tide.publish(PAYLOAD | {"state": ("NEW", "PAID")[number % 2], "id": number}, key="one")
        start_relay(tide.dsn)
        tide.until_settled()
        for each in topics:
            found = records(read_topic(each, 10))
            assert [record.message_id for record in found] == sorted(record.message_id for record in found)
            assert len(found) == 10
            assert by_fastavro(schemas, found[0])["state"] == each.rpartition("-")[2]
            assert schemas.get_versions(f"{each}-value") == [1]
        assert front.count().total() == 4
    finally:
        for each in topics:
            delete_topic(kafka.bootstrap, each)


def test_a_payload_that_does_not_fit_stops_at_its_message_with_path_and_type(
    tide: Tide, topic: str, registry: RegistryServer, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """What is before it arrives, what is behind it waits, and nothing is dropped silently."""
    avro_pipeline(tide, topic, registry.url, dlq=STOP)
    good = tide.publish(PAYLOAD, key="one")
    lines: list[dict[str, Any]] = [{"sku": "A", "count": 1}, {"sku": "B", "count": "two"}]
    bad = tide.publish(PAYLOAD | {"lines": lines}, key="one")
    tide.publish(PAYLOAD, key="one")
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.message_id) == ("message", bad)
    assert "lines[1].count" in row.error
    assert "int" in row.error
    assert ids(read_topic(topic, 1)) == [good]
