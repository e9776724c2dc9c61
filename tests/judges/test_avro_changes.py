"""Change events in Avro, as Confluent's AvroConverter would write them, read by Apache Avro and by Flink."""

import pytest

from fix_kafka import MakeTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.flink_types import TYPED, asked, expected, found, kinds
from judges.orders import ROW_SCHEMA, Change, assert_row, publish_changes, with_tombstones
from judges.publishing import published
from judges.tools import Judges
from pg_tide_dev.registry import RegistryServer
from relay_kit import Tide

pytestmark = pytest.mark.nightly
FORMAT = "debezium in Avro"


def changed(tide: Tide, topic: str, registry: RegistryServer, name: str) -> list[Change]:
    """Publish the changes through a pipeline; `name` is outbox, pipeline and table."""
    tide.outbox(name)
    tide.pipeline(
        topic,
        name=name,
        outbox=name,
        wire_format="debezium",
        wire_config={
            "server_name": "shop",
            "table": f"public.{name}",
            "row_schema": ROW_SCHEMA,
            "key_strategy": "struct",
            "key_fields": ["id"],
        },
        serialization={"format": "avro"},
        schema_registry={"url": registry.url, "auto_register": True},
    )
    changes = publish_changes(tide, name)
    tide.until_settled(name)
    return changes


@pytest.mark.judge("Apache Avro for Java", "avro", FORMAT)
def test_apache_avro_reads_each_row(
    judges: Judges, tide: Tide, relay: Relay, registry: RegistryServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """Key, before, after, op and source of each event, with the names that Debezium gives the records."""
    topic = make_topic()
    expected_lines = with_tombstones(changed(tide, topic, registry, "avro_rows"))
    lines = judges.java("AvroJudge", tide.bootstrap, topic, len(expected_lines), registry.url, "keys")
    messages = iter(published(tide, "avro_rows"))
    last = None
    for line, change in zip(lines, expected_lines, strict=True):
        assert "error" not in line, line
        assert line["keyRecord"] == "shop.public.avro_rows.Key"
        if change is None:
            assert line["tombstone"]
            assert line["key"] == {"id": last and last.id}
            continue
        last, message = change, next(messages)
        value = line["value"]
        assert line["record"] == "shop.public.avro_rows.Envelope"
        assert (line["key"], value["op"]) == ({"id": change.id}, change.op)
        assert (value["source"]["ts_us"], value["source"]["table"]) == (message.us, "avro_rows")
        assert value["ts_us"] >= message.us
        assert_row(value["before"], change.before)
        assert_row(value["after"], change.after)
    cases(len(lines))


@pytest.mark.judge("Flink debezium-avro-confluent", "apache-flink", FORMAT)
def test_flink_sees_each_change_with_its_kind_and_values(
    judges: Judges, tide: Tide, relay: Relay, registry: RegistryServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """Kinds and values, of the columns that have a type in Avro that Flink has a column for."""
    topic = make_topic()
    changes = changed(tide, topic, registry, "avro_kinds")
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
