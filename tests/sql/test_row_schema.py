"""Row schemas inferred from messages, what that costs, and what two sessions at once can't break."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from fix_sql import CONFIG, Connect, Ring
from pg_tide_wire_formats import connect_types

TYPED = json.loads(CONFIG) | {"wire_format": "debezium", "wire_config": {"row_schema": 1}}
SET = "select tide.row_schema_set('orders', %s)"
ID = '[{"name": "id", "type": "bigint"}]'
# What two values of one column ask for. The second is of the message published last.
WIDENED: list[tuple[Any, Any, str]] = [
    (True, False, "boolean"),
    (1, 2, "bigint"),
    (1, 2**63 - 1, "bigint"),
    (-(2**63), 1, "bigint"),
    (1, 2**63, "numeric"),
    (1, 1.5, "numeric"),
    (-1, -0.25, "numeric"),
    ("a", "b", "text"),
    ("a", None, "text"),
    (None, None, "text"),
    (None, 1, "bigint"),
    (1, "1", "jsonb"),
    (True, 1, "jsonb"),
    ({"a": 1}, [1], "jsonb"),
    ({"a": 1}, "text", "jsonb"),
    ("6F2F4D0A-6f2f-4d0a-8f2f-6f2f4d0a6f2f", "00000000-0000-0000-0000-000000000000", "uuid"),
    ("6f2f4d0a6f2f4d0a8f2f6f2f4d0a6f2f", "00000000-0000-0000-0000-000000000000", "text"),
    ("2024-02-29", "1999-12-31", "date"),
    ("2024-02-29", "2023-02-29", "text"),
    ("2024-02-29", "2024-02-29T00:00:00", "text"),
    ("2024-02-29T23:59:59", "2024-02-29 00:00:00.123456", "timestamp"),
    ("2024-02-29T23:59:59", "2024-02-29T24:00:00", "text"),
    ("2024-02-29T23:59:59", "2024-02-29T23:59:60", "text"),
    ("2024-02-29T23:59:59.1234567", "2024-02-29T23:59:59", "text"),
    ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59.5+05:30", "timestamptz"),
    ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59", "text"),
    ("2024-02-29T23:59:59+99:00", "2024-02-29T23:59:59Z", "text"),
]


def publish(ring: Ring, *payloads: Any) -> None:
    """Messages, each with a call of its own."""
    for payload in payloads:
        ring.connection.execute("select tide.outbox_publish('orders', %s::jsonb)", [json.dumps(payload)])


def inferred(ring: Ring, messages: int = 1000) -> dict[str, tuple[Any, ...]]:
    """Type, seen, nulls, example and reason by name."""
    found = ring.connection.execute(
        "select name, type, seen, nulls, example, reason from tide.row_schema_infer('orders', %s)", [messages]
    )
    return {name: tuple(rest) for name, *rest in found}


def test_a_type_takes_every_value_that_was_seen(ring: Ring) -> None:
    """And no text is a date or a UUID that is not written as one."""
    for place in (0, 1):
        publish(ring, {f"c{number}": case[place] for number, case in enumerate(WIDENED)})
    found = inferred(ring)
    wrong = {
        f"{first!r} and {second!r}": found[f"c{number}"][0]
        for number, (first, second, expected) in enumerate(WIDENED)
        if found[f"c{number}"][0] != expected
    }
    assert wrong == {}


def test_what_was_inferred_is_a_row_schema_that_the_messages_fit(ring: Ring) -> None:
    """Each converts under the inferred types as the relay does it; the types are told by the same names."""
    names = [f"c{number}" for number in range(len(WIDENED))]
    for place in (0, 1):
        publish(ring, {name: case[place] for name, case in zip(names, WIDENED, strict=True)})
    version = ring.value(
        "select tide.row_schema_set('orders', jsonb_agg(i.entry), origin => 'inferred')"
        " from tide.row_schema_infer('orders') i"
    )
    columns = ring.value("select tide.row_schema_columns('orders', %s)", version)
    types = {c["name"]: connect_types.column_type(c["type"], connect_types.Modes()) for c in columns}
    assert len(types) == len(WIDENED)
    for (payload,) in ring.connection.execute(sql.SQL("select payload::jsonb from {}").format(ring.table)):
        for name, value in payload.items():
            if value is not None:
                types[name].convert(value)


def test_columns_are_told_with_counts_an_example_and_a_reason(ring: Ring) -> None:
    """Old payloads are looked at, too; a member that is missing counts as not seen, one that is null as null."""
    publish(
        ring, {"id": 1, "total": 10.25, "note": None}, {"id": 20, "total": 3}, {"note": "x" * 100, "id": 3}
    )
    ring.connection.execute(
        """select tide.outbox_publish('orders', '{"id": 3}', op => 'update', old_payload => '{"gone": true}')"""
    )
    assert inferred(ring) == {
        "id": ("bigint", 4, 0, "1", "whole numbers; integer would fail at the first larger one"),
        "gone": ("boolean", 1, 0, "true", "every value is one"),
        "note": ("text", 2, 1, "x" * 60, "strings"),
        "total": (
            "numeric",
            2,
            0,
            "10.25",
            "numbers of up to 2 digits before and 2 behind the point; if more never come, declare numeric(4,2)",
        ),
    }
    assert list(inferred(ring)) == ["id", "gone", "note", "total"]


def test_only_the_newest_messages_are_looked_at(ring: Ring) -> None:
    publish(ring, {"id": "old"}, *({"id": number} for number in range(3)))
    assert inferred(ring, 3)["id"][:2] == ("bigint", 3)
    assert inferred(ring, 4)["id"][:2] == ("jsonb", 4)


@pytest.mark.nightly
def test_no_more_than_64_mib_of_payload_is_looked_at(ring: Ring) -> None:
    """A message that begins within them is whole."""
    ring.connection.execute("select tide.outbox_alter('orders', max_payload_bytes => 100000000)")
    megabytes = (
        "select tide.outbox_publish('orders', jsonb_build_object('id', 1, 'x', repeat('x', %s * 1000000)))"
    )
    for size in (1, 67, 1):
        ring.connection.execute(megabytes, [size])
    assert inferred(ring)["id"][1] == 2


def test_payloads_that_are_no_rows_are_counted_and_left_out(ring: Ring) -> None:
    said: list[str | None] = []
    ring.connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
    publish(ring, [1], "text", {"id": 1}, {})
    ring.connection.execute("select tide.outbox_publish('orders', null, op => 'delete')")
    assert list(inferred(ring)) == ["id"]
    assert said == ["2 payloads are no objects and were left out"]


@pytest.mark.parametrize("payloads", [[], [{}], [[1], None]])
def test_nothing_is_inferred_from_nothing(ring: Ring, payloads: list[Any]) -> None:
    publish(ring, *payloads)
    with pytest.raises(psycopg.DatabaseError, match="no payload that a row schema") as refused:
        inferred(ring)
    assert refused.value.sqlstate == "TD027"


@pytest.mark.parametrize("messages", [0, -1, 100_001, None])
def test_the_work_is_bounded(ring: Ring, messages: int | None) -> None:
    with pytest.raises(psycopg.DatabaseError, match="messages is") as refused:
        ring.connection.execute("select * from tide.row_schema_infer('orders', %s::int)", [messages])
    assert refused.value.sqlstate == "TD020"


def test_as_many_messages_are_read_as_were_asked_for(ring: Ring) -> None:
    """From the end of the id index of the outbox's own slots, whatever the statistics say."""
    for slot in range(4):
        ring.connection.execute(
            sql.SQL("alter table {} set (autovacuum_enabled = off)").format(ring.slot_table(slot))
        )
    ring.connection.execute(sql.SQL("analyze {}").format(ring.table))
    ring.connection.execute(
        "select tide.outbox_publish('orders', jsonb_build_object('id', n)) from generate_series(1, 5000) n"
    )
    ring.connection.execute("select tide.outbox_create('other')")
    ring.connection.execute("begin")
    inferred(ring, 4000)
    read = ring.connection.execute(
        """
        select sum(pg_stat_get_xact_tuples_returned(c.oid)), sum(pg_stat_get_xact_tuples_fetched(c.oid)),
               array_agg(distinct c.relname::text) filter (where l.relation is not null and c.relkind = 'r')
          from pg_class c left join pg_locks l on l.relation = c.oid and l.pid = pg_backend_pid()
         where c.relnamespace = 'tide'::regnamespace and c.relname like 'message%' and c.relkind in ('r', 'p')
        """
    ).fetchone()
    modes = ring.connection.execute(
        "select distinct mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation'"
    ).fetchall()
    ring.connection.execute("commit")
    assert read is not None
    returned, fetched, locked = read
    assert returned == 0, "a table was scanned"
    assert fetched <= 4000 + 4
    assert locked == [f"message_{ring.number}_{slot}" for slot in range(4)]
    assert modes == [("AccessShareLock",)]


def test_of_two_that_store_at_once_the_second_sees_the_first(ring: Ring, connect: Connect) -> None:
    """The same columns get one version, others the next."""
    first, second, third = connect(), connect(), connect()
    first.execute("begin")
    assert first.execute(SET, [ID]).fetchone() == (1,)
    with ThreadPoolExecutor(2) as pool:
        same = pool.submit(lambda: second.execute(SET, [ID]).fetchone())
        other = pool.submit(lambda: third.execute(SET, ['[{"name": "id", "type": "uuid"}]']).fetchone())
        for session in (second, third):
            while not ring.value("select cardinality(pg_blocking_pids(%s)) > 0", session.info.backend_pid):
                assert not same.done()
                assert not other.done()
        first.execute("commit")
        assert (same.result(), other.result()) == ((1,), (2,))


def test_storing_one_for_an_outbox_that_is_being_dropped_says_that_it_is_gone(
    ring: Ring, connect: Connect
) -> None:
    setter, dropper = connect(), connect()
    dropper.execute("begin")
    dropper.execute("select tide.outbox_drop('orders', force => true)")
    with ThreadPoolExecutor(1) as pool:
        being_set = pool.submit(setter.execute, SET, [ID])
        while not ring.value("select cardinality(pg_blocking_pids(%s)) > 0", setter.info.backend_pid):
            assert not being_set.done()
        dropper.execute("commit")
        with pytest.raises(psycopg.DatabaseError) as refused:
            being_set.result()
    assert refused.value.sqlstate == "TD001"


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_a_version_that_somebody_just_named_is_not_dropped(ring: Ring, connect: Connect, level: str) -> None:
    """Whatever the dropping transaction can see of the pipeline."""
    ring.connection.execute(SET, [ID])
    setter, dropper = connect(), connect()
    dropper.execute(f"begin isolation level {level}")
    dropper.execute("select from tide.row_schemas")
    setter.execute("begin")
    setter.execute("select tide.relay_set_outbox('p', 'orders', 'g', %s)", [json.dumps(TYPED)])
    drop = "select tide.row_schema_drop('orders', 1)"
    with ThreadPoolExecutor(1) as pool:
        dropped = pool.submit(dropper.execute, drop)
        while not ring.value("select cardinality(pg_blocking_pids(%s)) > 0", dropper.info.backend_pid):
            assert not dropped.done()
        setter.execute("commit")
        with pytest.raises(psycopg.DatabaseError) as refused:
            dropped.result()
    assert refused.value.sqlstate == "TD026"
    assert ring.value("select tide.row_schema_columns('orders', 1)") == json.loads(ID)


def test_a_version_that_is_being_dropped_is_not_named(ring: Ring, connect: Connect) -> None:
    """The pipeline waits for the drop and is refused by name."""
    ring.connection.execute(SET, [ID])
    setter, dropper = connect(), connect()
    dropper.execute("begin")
    dropper.execute("select tide.row_schema_drop('orders', 1)")
    with ThreadPoolExecutor(1) as pool:
        query = "select tide.relay_set_outbox('p', 'orders', 'g', %s)"
        being_set = pool.submit(setter.execute, query, [json.dumps(TYPED)])
        while not ring.value("select cardinality(pg_blocking_pids(%s)) > 0", setter.info.backend_pid):
            assert not being_set.done()
        dropper.execute("commit")
        with pytest.raises(psycopg.DatabaseError) as refused:
            being_set.result()
    assert refused.value.sqlstate == "TD025"
    assert ring.value("select count(*) from tide.pipeline") == 0


def test_what_the_database_stores_the_relay_understands(ring: Ring) -> None:
    """Every type under the name that it is stored by, alone, with modifiers and as an array."""
    modified = [
        "numeric(10,2)",
        "varchar(20)",
        "char(3)",
        "time(3)",
        "timetz(3)",
        "timestamp(3)",
        "timestamptz(3)",
    ]
    known = [*ring.value("select tide._row_schema_types()"), *modified]
    for name in [*known, *(f"{one}[]" for one in known)]:
        stored = ring.value("select tide._row_schema_type(%s)", name)
        connect_types.column_type(stored, connect_types.Modes())


def test_what_the_relay_understands_the_database_stores(ring: Ring) -> None:
    """A name that a configuration may declare can be stored, too."""
    names = connect_types.known_types()
    assert len(names) > 40
    refused = {name for name in names if ring.value("select tide._row_schema_type(%s)", name) is None}
    assert refused == set()
