"""Change events as Flink SQL reads them from Kafka: the kind of each row and its values."""

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from fix_kafka import MakeTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.flink_types import AS_THEY_ARE, TYPED, asked, expected, found, kinds
from judges.orders import ROW_SCHEMA, publish_changes
from judges.tools import JudgeError, Judges
from pg_tide_dev.kafka import KafkaServer
from relay_kit import Tide

pytestmark = [pytest.mark.nightly, pytest.mark.judge("Flink debezium-json", "apache-flink", "debezium")]


@pytest.mark.parametrize("mode", ["schema", "rows"])
def test_flink_sees_each_change_with_its_kind_and_values(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases, mode: str
) -> None:
    """Typed rows beside their schema, and payloads as they are without one; tombstones are passed over.

    An update that was published without its old row is an insert to Flink, which is what `emit_as` c says.
    """
    columns = TYPED if mode == "schema" else AS_THEY_ARE
    options: dict[str, Any] = {"table": f"public.{mode}", "key_strategy": "struct", "key_fields": ["id"]}
    if mode == "schema":
        options |= {"schemas_enable": True, "row_schema": ROW_SCHEMA, "decimal_handling_mode": "string"}
    topic = make_topic()
    tide.outbox(mode)
    tide.pipeline(topic, name=mode, outbox=mode, wire_format="debezium", wire_config=options)
    changes = publish_changes(tide, mode)
    tide.publish({"id": 9, "total": 1.5}, outbox=mode, op="update", key="9")
    without_old = dict.fromkeys(TYPED) | {"id": 9, "total": "1.50"}
    tide.until_settled(mode)
    rows = judges.flink(
        bootstrap=tide.bootstrap,
        topic=topic,
        format="debezium-json",
        options={
            "schema-include": "true" if mode == "schema" else "false",
            "timestamp-format.standard": "ISO-8601",
        },
        columns=", ".join(f"`{name}` {kind}" for name, kind in columns.items()),
        select=", ".join(map(asked, columns)),
    )
    seen = [(row["kind"], found(columns, row["values"])) for row in rows]
    told = [*kinds(changes), ("+I", without_old)]
    assert seen == [(kind, expected(columns, row)) for kind, row in told]
    cases(len(rows))


def test_the_judge_refuses_an_update_without_its_old_row(
    judges: Judges, kafka: KafkaServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """Why `emit_as` never sends one."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, value=json.dumps({"before": None, "after": {"id": 1}, "op": "u"}).encode())
    assert producer.flush(30) == 0
    question = {"bootstrap": kafka.bootstrap, "topic": topic, "format": "debezium-json", "options": {}}
    with pytest.raises(JudgeError, match="REPLICA IDENTITY"):
        judges.flink(columns="id BIGINT", **question)
    cases(1)
