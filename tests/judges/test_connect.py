"""Change events as a sink of Kafka Connect sees them: Kafka's JsonConverter, and transformations behind it."""

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from fix_kafka import MakeTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.orders import COLUMNS, ROW_SCHEMA, Change, assert_row, publish_changes, with_tombstones
from judges.publishing import published
from judges.tools import Judges, Line
from pg_tide_dev.kafka import KafkaServer
from relay_kit import Tide

pytestmark = pytest.mark.nightly
UNWRAP = "io.debezium.transforms.ExtractNewRecordState"
ICEBERG = "org.apache.iceberg.connect.transforms.DebeziumTransform"
WITH_SCHEMA = {
    "schemas_enable": True,
    "row_schema": ROW_SCHEMA,
    "key_strategy": "struct",
    "key_fields": ["id"],
    "key_schemas_enable": True,
}
WITHOUT_SCHEMA = {
    "row_schema": ROW_SCHEMA,
    "decimal_handling_mode": "string",
    "key_strategy": "struct",
    "key_fields": ["id"],
}
DEBEZIUM = "debezium"
SCHEMA_NAMES = {
    "total": "bytes? org.apache.kafka.connect.data.Decimal {connect.decimal.precision=12, scale=2}",
    "born": "int32? io.debezium.time.Date",
    "placed": "int64? io.debezium.time.MicroTimestamp",
    "shipped": "int64? io.debezium.time.Timestamp",
    "stamped": "string? io.debezium.time.ZonedTimestamp",
    "clock": "int64? io.debezium.time.MicroTime",
    "uid": "string? io.debezium.data.Uuid",
    "doc": "string? io.debezium.data.Json",
    "lasted": "int64? io.debezium.time.MicroDuration",
    "id": "int64?",
    "small": "int16?",
    "ratio": "float32?",
    "price": "float64?",
    "raw": "bytes?",
}


def changed(tide: Tide, topic: str, name: str, wire_config: dict[str, Any]) -> list[Change]:
    """Publish the changes through a pipeline with these options; `name` is outbox, pipeline and table."""
    tide.outbox(name)
    options = {"server_name": "shop", "table": f"public.{name}", **wire_config}
    tide.pipeline(topic, name=name, outbox=name, wire_format=DEBEZIUM, wire_config=options)
    return publish_changes(tide, name)


@pytest.mark.parametrize("mode", ["schemas", "no_schemas"])
@pytest.mark.judge("Kafka Connect JsonConverter", "connect-json", DEBEZIUM)
def test_a_sink_gets_the_rows_with_their_types(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases, mode: str
) -> None:
    """Key, before, after, op and source of each event; a tombstone behind each delete."""
    topic, flag = make_topic(), str(mode == "schemas").lower()
    changes = changed(tide, topic, mode, WITH_SCHEMA if mode == "schemas" else WITHOUT_SCHEMA)
    expected = with_tombstones(changes)
    lines = judges.java("ConnectJudge", tide.bootstrap, topic, len(expected), flag, flag)
    database = tide.value("select current_database()")
    messages = {message.id: message for message in published(tide, mode)}
    order = iter(messages.values())
    last = None
    for line, change in zip(lines, expected, strict=True):
        assert "error" not in line, line
        if change is None:
            assert (line["value"], line["schema"]) == (None, None)
            assert line["key"] == {"id": last and last.id}
            continue
        last = change
        message = next(order)
        value = line["value"]
        assert line["key"] == {"id": change.id}
        assert value["op"] == change.op
        assert_row(value["before"], change.before)
        assert_row(value["after"], change.after)
        source = value["source"]
        assert (source["connector"], source["name"], source["db"]) == ("postgresql", "shop", database)
        assert (source["schema"], source["table"], source["snapshot"]) == ("public", mode, "false")
        assert (source["ts_ms"], source["ts_us"]) == (message.us // 1000, message.us)
        assert source["ts_ns"] == message.us * 1000
        assert value["ts_us"] >= message.us
        assert value["ts_us"] // 1000 == value["ts_ms"]
        if mode == "schemas":
            assert_schemas(line, mode)
    cases(len(lines))


def assert_schemas(line: Line, table: str) -> None:
    """The schemas of key and value are Debezium's own."""
    schema = line["schema"]
    assert (schema["name"], schema["version"]) == (f"shop.public.{table}.Envelope", 2)
    assert list(schema["fields"]) == [
        "before",
        "after",
        "source",
        "transaction",
        "op",
        "ts_ms",
        "ts_us",
        "ts_ns",
    ]
    for part in ("before", "after"):
        row = schema["fields"][part]
        assert (row["name"], row["optional"]) == (f"shop.public.{table}.Value", True)
        assert list(row["fields"]) == [column.name for column in COLUMNS]
        assert {name: row["fields"][name] for name in SCHEMA_NAMES} == SCHEMA_NAMES
        assert row["fields"]["weight"]["name"] == "io.debezium.data.VariableScaleDecimal"
    assert schema["fields"]["source"]["name"] == "io.debezium.connector.postgresql.Source"
    assert schema["fields"]["transaction"]["name"] == "event.block"
    assert line["keySchema"]["name"] == f"shop.public.{table}.Key"
    assert line["keySchema"]["fields"] == {"id": "int64"}


MODES = {
    "connect": {
        "born": ("int32? org.apache.kafka.connect.data.Date", "extract(epoch from born) * 1000"),
        "placed": (
            "int64? org.apache.kafka.connect.data.Timestamp",
            "floor(extract(epoch from placed) * 1000)",
        ),
        "clock": ("int32? org.apache.kafka.connect.data.Time", "floor(extract(epoch from clock) * 1000)"),
    },
    "isostring": {
        "born": ("string? io.debezium.time.IsoDate", """to_char(born, 'YYYY-MM-DD"Z"')"""),
        "placed": (
            "string? io.debezium.time.IsoTimestamp",
            """to_char(placed, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
        ),
        "clock": ("string? io.debezium.time.IsoTime", """to_char(clock, 'HH24:MI:SS.US"Z"')"""),
    },
    "microseconds": {
        "placed": ("int64? io.debezium.time.MicroTimestamp", "extract(epoch from placed) * 1000000"),
        "clock": ("int64? io.debezium.time.MicroTime", "extract(epoch from clock) * 1000000"),
    },
    "nanoseconds": {
        "placed": ("int64? io.debezium.time.NanoTimestamp", "extract(epoch from placed) * 1000000000"),
        "clock": ("int64? io.debezium.time.NanoTime", "extract(epoch from clock) * 1000000000"),
    },
}
MOMENTS = "date '1969-07-20' as born, timestamp '1969-07-20 20:17:40.123456' as placed, time '20:17:40.123456' as clock"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.judge("Kafka Connect JsonConverter", "connect-json", DEBEZIUM)
def test_dates_and_times_are_of_the_type_and_unit_of_their_mode(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases, mode: str
) -> None:
    """Before 1970, where a unit that is cut off the wrong way shows."""
    topic, name = make_topic(), f"times_{mode}"
    tide.outbox(name)
    types = {"born": "date", "placed": "timestamp", "clock": "time"}
    options = {
        "schemas_enable": True,
        "time_precision_mode": mode,
        "row_schema": [{"name": column, "type": types[column]} for column in MODES[mode]],
    }
    tide.pipeline(topic, name=name, outbox=name, wire_format=DEBEZIUM, wire_config=options)
    members = ", ".join(f"'{column}', {column}" for column in MODES[mode])
    tide.value(
        f"select tide.outbox_publish(%s, (select jsonb_build_object({members}) from (select {MOMENTS}) as row))",
        name,
    )
    (line,) = judges.java("ConnectJudge", tide.bootstrap, topic, 1, "false", "true")
    after = line["schema"]["fields"]["after"]["fields"]
    assert after == {column: schema for column, (schema, _) in MODES[mode].items()}
    for column, (_, query) in MODES[mode].items():
        expected = tide.value(f"select ({query})::text from (select {MOMENTS}) as row")
        found = str(line["value"]["after"][column])
        assert found == (expected if mode == "isostring" else expected.partition(".")[0])
    cases(1)


@pytest.mark.judge("Kafka Connect JsonConverter", "connect-json", DEBEZIUM)
def test_any_json_arrives_as_text_where_payloads_are_opaque(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases
) -> None:
    """An object, an array, a text and JSON's null, each beside its key."""
    topic = make_topic()
    tide.outbox("opaque")
    options = {"schemas_enable": True, "payload_as": "opaque", "key_strategy": "struct"}
    tide.pipeline(topic, name="opaque", outbox="opaque", wire_format=DEBEZIUM, wire_config=options)
    documents = ['{"a": [1.10, null]}', "[1, {}]", '"ä 🌊 \\""', "null"]
    for n, document in enumerate(documents):
        tide.value("select tide.outbox_publish('opaque', %s::jsonb, key => %s)", document, f"k{n}")
    lines = judges.java("ConnectJudge", tide.bootstrap, topic, len(documents), "false", "true")
    for n, (line, document) in enumerate(zip(lines, documents, strict=True)):
        assert (line["key"], line["value"]["after"]) == (
            {"id": f"k{n}"},
            {"id": f"k{n}", "payload": document},
        )
        fields = line["schema"]["fields"]["after"]["fields"]
        assert fields == {"id": "string?", "payload": "string? io.debezium.data.Json"}
    cases(len(documents))


@pytest.mark.judge("Kafka Connect JsonConverter", "connect-json", DEBEZIUM)
def test_the_judge_refuses_another_frame_and_an_unknown_type(
    judges: Judges, kafka: KafkaServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """What it does not check is seen too: a text in a column of int64 becomes 0, so that values are compared above."""
    topic = make_topic()
    schema = {
        "type": "struct",
        "optional": False,
        "fields": [{"type": "int64", "optional": False, "field": "id"}],
    }
    frames: list[Any] = [
        {"schema": schema, "payload": {"id": 1}},
        {"schema": schema, "payload": {"id": 1}, "more": 1},
        {"id": 1},
        {"schema": {"type": "int33", "optional": False}, "payload": 1},
        {"schema": schema, "payload": {"id": "one"}},
    ]
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for frame in frames:
        producer.produce(topic, value=json.dumps(frame).encode())
    assert producer.flush(30) == 0
    lines = judges.java("ConnectJudge", kafka.bootstrap, topic, len(frames), "true", "true")
    assert ["error" in line for line in lines] == [False, True, True, True, False]
    assert [lines[0]["value"], lines[4]["value"]] == [{"id": 1}, {"id": 0}]
    cases(len(frames))


@pytest.mark.judge("Debezium ExtractNewRecordState", "debezium-connect-plugins", DEBEZIUM)
def test_debeziums_unwrap_gives_the_row(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases
) -> None:
    """The row alone, with op and table beside it; a delete as its old row that is marked."""
    topic = make_topic()
    changes = changed(tide, topic, "unwrapped", WITH_SCHEMA)
    options = ["add.fields=op,source.table,source.ts_us", "delete.tombstone.handling.mode=rewrite"]
    count = len(with_tombstones(changes))
    lines = judges.java("ConnectJudge", tide.bootstrap, topic, count, "true", "true", UNWRAP, *options)
    kept = [line for line in lines if not line.get("dropped")]
    assert [line for line in kept if "error" in line] == []
    assert len(lines) - len(kept) == 3, "tombstones are dropped in this mode"
    added = ("__op", "__source_table", "__source_ts_us", "__deleted")
    for line, change, message in zip(kept, changes, published(tide, "unwrapped"), strict=True):
        value = line["value"]
        assert_row(value, change.before if change.op == "d" else change.after, *added)
        assert [str(value[name]) for name in added] == [
            change.op,
            "unwrapped",
            str(message.us),
            str(change.op == "d").lower(),
        ]
        assert line["schema"]["name"] == "shop.public.unwrapped.Value", "recognised, not passed through"
    cases(len(lines))


@pytest.mark.judge("Debezium ExtractNewRecordState", "debezium-connect-plugins", DEBEZIUM)
def test_debeziums_unwrap_makes_deletes_tombstones_as_it_comes(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases
) -> None:
    """Without options a delete becomes a record without value, and the tombstone behind it is left out."""
    topic = make_topic()
    changes = changed(tide, topic, "defaults", WITH_SCHEMA)
    expected = with_tombstones(changes)
    lines = judges.java("ConnectJudge", tide.bootstrap, topic, len(expected), "true", "true", UNWRAP)
    for line, change in zip(lines, expected, strict=True):
        if change is None:
            assert line == {"dropped": True}
        elif change.op == "d":
            assert (line["key"], line["value"]) == ({"id": change.id}, None)
        else:
            assert_row(line["value"], change.after)
    cases(len(lines))


@pytest.mark.judge("Debezium ExtractNewRecordState", "debezium-connect-plugins", DEBEZIUM)
def test_debeziums_unwrap_passes_events_through_that_have_no_schema(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases
) -> None:
    """Its own limit, which the page about judges tells: it needs `schemas_enable`."""
    topic = make_topic()
    changes = changed(tide, topic, "plain", WITHOUT_SCHEMA)
    lines = judges.java("ConnectJudge", tide.bootstrap, topic, len(changes), "false", "false", UNWRAP)
    assert_row(lines[0]["value"]["after"], changes[0].after)
    cases(1)


@pytest.mark.parametrize("mode", ["iceberg", "iceberg_plain"])
@pytest.mark.judge("Iceberg DebeziumTransform", "iceberg-kafka-connect-transforms", DEBEZIUM)
def test_icebergs_transformation_gives_the_row_and_what_happened_to_it(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases, mode: str
) -> None:
    """I, U or D, table, key and time in `_cdc`, beside the row."""
    topic, flag = make_topic(), str(mode == "iceberg").lower()
    changes = changed(tide, topic, mode, WITH_SCHEMA if mode == "iceberg" else WITHOUT_SCHEMA)
    expected = with_tombstones(changes)
    lines = judges.java("ConnectJudge", tide.bootstrap, topic, len(expected), flag, flag, ICEBERG)
    for line, change in zip(lines, expected, strict=True):
        assert "error" not in line, line
        if change is None:
            assert line["value"] is None, "tombstones go on to the sink, which leaves them out"
            continue
        value = line["value"]
        assert_row(value, change.before if change.op == "d" else change.after, "_cdc")
        cdc = value["_cdc"]
        assert cdc["op"] == {"c": "I", "u": "U", "d": "D"}[change.op]
        assert (cdc["source"], cdc["key"]) == (f"public.{mode}", {"id": change.id})
        assert cdc["target"] == f"public.{mode}"
    cases(len(lines))
