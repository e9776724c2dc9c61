"""Orders in Avro: a schema, a payload, a pipeline, and how readers of others read the record."""

import io
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from relay_kit import Record, Tide

ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "share", "type": "double", "default": 0.5},
        {"name": "lines", "type": {"type": "array", "items": {
            "type": "record", "name": "Line", "fields": [
                {"name": "sku", "type": "string"}, {"name": "count", "type": "int"}]}}, "default": []},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]}},
        {"name": "tags", "type": {"type": "map", "values": "boolean"}, "default": {}},
        {"name": "ref", "type": ["null", {"type": "string", "logicalType": "uuid"}], "default": None},
    ],
}  # fmt: skip
PAYLOAD = {
    "id": 9007199254740993,
    "total": 1234567.10,
    "note": "Größe 🌊",
    "lines": [{"sku": "A-1", "count": 2}, {"sku": "", "count": -1}],
    "state": "PAID",
    "tags": {"gift": True},
    "ref": "6f2c6b1e-1f4e-4b0e-8a55-0c5b1c8f0a11",
}
READ = {
    "id": 9007199254740993,
    "total": Decimal("1234567.10"),
    "note": "Größe 🌊",
    "share": 0.5,
    "lines": [{"sku": "A-1", "count": 2}, {"sku": "", "count": -1}],
    "state": "PAID",
    "tags": {"gift": True},
    "ref": UUID("6f2c6b1e-1f4e-4b0e-8a55-0c5b1c8f0a11"),
}


def avro_pipeline(
    tide: Tide, topic: str, url: str, *, registry: dict[str, Any] | None = None, **keys: Any
) -> None:
    """The outbox orders, and its pipeline in Avro; the schema is ORDER unless `serialization` says otherwise."""
    tide.outbox()
    given = {"wire_format": "avro", "serialization": {"schema": ORDER}, **keys}
    tide.pipeline(topic, schema_registry={"url": url, "auto_register": True, **(registry or {})}, **given)


def by_confluent(schemas: SchemaRegistryClient, record: Record) -> Any:
    """The value as Confluent's deserializer reads it, with the schema that the registry has."""
    context = SerializationContext(record.topic, MessageField.VALUE)
    return AvroDeserializer(schemas)(record.value, context)


def by_fastavro(schemas: SchemaRegistryClient, record: Record) -> Any:
    """The value as fastavro reads it, with the schema of the id in the frame."""
    value = record.value or b""
    schema = schemas.get_schema(int.from_bytes(value[1:5], "big")).schema_str
    body = io.BytesIO(value[5:])
    read = fastavro.schemaless_reader(body, fastavro.parse_schema(json.loads(str(schema))), None)
    assert body.read() == b""
    return read


def without(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    """The record's schema without some fields."""
    return schema | {"fields": [field for field in schema["fields"] if field["name"] not in names]}


def with_field(schema: dict[str, Any], name: str, **field: Any) -> dict[str, Any]:
    """The record's schema with one more field."""
    return schema | {"fields": [*schema["fields"], {"name": name, **field}]}
