"""Rules that every object of schema tide keeps, read from the catalogue."""

import os
from collections.abc import Iterator

import psycopg
import pytest

from fix_postgres import database_on
from fix_sql import CONFIG
from pg_tide_dev.databases import Database
from pg_tide_dev.postgres import PostgresServer

PIN = "search_path=pg_catalog, pg_temp"


def furnished(server: PostgresServer, templates: dict[str, Database]) -> Iterator[psycopg.Connection]:
    """A connection to a database with an outbox, a grown ring, a group and a pipeline."""
    for database in database_on(server, templates):
        with database.connect(autocommit=True) as opened:
            opened.execute("select tide.outbox_create('orders')")
            opened.execute("select tide._slot_add(1, 4)")
            opened.execute("select tide.relay_set_outbox('p', 'orders', 'g', %s)", [CONFIG])
            yield opened


@pytest.fixture(scope="module")
def connection(pg: PostgresServer, templates: dict[str, Database]) -> Iterator[psycopg.Connection]:
    """A furnished database of each version; the tests here only read."""
    yield from furnished(pg, templates)


@pytest.fixture(scope="module")
def connection15(pg15: PostgresServer, templates: dict[str, Database]) -> Iterator[psycopg.Connection]:
    """A furnished database of PostgreSQL 15, for which plpgsql_check is at hand."""
    yield from furnished(pg15, templates)


def names(connection: psycopg.Connection, query: str, *arguments: object) -> list[str]:
    """The first column of all rows."""
    return [name for (name,) in connection.execute(query, arguments or None)]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(
            "select nspname from pg_namespace"
            " where nspname = 'tide' and obj_description(oid, 'pg_namespace') is null",
            id="schema",
        ),
        pytest.param(
            "select oid::regclass::text from pg_class c where relnamespace = 'tide'::regnamespace"
            " and relkind in ('r', 'p', 'v', 'm', 'S', 'f') and obj_description(oid, 'pg_class') is null",
            id="tables, views and sequences, those of an outbox too",
        ),
        pytest.param(
            "select format('%s.%s', attrelid::regclass, attname)"
            " from pg_attribute join pg_class c on c.oid = attrelid"
            " where relnamespace = 'tide'::regnamespace and relkind in ('r', 'p') and not relispartition"
            "   and attnum > 0 and not attisdropped and col_description(attrelid, attnum) is null",
            id="columns",
        ),
        pytest.param(
            "select oid::regprocedure::text from pg_proc"
            " where pronamespace = 'tide'::regnamespace and obj_description(oid, 'pg_proc') is null",
            id="functions",
        ),
        pytest.param(
            "select tgname::text from pg_trigger t join pg_class c on c.oid = tgrelid"
            " where relnamespace = 'tide'::regnamespace and not tgisinternal"
            "   and obj_description(t.oid, 'pg_trigger') is null",
            id="triggers",
        ),
        pytest.param(
            "select t.oid::regtype::text from pg_type t left join pg_class c on c.oid = t.typrelid"
            " where t.typnamespace = 'tide'::regnamespace and t.typelem = 0 and coalesce(c.relkind, 'c') = 'c'"
            "   and obj_description(t.oid, 'pg_type') is null",
            id="types",
        ),
    ],
)
def test_every_object_has_a_comment(connection: psycopg.Connection, query: str) -> None:
    """What is there can be understood from psql alone."""
    assert names(connection, query) == []


def test_every_function_pins_its_search_path(connection: psycopg.Connection) -> None:
    """With pg_temp last: nobody's temporary table or function stands in for ours, in definers above all."""
    unpinned = names(
        connection,
        "select oid::regprocedure::text from pg_proc where pronamespace = 'tide'::regnamespace"
        " and not (%s = any (coalesce(proconfig, '{}')))",
        PIN,
    )
    assert unpinned == []
    assert names(connection, "select 1 from pg_proc where pronamespace = 'tide'::regnamespace and prosecdef")


def test_every_argument_has_a_name(connection: psycopg.Connection) -> None:
    """So that calls may name it, and keep their meaning when an argument is added."""
    nameless = names(
        connection,
        "select oid::regprocedure::text from pg_proc where pronamespace = 'tide'::regnamespace and pronargs > 0"
        " and (proargnames is null or '' = any (proargnames[1:pronargs]))",
    )
    assert nameless == []


def test_no_two_functions_share_a_name(connection: psycopg.Connection) -> None:
    """An overloaded name makes a call with unknown literals or nulls ambiguous."""
    shared = names(
        connection,
        "select proname::text from pg_proc where pronamespace = 'tide'::regnamespace"
        " group by proname having count(*) > 1",
    )
    assert shared == []


def test_every_constraint_has_a_name_of_ours(connection: psycopg.Connection) -> None:
    """Named after its table, not by the server; those of partitions and of NOT NULL are the server's own."""
    foreign = names(
        connection,
        "select conname::text from pg_constraint k join pg_class c on c.oid = k.conrelid"
        " where connamespace = 'tide'::regnamespace and not c.relispartition and contype <> 'n'"
        "   and conname not like c.relname || '\\_%'",
    )
    assert foreign == []


def test_ids_are_drawn_one_by_one(connection: psycopg.Connection) -> None:
    """CACHE 1: a session that kept ids back would publish smaller ones later; no cycle: an id is used once."""
    row = connection.execute(
        "select seqcache, seqincrement, seqcycle, format_type(seqtypid, null) from pg_sequence"
        " where seqrelid = 'tide.message_id'::regclass"
    ).fetchone()
    assert row == (1, 1, False, "bigint")


def test_the_cursor_has_no_index_but_its_key(connection: psycopg.Connection) -> None:
    """An index on a changing column would end HOT updates."""
    keys = names(
        connection,
        "select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'tide.cursor'::regclass",
    )
    assert keys == ["CREATE UNIQUE INDEX cursor_pk ON tide.cursor USING btree (group_id, shard)"]


def test_no_function_notifies_or_takes_session_locks(connection: psycopg.Connection) -> None:
    """NOTIFY locks the whole cluster at commit; session locks do not survive a transaction pooler."""
    bodies = names(
        connection,
        "select proname::text from pg_proc where pronamespace = 'tide'::regnamespace"
        " and (prosrc ~* '\\mnotify\\M' or prosrc ~* 'pg_(try_)?advisory_lock')",
    )
    assert bodies == []


# -- plpgsql_check --


def test_plpgsql_check_finds_nothing(connection15: psycopg.Connection) -> None:
    """Every PL/pgSQL function is checked with its queries; trigger functions with the view they belong to."""
    available = names(connection15, "select 1 from pg_available_extensions where name = 'plpgsql_check'")
    if not available and os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip("PostgreSQL 15 has no plpgsql_check here: apt-get install postgresql-15-plpgsql-check")
    connection15.execute("create schema checker; create extension plpgsql_check schema checker")
    found = connection15.execute(
        """
        select f.oid::regprocedure::text, c.lineno, c.level, c.message, c.detail
          from pg_proc f
          join pg_language l on l.oid = f.prolang and l.lanname = 'plpgsql'
          left join pg_trigger t on t.tgfoid = f.oid
         cross join lateral checker.plpgsql_check_function_tb(
                 f.oid, coalesce(t.tgrelid, 0), fatal_errors => false, other_warnings => true,
                 extra_warnings => true, performance_warnings => false) c
         where f.pronamespace = 'tide'::regnamespace
        """
    ).fetchall()
    assert found == []
    checked = names(
        connection15,
        "select count(*) from pg_proc f join pg_language l on l.oid = f.prolang and l.lanname = 'plpgsql'"
        " where f.pronamespace = 'tide'::regnamespace",
    )
    assert int(checked[0]) > 40
