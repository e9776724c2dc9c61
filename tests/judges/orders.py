"""Rows of a real table, published as they change: what the judges of change events read, and what they should find.

What should be found is asked of PostgreSQL itself, by an expression for each type, and never of our own converters.
"""

import json
import secrets
from base64 import b64decode
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg import sql

from relay_kit import Tide

Values = dict[str, Any]


class Column(NamedTuple):
    """A column: its type, two of its values as SQL, and what a reader of Debezium's types should see, as SQL."""

    name: str
    type: str
    usual: str
    extreme: str
    seen: str


def _micros(name: str) -> str:
    return f"(extract(epoch from {name}) * 1000000)::bigint"


COLUMNS = (
    Column("id", "bigint", "12345", "9223372036854775807", "id"),
    Column("customer", "text", "'Größe 🌊'", "E'\"quoted\" \\\\ \\n\\u0001'", "customer"),
    Column("paid", "boolean", "true", "false", "paid"),
    Column("small", "smallint", "7", "-32768", "small"),
    Column("n", "integer", "42", "-2147483648", "n"),
    Column("total", "numeric(12,2)", "1.10", "-9999999999.99", "total::text"),
    Column("weight", "numeric", "1.50", "-0.00000000000000000000000000000000000001", "weight::text"),
    Column("price", "double precision", "0.1", "-1.7976931348623157e308", "price::text"),
    Column("ratio", "real", "1.1", "-3.4028235e38", "ratio::text"),
    Column("born", "date", "'2026-01-31'", "'0001-01-01'", "born - date '1970-01-01'"),
    Column(
        "placed",
        "timestamp",
        "'2026-01-31 09:15:00.123456'",
        "'1969-12-31 23:59:59.999999'",
        _micros("placed"),
    ),
    Column(
        "shipped",
        "timestamp(3)",
        "'2026-01-31 09:15:00.120'",
        "'9999-12-31 23:59:59.999'",
        "(extract(epoch from shipped) * 1000)::bigint",
    ),
    Column(
        "stamped",
        "timestamptz",
        "'2026-01-31 09:15:00.5+05:30'",
        "'1900-01-01 00:00:00.000001Z'",
        "to_char(stamped at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')",
    ),
    Column("clock", "time", "'09:15:00.000001'", "'23:59:59.999999'", _micros("clock")),
    Column("uid", "uuid", "'00112233-4455-6677-8899-aabbccddeeff'", "gen_random_uuid()", "uid::text"),
    Column(
        "doc",
        "jsonb",
        """'{"a": [1, 1.10, null], "ä": "🌊"}'""",
        "'123456789012345678901234567890.5'",
        "doc::text",
    ),
    Column("raw", "bytea", "'\\x00ff80'", "''", "encode(raw, 'base64')"),
    Column("tags", "text[]", "array['a', null, 'ä']", "array[]::text[]", "to_jsonb(tags)"),
    Column("lasted", "interval", "'1 day 02:03:04.5'", "'-00:00:00.000001'", _micros("lasted")),
)
ROW_SCHEMA = [{"name": column.name, "type": column.type} for column in COLUMNS]
KEYS = ("usual", "extreme", "empty")


class Change(NamedTuple):
    """What was published, in the order of the messages: `op` as Debezium's letter."""

    op: str
    id: int
    before: Values | None
    after: Values | None


def with_tombstones(changes: list[Change]) -> list[Change | None]:
    """The records that changes make: None is a tombstone, behind each delete."""
    return [each for change in changes for each in ((change, None) if change.op == "d" else (change,))]


def publish_changes(tide: Tide, outbox: str) -> list[Change]:
    """Insert three rows, the last all null but for its id, change the first, delete all three.

    Updates and deletes have their old row, as a trigger would give it; the last delete says only its key.
    """
    table = sql.Identifier(f"orders_{secrets.token_hex(4)}")
    columns = sql.SQL(", ").join(
        sql.SQL(f"{column.name} {column.type}")
        for column in COLUMNS  # type: ignore[arg-type]
    )
    run = tide.connection.execute
    run(sql.SQL("create table {} ({}, which text)").format(table, columns))
    for key in KEYS[:2]:
        values = ", ".join(getattr(column, key) for column in COLUMNS)
        run(sql.SQL("insert into {} values ({}, {})").format(table, sql.SQL(values), key))  # type: ignore[arg-type]
    run(sql.SQL("insert into {} (id, which) values (-1, 'empty')").format(table))
    changes = []
    for key in KEYS:
        _publish(tide, table, outbox, key, "insert", "payload", "null")
        row = _seen(tide, table, key)
        changes.append(Change("c", row["id"], None, row))
    before = _seen(tide, table, "usual")
    _publish(
        tide,
        table,
        outbox,
        "usual",
        "update",
        """payload || '{"total": 999.99, "customer": null}'""",
        "payload",
    )
    run(sql.SQL("update {} set total = 999.99, customer = null where which = 'usual'").format(table))
    changes.append(Change("u", before["id"], before, _seen(tide, table, "usual")))
    for key in KEYS[:2]:
        _publish(tide, table, outbox, key, "delete", "null::jsonb", "payload")
        row = _seen(tide, table, key)
        changes.append(Change("d", row["id"], row, None))
    _publish(tide, table, outbox, "empty", "delete", "null::jsonb", "null")
    only_key = {column.name: None for column in COLUMNS} | {"id": -1}
    changes.append(Change("d", -1, only_key, None))
    return changes


def _publish(
    tide: Tide, table: sql.Identifier, outbox: str, which: str, op: str, payload: str, old: str
) -> None:
    query = sql.SQL(
        "select tide.outbox_publish({outbox}, {payload}, op => {op}, key => id::text, old_payload => {old})"
        " from (select id, to_jsonb(t) - 'which' as payload from {table} t where which = {which}) as row"
    ).format(
        outbox=outbox,
        payload=sql.SQL(payload),  # type: ignore[arg-type]
        op=op,
        old=sql.SQL(old),  # type: ignore[arg-type]
        table=table,
        which=which,
    )
    tide.connection.execute(query)


def _seen(tide: Tide, table: sql.Identifier, which: str) -> Values:
    pairs = ", ".join(f"'{column.name}', {column.seen}" for column in COLUMNS)
    query = sql.SQL("select jsonb_build_object({})::text from {} where which = {}").format(
        sql.SQL(pairs),
        table,
        which,  # type: ignore[arg-type]
    )
    row = tide.connection.execute(query).fetchone()
    assert row
    return dict(json.loads(row[0]))


def plain(name: str, value: Any) -> Any:
    """A value to compare: decimals are text with their scale, instants have their zone, doubles are what they are."""
    if value is None:
        return None
    if name == "weight":  # io.debezium.data.VariableScaleDecimal has no zeros at its end
        if not isinstance(value, dict):
            return Decimal(value)
        unscaled = int.from_bytes(b64decode(value["value"]), "big", signed=True)
        return Decimal(unscaled).scaleb(-value["scale"])
    if name == "stamped":
        return datetime.fromisoformat(value).isoformat(timespec="microseconds")
    if name == "doc":
        return json.loads(value, parse_float=Decimal)
    if name in ("price", "ratio"):
        return float(value)
    return value


def assert_row(found: Values | None, expected: Values | None, *more: str) -> None:
    """All columns of a row, one by one; `more` names members that are not columns."""
    if found is None or expected is None:
        assert found is expected
        return
    names = [column.name for column in COLUMNS]
    assert sorted(name for name in found if name not in more) == sorted(names), list(found)
    differ = {
        name: (found[name], expected[name])
        for name in names
        if plain(name, found[name]) != plain(name, expected[name])
    }
    assert differ == {}, f"column: (found, expected): {differ}"
