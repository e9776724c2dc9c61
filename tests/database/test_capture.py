"""The triggers of docs/capture.md, run as printed there: what they publish, for whom, and in which order."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from docs_kit import Block, blocks, roles_of, run_sql, runnable
from fix_sql import Logins
from pg_tide_dev.databases import Database
from pg_tide_dev.processes import attempts

PAGE = "docs/capture.md"
TEXT = (Path(__file__).parents[2] / PAGE).read_text(encoding="utf-8")
FIRST_CHANGE = "insert into product values ('A-1'"
BULK = "insert into product select"

Event = tuple[str, str, Any, Any]
"""(op, key, payload, old payload)"""


def set_up() -> list[Block]:
    """The blocks that make table, role, function and trigger."""
    found = runnable(PAGE, "sql")
    first = next(place for place, block in enumerate(found) if FIRST_CHANGE in block.text)
    return found[:first]


def the_block(words: str) -> Block:
    """The one block with these words."""
    (found,) = [block for block in runnable(PAGE, "sql") if words in block.text]
    return found


def published(connection: psycopg.Connection, after: int = 0) -> list[Event]:
    """What was published, in the order of ids."""
    return connection.execute(
        "select op, key, payload::jsonb, old_payload::jsonb from tide.message where id > %s order by id",
        [after],
    ).fetchall()


def use_statement_triggers(connection: psycopg.Connection) -> None:
    """Put the triggers for many rows in place of the one for each row."""
    run_sql(connection, the_block("function capture.publish_rows() returns"), {})
    triggers = the_block(BULK).text.split(BULK)[0]
    connection.execute(triggers.encode())


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection]:
    """A superuser's connection; the table has the trigger for each row."""
    with roles_of(blocks(PAGE), database), database.connect(autocommit=True) as connection:
        for block in set_up():
            run_sql(connection, block, {})
        yield connection


@pytest.fixture(params=["row", "statement"])
def captured(request: pytest.FixtureRequest, admin: psycopg.Connection) -> psycopg.Connection:
    """The same with each kind of trigger in turn."""
    if request.param == "statement":
        use_statement_triggers(admin)
    return admin


def shown() -> list[tuple[str, ...]]:
    """The page's table of what arrives."""
    table = TEXT.split("| op | key | payload | old payload |")[1].split("\n\n")[0]
    return [
        tuple(cell.strip().strip("`") for cell in line.split("|")[1:-1]) for line in table.splitlines()[2:]
    ]


def test_the_changes_of_the_page_are_published_as_its_table_shows(admin: psycopg.Connection) -> None:
    """Insert, update, change of the key, delete; nothing for an update of nothing and what is rolled back."""
    run_sql(admin, the_block(FIRST_CHANGE), {})
    rows = admin.execute("select op, key, payload, old_payload from tide.message order by id").fetchall()
    assert [tuple(value or "" for value in row) for row in rows] == shown()


def test_every_example_of_the_page_runs_in_order(database: Database) -> None:
    """To the end, where many rows were inserted, updated and deleted by triggers for each statement."""
    with roles_of(blocks(PAGE), database), database.connect(autocommit=True) as connection:
        for block in runnable(PAGE, "sql"):
            run_sql(connection, block, {})
        ops = connection.execute("select op, count(*) from tide.message where key like 'C-%' group by op")
        assert dict(ops.fetchall()) == {"insert": 2500, "update": 2500, "delete": 2500}


def test_both_kinds_of_trigger_publish_the_same(captured: psycopg.Connection) -> None:
    """What the page shows; then an upsert, what a savepoint takes back, and statements that touch nothing."""
    run_sql(captured, the_block(FIRST_CHANGE), {})
    captured.execute(
        "begin;"
        "insert into product values ('D-1', 'Door', 1), ('A-2', 'Lamp', 1) on conflict (sku) do update set price = 2;"
        "savepoint s; delete from product; rollback to s;"
        "update product set name = 'x' where false;"
        "delete from product where false;"
        "commit"
    )
    *first, one, other = published(captured)
    assert [(op, key) for op, key, *_ in first] == [(op, key) for op, key, *_ in shown()]
    upserted = {one[0]: one, other[0]: other}
    assert upserted["insert"] == ("insert", "D-1", {"sku": "D-1", "name": "Door", "price": 1.0}, None)
    assert upserted["update"] == (
        "update",
        "A-2",
        {"sku": "A-2", "name": "Lamp", "price": 2.0},
        {"sku": "A-2", "name": "Lamp", "price": 18.5},
    )


def test_statement_triggers_publish_the_difference_that_a_statement_makes(admin: psycopg.Connection) -> None:
    """More rows than one call takes, and keys that move by one: each but the first and the last names another row."""
    use_statement_triggers(admin)
    admin.execute("alter table product drop constraint product_pkey, add primary key (sku) deferrable")
    admin.execute(
        "insert into product select lpad(n::text, 4, '0'), 'n' || n, 1 from generate_series(1, 2500) n"
    )
    inserted = published(admin)
    assert [(op, key) for op, key, *_ in inserted] == [("insert", f"{n:04}") for n in range(1, 2501)]
    admin.execute("update product set sku = lpad((sku::int - 1)::text, 4, '0')")
    moved = published(admin, after=2500)
    assert moved[0] == ("delete", "2500", None, {"sku": "2500", "name": "n2500", "price": 1.0})
    others = sorted(moved[1:], key=lambda event: event[1])
    assert others == [
        ("insert", "0000", {"sku": "0000", "name": "n1", "price": 1.0}, None),
        *(
            (
                "update",
                f"{n:04}",
                {"sku": f"{n:04}", "name": f"n{n + 1}", "price": 1.0},
                {"sku": f"{n:04}", "name": f"n{n}", "price": 1.0},
            )
            for n in range(1, 2500)
        ),
    ]


def test_whoever_may_write_to_the_table_needs_no_right_in_tide(
    admin: psycopg.Connection, database: Database, logins: Logins
) -> None:
    """The function publishes as its owner. The writer can neither publish nor put the function on another table."""
    use_statement_triggers(admin)
    run_sql(admin, the_block("create trigger capture after"), {})
    writer = logins.create(database=database)
    admin.execute(f"grant insert, update, delete, select on product to {writer}".encode())
    admin.execute(f"create schema {writer} authorization {writer}".encode())
    connection = logins.connect(writer)
    connection.execute("insert into product values ('A-1', 'Lamp', 20)")
    connection.execute("update product set price = 21")
    connection.execute("delete from product")
    assert [op for op, *_ in published(admin)] == [
        op for op in ("insert", "update", "delete") for _ in range(2)
    ]
    admin.execute(f"grant usage on schema capture to {writer}".encode())
    for refused in (
        "select tide.outbox_publish('products', '{}')",
        f"create table {writer}.many (sku text); create trigger t after insert on {writer}.many referencing new table"
        " as new_rows for each statement execute function capture.publish_rows('products', 'sku')",
        f"create table {writer}.mine (sku text); create trigger t after insert on {writer}.mine"
        " for each row execute function capture.publish_row('products', 'sku')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(refused.encode())


def test_the_functions_owner_may_do_nothing_but_publish_to_the_outbox(admin: psycopg.Connection) -> None:
    """It can't read the table that it captures, nor publish elsewhere."""
    admin.execute("select tide.outbox_create('other')")
    admin.execute("set role capture")
    for refused in (
        "select * from product",
        "select * from tide.message",
        "select tide.outbox_publish('other', '{}')",
    ):
        with pytest.raises(psycopg.Error) as caught:
            admin.execute(refused.encode())
        assert caught.value.sqlstate in ("42501", "TD010")
    admin.execute("reset role")


def test_a_writers_transaction_fails_when_the_publish_does(captured: psycopg.Connection) -> None:
    """No change without its event."""
    captured.execute("select tide.outbox_disable('products')")
    with pytest.raises(psycopg.Error, match="disabled"):
        captured.execute("insert into product values ('A-1', 'Lamp', 20)")
    assert captured.execute("select count(*) from product").fetchone() == (0,)


def move_triggers(connection: psycopg.Connection, table: str, column: str) -> None:
    """The triggers of the page's table on another one, too."""
    triggers = connection.execute(
        "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'product'::regclass and not tgisinternal"
    ).fetchall()
    for (definition,) in triggers:
        there = definition.replace("ON public.product", f"ON {table}").replace("'sku'", f"'{column}'")
        connection.execute(there.encode())


@pytest.mark.parametrize("column", ["skuu", "name"])
def test_a_key_that_is_missing_or_null_is_an_error_of_the_writer(
    captured: psycopg.Connection, column: str
) -> None:
    """A misspelt column would otherwise give all events no key, and deletes no event."""
    captured.execute("create table other (sku text primary key, name text)")
    captured.execute("insert into other values ('A-1', null)")
    move_triggers(captured, "public.other", column)
    for change in ("insert into other values ('B-2')", "update other set sku = 'C-3'", "delete from other"):
        with pytest.raises(
            psycopg.errors.RaiseException, match=f"by its column {column}, which is missing or"
        ):
            captured.execute(change.encode())
    assert published(captured) == []


def test_truncate_is_refused(admin: psycopg.Connection) -> None:
    """With what to do instead; without the trigger it would empty the table and publish nothing."""
    run_sql(admin, the_block("refuse_truncate"), {})
    run_sql(admin, the_block(FIRST_CHANGE), {})
    with pytest.raises(psycopg.errors.RaiseException, match=r"public\.product is captured") as caught:
        admin.execute("truncate product")
    assert "DELETE" in str(caught.value.diag.message_hint)
    assert admin.execute("select count(*) from product").fetchone() == (1,)


SETTINGS = (
    "set timezone = 'Asia/Tokyo'; set bytea_output = 'escape'; set extra_float_digits = -5;"
    " set intervalstyle = 'iso_8601'; set datestyle = 'sql, dmy'; set search_path = pg_temp"
)


@pytest.mark.parametrize("settings", ["select 1", SETTINGS], ids=["defaults", "others"])
def test_values_are_as_the_page_says_whatever_the_session_has_set(
    captured: psycopg.Connection, settings: str
) -> None:
    """Numbers keep scale and digits, times are UTC, bytes are hexadecimal."""
    captured.execute(
        "create table public.types (id integer primary key, n numeric, m numeric, b bigint, f float8, r real, y bytea,"
        " t timestamptz, u timestamp, i interval, a int[], j json, g integer generated always as (id + 1) stored)"
    )
    move_triggers(captured, "public.types", "id")
    captured.execute(settings.encode())
    captured.execute(
        "insert into public.types values (1, 1.10, 'NaN', 9007199254740993, 0.1::float8 + 0.2::float8, 0.1, '\\x0102',"
        " '2026-01-31 18:15:00+09', 'infinity', '1 day 2 hours', '{1,null}', '{\"a\": 1, \"a\": 2}')"
    )
    captured.execute("reset search_path")
    row = captured.execute("select payload from tide.message").fetchone()
    assert row is not None
    payload = json.loads(row[0], parse_float=str)
    assert payload == {
        "id": 1,
        "n": "1.10",
        "m": "NaN",
        "b": 9007199254740993,
        "f": "0.30000000000000004",
        "r": "0.1",
        "y": "\\x0102",
        "t": "2026-01-31T09:15:00+00:00",
        "u": "infinity",
        "i": "1 day 02:00:00",
        "a": [1, None],
        "j": {"a": 2},
        "g": 2,
    }


def test_a_virtual_generated_column_is_null_in_payloads(database18: Database) -> None:
    """PostgreSQL 18 computes it when it is read, and a trigger does not read."""
    with roles_of(blocks(PAGE), database18), database18.connect(autocommit=True) as connection:
        for block in set_up():
            run_sql(connection, block, {})
        connection.execute("alter table product add total numeric generated always as (price * 2) virtual")
        connection.execute("insert into product values ('A-1', 'Lamp', 20)")
        ((*_, payload, _old),) = published(connection)
    assert payload == {"sku": "A-1", "name": "Lamp", "price": 20.0, "total": None}


def test_a_large_value_that_was_not_changed_is_whole_in_both_payloads(captured: psycopg.Connection) -> None:
    """Where logical decoding has a placeholder for a value that is stored out of line."""
    captured.execute(
        "insert into product select 'A-1', string_agg(md5(n::text), ''), 1 from generate_series(1, 5000) n"
    )
    captured.execute("update product set price = 2")
    *_, (_, _, new, old) = published(captured)
    assert len(new["name"]) == len(old["name"]) == 5000 * 32


def test_a_key_of_several_columns_is_a_list(admin: psycopg.Connection) -> None:
    """As the page writes it: what is changed in the function, and the trigger's third argument."""
    single, several = (
        "v_{} ->> tg_argv[1]",
        "jsonb_build_array(v_{0} -> tg_argv[1], v_{0} -> tg_argv[2])::text",
    )
    assert f"`{several.format('old')}`" in TEXT
    function = the_block("function capture.publish_row() returns").text
    for name in ("old", "new"):
        assert single.format(name) in function
        function = function.replace(single.format(name), several.format(name))
    function = function.split("alter function")[0].replace("create function", "create or replace function")
    admin.execute(function.encode())
    admin.execute("create table line (order_id text, place integer, primary key (order_id, place))")
    admin.execute(
        "create trigger capture after insert or update or delete on line"
        " for each row execute function capture.publish_row('products', 'order_id', 'place')"
    )
    admin.execute("insert into line values ('a', 1)")
    admin.execute("update line set place = 2")
    assert [(op, key) for op, key, *_ in published(admin)] == [
        ("insert", '["a", 1]'),
        ("delete", '["a", 1]'),
        ("insert", '["a", 2]'),
    ]


def test_of_two_writers_of_a_row_the_second_publishes_last_and_its_before_is_the_firsts_after(
    captured: psycopg.Connection, database: Database
) -> None:
    """The second waits for the row, though its transaction began before."""
    captured.execute("insert into product values ('A-1', 'Lamp', 0)")
    change = b"update product set price = price + 1"
    waiting = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
    with database.connect() as second, database.connect() as first, ThreadPoolExecutor(1) as thread:
        second.execute("select pg_current_xact_id()")
        first.execute(change)
        rest = thread.submit(second.execute, change)
        for _ in attempts(30, list):
            if rest.done() or captured.execute(waiting, [second.info.backend_pid]).fetchone() == (1,):
                break
        assert not rest.done(), "the second does not wait"
        first.commit()
        rest.result()
        second.commit()
    assert [(old and old["price"], new["price"]) for *_, new, old in published(captured)] == [
        (None, 0.0),
        (0.0, 1.0),
        (1.0, 2.0),
    ]
