"""Change events in Avro, as Confluent's AvroConverter would write them, read by Apache Avro and by Flink.

The events are made by the wire format's own modules and sent by a plain producer: what is judged is schema and body.
"""

from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from fix_kafka import MakeTopic
from judges.conftest import Cases
from judges.flink_types import TYPED, asked, expected, found, kinds
from judges.orders import ROW_SCHEMA, Change, assert_row, publish_changes
from judges.publishing import published
from judges.tools import Judges
from pg_tide_dev.registry import RegistryServer
from pg_tide_wire_formats.avro import frame
from pg_tide_wire_formats.connect_avro import compile_connect_avro
from pg_tide_wire_formats.connect_types import Modes
from pg_tide_wire_formats.debezium import Source, envelope_schema, envelope_value
from pg_tide_wire_formats.documents import parse
from pg_tide_wire_formats.row_schema import Rows
from relay_kit import Tide

pytestmark = pytest.mark.nightly
FORMAT = "debezium in Avro"
SOURCE = Source(version="1", server_name="shop", database="shop", schema="public", table="orders")


def send_changes(tide: Tide, topic: str, registry: RegistryServer, outbox: str) -> list[Change]:
    """Publish the changes, and send their events; a delete that has no old row has the columns of its key."""
    tide.outbox(outbox)
    changes = publish_changes(tide, outbox)
    rows = Rows([(column["name"], column["type"]) for column in ROW_SCHEMA], Modes())
    avro = compile_connect_avro(envelope_schema(SOURCE, rows.schema(SOURCE.schema_name("Value"))))
    with SchemaRegistryClient({"url": registry.url}) as client:
        begin = frame(client.register_schema(f"{topic}-value", Schema(avro.text, "AVRO")))
    producer = Producer({"bootstrap.servers": tide.bootstrap})

    def row_of(text: str | None) -> dict[str, Any] | None:
        return None if text is None else rows.convert(parse(text.encode()))

    for change, message in zip(changes, published(tide, outbox), strict=True):
        before, after = row_of(message.old_payload), row_of(message.payload)
        if change.op == "d" and before is None:
            before = {column["name"]: None for column in ROW_SCHEMA} | {"id": change.id}
        event = envelope_value(SOURCE, change.op, before, after, message.us, message.us * 1000)
        producer.produce(topic, key=message.key, value=begin + avro.encode(event))
    assert producer.flush(30) == 0
    return changes


@pytest.mark.judge("Apache Avro for Java", "avro", FORMAT)
def test_apache_avro_reads_each_row(
    judges: Judges, tide: Tide, registry: RegistryServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """Before, after, op and source of each event, with the name that Debezium gives the record."""
    topic = make_topic()
    changes = send_changes(tide, topic, registry, "avro_rows")
    lines = judges.java("AvroJudge", tide.bootstrap, topic, len(changes), registry.url)
    for line, change, message in zip(lines, changes, published(tide, "avro_rows"), strict=True):
        assert "error" not in line, line
        assert line["record"] == "shop.public.orders.Envelope"
        assert line["value"]["op"] == change.op
        assert line["value"]["source"]["ts_us"] == line["value"]["ts_us"] == message.us
        assert_row(line["value"]["before"], change.before)
        assert_row(line["value"]["after"], change.after)
    cases(len(lines))


@pytest.mark.judge("Flink debezium-avro-confluent", "apache-flink", FORMAT)
def test_flink_sees_each_change_with_its_kind_and_values(
    judges: Judges, tide: Tide, registry: RegistryServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """Kinds and values; the columns are those that Avro has a type for that Flink knows."""
    topic = make_topic()
    changes = send_changes(tide, topic, registry, "avro_kinds")
    columns = {name: kind for name, kind in TYPED.items() if name not in ("small", "weight", "stamped")}
    rows = judges.flink(
        bootstrap=tide.bootstrap,
        topic=topic,
        format="debezium-avro-confluent",
        options={"url": registry.url},
        columns=", ".join(f"`{name}` {kind}" for name, kind in columns.items()),
        select=", ".join(map(asked, columns)),
    )
    seen = [(row["kind"], found(columns, row["values"])) for row in rows]
    assert seen == [(kind, expected(columns, row)) for kind, row in kinds(changes)]
    cases(len(rows))
