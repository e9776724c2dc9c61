"""Payloads in Avro behind Confluent's frame, as readers that ask the registry for the schema see them."""

import base64
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.tools import Judges
from pg_tide_dev.registry import RegistryServer
from relay_kit import Tide, records

pytestmark = pytest.mark.nightly
FORMAT = "avro"
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer", "type": "string"},
        {"name": "paid", "type": "boolean"},
        {"name": "n", "type": "int"},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "price", "type": "double"},
        {"name": "ratio", "type": "float"},
        {"name": "born", "type": {"type": "int", "logicalType": "date"}},
        {"name": "stamped", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "shipped", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "clock", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "uid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "raw", "type": "bytes"},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [{"name": "sku", "type": "string"}, {"name": "count", "type": "int"}],
                },
            },
        },
        {"name": "attributes", "type": {"type": "map", "values": "string"}},
    ],
}
USUAL = {
    "id": 12345, "customer": "Größe 🌊", "paid": True, "n": 42, "total": Decimal("1.10"), "price": 0.1, "ratio": 1.5,
    "born": date(2026, 1, 31), "stamped": datetime(2026, 1, 31, 9, 15, 0, 123456, UTC),
    "shipped": datetime(2026, 1, 31, 9, 15, 0, 120000, UTC), "clock": "09:15:00.001",
    "uid": "00112233-4455-6677-8899-aabbccddeeff", "raw": b"\x00\xff\x80", "state": "PAID", "note": "a note",
    "lines": [{"sku": "A-1", "count": 2}, {"sku": "Б-2", "count": -1}], "attributes": {"ключ": "ä", "": ""},
}  # fmt: skip
EXTREME = {
    "id": 2**53 + 1, "customer": "\u0001\"\\\n", "paid": False, "n": -(2**31), "total": Decimal("-9999999999.99"),
    "price": -1.7976931348623157e308, "ratio": -3.4028235e38, "born": date(1969, 12, 31),
    "stamped": datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), "shipped": datetime(2262, 1, 1, tzinfo=UTC),
    "clock": "23:59:59.999", "uid": "ffffffff-ffff-4fff-bfff-ffffffffffff", "raw": b"", "state": "NEW", "note": None,
    "lines": [], "attributes": {},
}  # fmt: skip
ROWS: list[dict[str, Any]] = [USUAL, EXTREME]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def document(row: dict[str, Any]) -> str:
    """A row as PostgreSQL's to_jsonb writes one."""

    def text(value: Any) -> Any:
        if isinstance(value, bytes):
            return "\\x" + value.hex()
        return value.isoformat() if isinstance(value, date) else str(value)

    return json.dumps(row, default=text)


def counted(row: dict[str, Any]) -> dict[str, Any]:
    """A row in Avro's own counts: days, milliseconds, microseconds; decimals as text, bytes in base64."""
    hour, minute, second = row["clock"].split(":")
    return row | {
        "total": str(row["total"]),
        "born": (row["born"] - date(1970, 1, 1)).days,
        "stamped": (row["stamped"] - EPOCH) // datetime.resolution,
        "shipped": (row["shipped"] - EPOCH) // datetime.resolution // 1000,
        "clock": round((int(hour) * 3600 + int(minute) * 60 + float(second)) * 1000),
        "raw": base64.b64encode(row["raw"]).decode(),
    }


@pytest.fixture
def topic_of_rows(
    tide: Tide, relay: Relay, make_topic: MakeTopic, registry: RegistryServer, request: pytest.FixtureRequest
) -> str:
    """A topic that the rows are sent to, in order, with a tombstone behind them."""
    topic = make_topic()
    name = re.sub(r"\W+", "_", request.node.name)[-40:]
    tide.outbox(name)
    tide.pipeline(
        topic,
        name=name,
        outbox=name,
        wire_format=FORMAT,
        serialization={"schema": SCHEMA},
        schema_registry={"url": registry.url, "auto_register": True},
    )
    for row in ROWS:
        tide.value("select tide.outbox_publish(%s, %s::jsonb, key => 'ключ')", name, document(row))
    tide.value("select tide.outbox_publish(%s, null, op => 'delete', key => 'ключ')", name)
    tide.until_settled(name)
    return topic


@pytest.mark.judge("Apache Avro for Java", "avro", FORMAT)
def test_apache_avro_reads_each_value(
    judges: Judges, tide: Tide, registry: RegistryServer, topic_of_rows: str, cases: Cases
) -> None:
    """By the id in the frame, with no byte left over; a tombstone has no value."""
    lines = judges.java("AvroJudge", tide.bootstrap, topic_of_rows, len(ROWS) + 1, registry.url)
    assert [line.get("error") for line in lines] == [None] * len(lines)
    assert [line["value"] for line in lines[:-1]] == [counted(row) for row in ROWS]
    assert {line["record"] for line in lines[:-1]} == {"shop.Order"}
    assert [base64.b64decode(line["key"]).decode() for line in lines] == ["ключ"] * len(lines)
    assert lines[-1].get("tombstone")
    cases(len(lines))


@pytest.mark.judge("kafkajs with its registry client", "@kafkajs/confluent-schema-registry", FORMAT)
def test_kafkajs_reads_each_value(
    judges: Judges, tide: Tide, registry: RegistryServer, topic_of_rows: str, cases: Cases
) -> None:
    """JavaScript refuses integers that its numbers can't hold, and leaves decimals as bytes."""
    lines = judges.node("read_topic.js", tide.bootstrap, topic_of_rows, len(ROWS) + 1, registry.url)
    unscaled = int(USUAL["total"] * 100)
    expected = counted(USUAL) | {
        "total": list(unscaled.to_bytes((unscaled.bit_length() // 8) + 1, "big", signed=True)),
        "raw": list(USUAL["raw"]),
    }
    found = {
        name: value["data"] if isinstance(value, dict) and value.get("type") == "Buffer" else value
        for name, value in lines[0]["decoded"].items()
    }
    assert found == expected
    assert "precision loss" in lines[1]["error"]
    assert (lines[2]["value"], "decoded" in lines[2]) == (None, False)
    cases(len(lines))


@pytest.mark.judge("chDB (ClickHouse) AvroConfluent", "chdb", FORMAT)
def test_clickhouse_reads_each_value_with_its_logical_type(
    judges: Judges,
    tide: Tide,
    registry: RegistryServer,
    read_topic: ReadTopic,
    topic_of_rows: str,
    tmp_path: Path,
    cases: Cases,
) -> None:
    """ClickHouse as a library has no Kafka: it reads the topic's values from a file, one behind the other."""
    file = tmp_path / "values"
    sent = records(read_topic(topic_of_rows, len(ROWS) + 1))
    file.write_bytes(b"".join(record.value or b"" for record in sent))
    columns = (
        "id Int64, customer String, paid Bool, n Int32, total Decimal(12, 2), price Float64, ratio Float32,"
        " born Date32, stamped DateTime64(6, ''UTC''), shipped DateTime64(3, ''UTC''), uid UUID, raw String,"
        " state String, note Nullable(String), lines Array(Tuple(sku String, count Int32)),"
        " attributes Map(String, String)"
    )
    rows = judges.chdb(
        query=f"select * replace (hex(raw) as raw) from file('{file}', 'AvroConfluent', '{columns}')",
        settings={"format_avro_schema_registry_url": registry.url},
    )
    assert len(rows) == len(ROWS)
    for found, row in zip(rows, ROWS, strict=True):
        expected = {name: value for name, value in row.items() if name != "clock"} | {
            "raw": row["raw"].hex().upper()
        }
        found |= {
            "id": int(found["id"]),
            "total": Decimal(found["total"]),
            "born": date.fromisoformat(found["born"]),
            "stamped": datetime.fromisoformat(found["stamped"]).replace(tzinfo=UTC),
            "shipped": datetime.fromisoformat(found["shipped"]).replace(tzinfo=UTC),
        }
        assert found == expected
    cases(len(rows))


@pytest.mark.judge("Flink avro-confluent", "apache-flink", FORMAT)
def test_flink_reads_each_value(
    judges: Judges, tide: Tide, registry: RegistryServer, topic_of_rows: str, cases: Cases
) -> None:
    """Flink makes a schema of its own from the table's columns, and resolves the writer's to it."""
    columns = {
        "id": "BIGINT NOT NULL", "customer": "STRING NOT NULL", "paid": "BOOLEAN NOT NULL", "n": "INT NOT NULL",
        "total": "DECIMAL(12,2) NOT NULL", "price": "DOUBLE NOT NULL", "ratio": "FLOAT NOT NULL",
        "born": "DATE NOT NULL", "shipped": "TIMESTAMP(3) NOT NULL", "note": "STRING",
    }  # fmt: skip
    rows = judges.flink(
        bootstrap=tide.bootstrap,
        topic=topic_of_rows,
        format="avro-confluent",
        options={"url": registry.url},
        columns=", ".join(f"`{name}` {kind}" for name, kind in columns.items()),
        select=", ".join(
            f"CAST(`{name}` AS STRING)" if name == "shipped" else f"`{name}`" for name in columns
        ),
    )
    assert {row["kind"] for row in rows} == {"+I"}
    assert len(rows) == len(ROWS)
    for found, row in zip(rows, ROWS, strict=True):
        values = dict(zip(columns, found["values"], strict=True))
        assert values | {
            "price": float(values["price"]),
            "ratio": float(values["ratio"]),
            "shipped": datetime.fromisoformat(values["shipped"]).replace(tzinfo=UTC),
        } == {
            name: value if name in ("price", "ratio", "shipped") or value is None else str(value)
            for name, value in row.items()
            if name in columns
        }
    cases(len(rows))
