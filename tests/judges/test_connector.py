"""Events of the debezium format beside those that Debezium's own PostgreSQL connector writes of the same rows."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from delivery_kit import a_config, a_row
from fix_kafka import MakeTopic, ReadTopic
from fix_postgres import install_schema
from fix_relay import relays
from fix_run import or_skip
from judges.all_types import EveryType
from judges.conftest import Cases
from judges.connector import Written, written
from judges.differences import DIFFERENCES, LEFT_OUT, REFUSED, SCHEMAS, Finding
from judges.tools import Judges
from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.kafka import KafkaServer
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run
from pg_tide_relay.encode import Shape, compile_shape
from pg_tide_relay.errors import MessageError
from pg_tide_relay.wire_types import Origin
from relay_kit import records, tide_on

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.judge("Debezium's PostgreSQL connector", "debezium-connector-postgres", "debezium"),
]
SETTINGS = {"wal_level": "logical", "max_replication_slots": "20", "max_wal_senders": "20"}
MODES = {
    "adaptive": {},
    "adaptive_time_microseconds": {"decimal_handling_mode": "double", "binary_handling_mode": "base64"},
    "connect": {"decimal_handling_mode": "string", "binary_handling_mode": "base64-url-safe"},
    "isostring": {"decimal_handling_mode": "precise", "binary_handling_mode": "hex"},
    "microseconds": {"binary_handling_mode": "bytes"},
    "nanoseconds": {},
}
"""time.precision.mode and the other modes beside it; no type depends on two."""
TABLE = "every_type"
SERVER, DATABASE = "1-db.x", "shop"
NEVER_THE_SAME = ("ts_ms", "ts_us", "ts_ns", "version", "txId", "lsn", "sequence")


@pytest.fixture(scope="module", params=(15, 18), ids=("pg15", "pg18"))
def database(request: pytest.FixtureRequest, dev_run: Run) -> Iterator[Database]:
    """A database with the schema on a server that decodes its WAL."""
    server = or_skip(lambda: start_postgres(dev_run, request.param, own=True, settings=SETTINGS))
    created = create_database(server, DATABASE)
    install_schema(created.dsn)
    yield created
    server.discard()


class Judged(NamedTuple):
    """A table with a column of every type, and what the connector writes of its rows."""

    payloads: list[dict[str, str]]  # what to_jsonb says of each column
    row_schema: list[dict[str, str]]
    events: dict[str, list[Written]]  # of each mode


@pytest.fixture(scope="module")
def every_type(judges: Judges, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """The table is filled while a connector for each mode streams."""
    connectors = {
        mode: {
            "time.precision.mode": mode,
            "table.include.list": f"public.{TABLE}",
            **{name.replace("_", "."): value for name, value in options.items()},
        }
        for mode, options in MODES.items()
    }
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        table = EveryType(connection, TABLE)
        folder = tmp_path_factory.mktemp("connector")
        events = written(judges, database.dsn, folder, connectors, table.inserts, len(table.inserts))
        return Judged(table.payloads(), table.row_schema(), events)


def test_every_type_has_the_connectors_schema_and_values(
    every_type: Judged, database: Database, cases: Cases
) -> None:
    """In every mode; what differs is what `differences.py` says, and each of it is there."""
    findings: list[Finding] = []
    other_schemas = set()
    for mode, options in MODES.items():
        for column in every_type.row_schema:
            name = column["name"]
            encode = shape(f"public.{TABLE}", mode, [column], time_precision_mode=mode, **options)
            for event, payload in zip(every_type.events[mode], every_type.payloads, strict=True):
                schema = row_fields(event.value).get(name)
                if schema is None:
                    assert name in LEFT_OUT
                    break
                theirs = event.value["payload"]["after"][name]
                made_schema, ours = encoded(encode, name, payload[name])
                if made_schema not in (None, schema):
                    other_schemas.add(name)
                if plain(schema, ours) != plain(schema, theirs):
                    findings.append(Finding(mode, name, payload[name], theirs, ours))
                cases(1)
    assert unexplained(findings) == []
    known = [each for each in DIFFERENCES if each.since <= database.major]
    assert [each for each in known if not any(map(each.explains, findings))] == []
    assert other_schemas == set(SCHEMAS)


def test_a_relay_writes_the_same_to_a_topic(
    every_type: Judged,
    database: Database,
    kafka: KafkaServer,
    dev_run: Run,
    make_topic: MakeTopic,
    read_topic: ReadTopic,
    cases: Cases,
) -> None:
    """Whole rows of the table, with its row schema: one with a value in every column, and one of nulls."""
    places = (0, len(every_type.payloads) - 1)
    topic = make_topic()
    wire_config = {"row_schema": every_type.row_schema, "schemas_enable": True, "table": f"public.{TABLE}"}
    with tide_on(database, kafka.bootstrap) as tide, relays(dev_run) as start:
        tide.outbox("rows")
        tide.pipeline(topic, name="rows", outbox="rows", wire_format="debezium", wire_config=wire_config)
        for place in places:
            publish = "select tide.outbox_publish('rows', to_jsonb(t)) from every_type t where id = %s"
            tide.value(publish, place)
        start(tide.dsn)
        made = [json.loads(record.value or b"") for record in records(read_topic(topic, len(places)))]
    findings = []
    for value, place in zip(made, places, strict=True):
        event = every_type.events["adaptive"][place].value
        ours, theirs = row_fields(value), row_fields(event)
        assert [name for name in ours if name not in LEFT_OUT] == list(theirs)
        assert {name for name in theirs if ours[name] != theirs[name]} == set(SCHEMAS)
        for name, schema in theirs.items():
            pair = [each["payload"]["after"][name] for each in (event, value)]
            if plain(schema, pair[0]) != plain(schema, pair[1]):
                findings.append(Finding("adaptive", name, every_type.payloads[place][name], *pair))
            cases(1)
    assert unexplained(findings) == []


def unexplained(findings: list[Finding]) -> list[Finding]:
    """Differences that nobody has told."""
    return [one for one in findings if not any(each.explains(one) for each in DIFFERENCES)]


def test_the_life_of_a_row_is_told_in_the_same_events(
    judges: Judges, database: Database, tmp_path: Path, cases: Cases
) -> None:
    """Inserts, updates, deletes with tombstones, a change of the key; and names that are adjusted."""
    first, changed, moved = (
        {"order id": 1, "line-no": line, "note": note, "total": total}
        for line, note, total in ((1, "Größe", 1.25), (1, None, -1.5), (2, None, -1.5))
    )
    table = 'odd-schema."Order Lines 2"'
    events = written_of(
        judges,
        database,
        tmp_path,
        [
            'create schema "odd-schema"',
            'create table "odd-schema"."Order Lines 2" ("order id" bigint, "line-no" integer, note text,'
            ' total numeric(10,2), primary key ("order id", "line-no"))',
            'alter table "odd-schema"."Order Lines 2" replica identity full',
        ],
        [
            'insert into "odd-schema"."Order Lines 2" values (1, 1, \'Größe\', 1.25)',
            'update "odd-schema"."Order Lines 2" set note = null, total = -1.5',
            'update "odd-schema"."Order Lines 2" set "line-no" = 2',
            'delete from "odd-schema"."Order Lines 2"',
        ],
        7,
    )
    encode = shape(
        table.replace('"', ""),
        SERVER,
        [
            {"name": "order id", "type": "bigint"},
            {"name": "line-no", "type": "integer"},
            {"name": "note", "type": "text"},
            {"name": "total", "type": "numeric(10,2)"},
        ],
        key_strategy="struct",
        key_fields=["order id", "line-no"],
        key_schemas_enable=True,
    )
    messages = [
        ("insert", first, None),
        ("update", changed, first),
        ("delete", None, changed),  # a change of the key is two messages
        ("insert", moved, None),
        ("delete", None, moved),
    ]
    made = [record for op, new, old in messages for record in sent(encode, op, new, old)]
    assert [json.dumps(comparable(one)) for one in made] == [json.dumps(comparable(one)) for one in events]
    cases(len(made))


def test_what_a_replica_identity_leaves_out(
    judges: Judges, database: Database, tmp_path: Path, cases: Cases
) -> None:
    """A delete by its key is the same; an update has no before there, and is sent as new; and so is a tombstone
    without key, which the relay does not send."""
    events = written_of(
        judges,
        database,
        tmp_path,
        [
            "create table plain (id bigint primary key, note text)",
            "create table keyless (id bigint, note text)",
            "alter table keyless replica identity full",
        ],
        [
            "insert into plain values (1, 'a')",
            "update plain set note = 'b'",
            "delete from plain",
            "insert into keyless values (1, 'a')",
            "delete from keyless",
        ],
        7,
    )
    columns = [{"name": "id", "type": "bigint"}, {"name": "note", "type": "text"}]
    key = {"key_strategy": "struct", "key_fields": ["id"], "key_schemas_enable": True}
    plain_table = shape("public.plain", SERVER, columns, **key)
    keyless = shape("public.keyless", SERVER, columns)
    row, changed = {"id": 1, "note": "a"}, {"id": 1, "note": "b"}
    made = [
        *sent(plain_table, "insert", row),
        *sent(plain_table, "update", changed),
        *sent(plain_table, "delete", None, key="1"),
        *sent(keyless, "insert", row),
        *sent(keyless, "delete", None, row),
    ]
    assert made[1].value["payload"]["op"] == "c"
    assert events[1].value["payload"]["op"] == "u"
    assert events[1].value["payload"]["before"] is None
    events[1].value["payload"]["op"] = "c"
    assert events.pop() == Written(f"{SERVER}.public.keyless", None, None)
    assert [comparable(one) for one in made] == [comparable(one) for one in events]
    cases(len(made))


def shape(table: str, server_name: str, row_schema: list[dict[str, str]], **options: Any) -> Shape:
    """The way of a pipeline's messages, with the names of a connector's events."""
    names = {"server_name": server_name, "table": table}
    config = a_config(
        wire_format="debezium",
        wire_config={**names, "row_schema": row_schema, "schemas_enable": True, **options},
    )
    return compile_shape(config, Origin(outbox="rows", database=DATABASE))


def sent(encode: Shape, op: str, new: Any, old: Any = None, *, key: str | None = None) -> list[Written]:
    """The records of one message, of which a topic's name is no part."""
    payload, old_payload = (None if row is None else json.dumps(row).encode() for row in (new, old))
    record = encode(
        a_row(
            op=op.encode(),
            payload=payload,
            old_payload=old_payload,
            key=None if key is None else key.encode(),
        )
    )
    assert record
    made_key = None if record.key is None else json.loads(record.key)
    event = Written(record.topic, made_key, json.loads(record.value or b""))
    return [event, Written(record.topic, made_key, None)] if record.tombstone_follows else [event]


def written_of(
    judges: Judges, database: Database, folder: Path, tables: list[str], changes: list[str], count: int
) -> list[Written]:
    """What the connector writes of changes to these tables."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for statement in tables:
            connection.execute(statement.encode())
    options = {"schema.include.list": "odd-schema,public"}
    return written(judges, database.dsn, folder, {SERVER: options}, changes, count)[SERVER]


def comparable(record: Written) -> tuple[Any, Any]:
    """Key and value without what no two events share, and with optional columns."""
    if record.value is None:
        return record.key, None
    schema, payload = record.value["schema"], record.value["payload"]
    for field in schema["fields"][:2]:
        assert field["field"] in ("before", "after")
        field["fields"] = [column | {"optional": True} for column in field["fields"]]
    source = {name: None if name in NEVER_THE_SAME else value for name, value in payload["source"].items()}
    own = {name: None if name in NEVER_THE_SAME else value for name, value in payload.items()}
    return record.key, {"schema": schema, "payload": own | {"source": source}}


def encoded(encode: Shape, column: str, text: str) -> tuple[Any, Any]:
    """Schema and value of the only column of a row; or that it is refused."""
    try:
        record = encode(a_row(payload=f"{{{json.dumps(column)}: {text}}}".encode()))
    except MessageError:
        return None, REFUSED
    assert record
    value = json.loads(record.value or b"")
    return row_fields(value)[column], value["payload"]["after"][column]


def row_fields(value: Any) -> dict[str, Any]:
    """The schema of each column."""
    (after,) = [field for field in value["schema"]["fields"] if field["field"] == "after"]
    return {field["field"]: field for field in after["fields"]}


def plain(schema: Any, value: Any) -> Any:
    """A value in one form: numbers with a fraction may be written in many."""
    if isinstance(value, list):
        return [plain(schema["items"], each) for each in value]
    if schema["type"] not in ("float", "double") or value is None or isinstance(value, str):
        return value
    kind = "f" if schema["type"] == "float" else "d"
    return repr(struct.unpack(kind, struct.pack(kind, value)))
