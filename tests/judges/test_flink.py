"""Change events as Flink SQL reads them from Kafka: the kind of each row and its values."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka import Producer

from fix_kafka import MakeTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.orders import ROW_SCHEMA, Change, Values, publish_changes
from judges.tools import JudgeError, Judges
from pg_tide_dev.kafka import KafkaServer
from relay_kit import Tide

pytestmark = [pytest.mark.nightly, pytest.mark.judge("Flink debezium-json", "apache-flink", "debezium")]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# In Flink's types: what is a number of days or microseconds for Debezium is one here too.
TYPED = {
    "id": "BIGINT", "customer": "STRING", "paid": "BOOLEAN", "small": "SMALLINT", "n": "INT", "total": "DECIMAL(12,2)",
    "weight": "STRING", "price": "DOUBLE", "ratio": "FLOAT", "born": "INT", "placed": "BIGINT", "shipped": "BIGINT",
    "stamped": "TIMESTAMP_LTZ(6)", "clock": "BIGINT", "uid": "STRING", "raw": "BYTES", "tags": "ARRAY<STRING>",
    "lasted": "BIGINT",
}  # fmt: skip
# Payloads as PostgreSQL renders them, where Flink reads the text of a timestamp itself.
AS_THEY_ARE = {
    "id": "BIGINT", "customer": "STRING", "paid": "BOOLEAN", "small": "SMALLINT", "n": "INT", "total": "DECIMAL(12,2)",
    "price": "DOUBLE", "placed": "TIMESTAMP(6)", "shipped": "TIMESTAMP(3)", "uid": "STRING", "tags": "ARRAY<STRING>",
}  # fmt: skip
AS_TEXT = ("placed", "shipped", "stamped")
AS_JSON = ("raw", "tags")  # PyFlink can't hand on an array with nulls


def kinds(changes: list[Change]) -> Iterator[tuple[str, Values]]:
    """The rows of a changelog that changes make: an update is two."""
    for change in changes:
        if change.before is not None:
            yield ("-D" if change.op == "d" else "-U"), change.before
        if change.after is not None:
            yield ("+I" if change.op == "c" else "+U"), change.after


def expected(columns: dict[str, str], row: Values) -> list[Any]:
    """A row in Flink's types."""
    return [None if row[name] is None else _expected(kind, name, row[name]) for name, kind in columns.items()]


def _expected(kind: str, name: str, value: Any) -> Any:
    if kind.startswith("TIMESTAMP"):
        moment = (
            datetime.fromisoformat(value)
            if isinstance(value, str)
            else EPOCH + timedelta(microseconds=value if name == "placed" else value * 1000)
        )
        return moment.astimezone(UTC).replace(tzinfo=None)
    return _typed(kind, value)


def found(columns: dict[str, str], values: list[Any]) -> list[Any]:
    """The judge's text in Flink's types."""
    return [
        None if value is None else json.loads(value) if name in AS_JSON else _typed(kind, value)
        for (name, kind), value in zip(columns.items(), values, strict=True)
    ]


def asked(name: str) -> str:
    """A column in the query."""
    if name in AS_JSON:
        return f"JSON_STRING(`{name}`)"
    return f"CAST(`{name}` AS STRING)" if name in AS_TEXT else f"`{name}`"


def _typed(kind: str, value: Any) -> Any:
    if kind in ("BIGINT", "INT", "SMALLINT"):
        return int(value)
    if kind.startswith("DECIMAL"):
        return str(Decimal(value))
    if kind == "BOOLEAN":
        return str(value).lower() == "true"
    if kind == "FLOAT":
        return float(f"{float(value):.7g}")
    if kind == "DOUBLE":
        return float(value)
    if kind.startswith("TIMESTAMP"):
        return datetime.fromisoformat(value)
    return value


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
