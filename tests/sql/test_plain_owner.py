"""A database owner without CREATEROLE, as on managed services: the whole schema works for it and its roles."""

import psycopg
import pytest
from psycopg import sql

from fix_postgres import NewPostgres
from fix_sql import CONFIG
from pg_tide_dev.databases import Database, create_database
from pg_tide_relay.install import install

ROLES = ("plain", "shop", "relay", "ops", "watcher", "app")


def as_user(database: Database, user: str) -> psycopg.Connection:
    """A connection in autocommit mode; a role's password is its name."""
    dsn = psycopg.conninfo.make_conninfo(database.dsn, user=user, password=user)
    return psycopg.connect(dsn, autocommit=True)


@pytest.fixture(params=[15, 18], ids=lambda major: f"pg{major}")
def owned(request: pytest.FixtureRequest, new_postgres: NewPostgres) -> Database:
    """A database of the plain role `plain` on a server without any of our roles."""
    server = new_postgres(request.param)
    database = create_database(server)
    with database.connect(autocommit=True) as connection:
        for role in ROLES:
            connection.execute(
                sql.SQL("create role {} login password {}").format(sql.Identifier(role), sql.Literal(role))
            )
        connection.execute(sql.SQL("alter database {} owner to plain").format(sql.Identifier(database.name)))
        connection.execute("revoke create on schema public from public")
    return database


def install_as_plain(database: Database) -> psycopg.Connection:
    """The schema installed by `plain`, and its connection."""
    install(psycopg.conninfo.make_conninfo(database.dsn, user="plain", password="plain"))
    return as_user(database, "plain")


def test_a_plain_owner_runs_everything_and_grants_to_roles_that_exist(owned: Database) -> None:
    """Each kind of role does its work, from the first outbox to the last message dropped."""
    with install_as_plain(owned) as plain:
        for kind, role in (("relay", "relay"), ("admin", "ops"), ("monitor", "watcher")):
            plain.execute("select tide.role_grant(%s, %s)", [kind, role])
        with as_user(owned, "ops") as ops:
            ops.execute("select tide.outbox_create('orders', drop_without_group => true)")
            ops.execute("select tide.outbox_grant('orders', 'shop')")
            ops.execute("select tide.relay_set_outbox('p', 'orders', 'g', %s)", [CONFIG])
        with as_user(owned, "shop") as shop:
            assert shop.execute("select tide.outbox_publish('orders', '{}')").fetchone() == (1,)
        with as_user(owned, "relay") as relay:
            assert relay.execute("select count(*) from tide.message_1").fetchone() == (1,)
            acquired = "select tide._cursor_acquire(1, 0, gen_random_uuid(), 'r', 1000, 0)"
            assert len(relay.execute(acquired).fetchall()) == 1
            relay.execute("select tide._flush()")
            relay.execute("select * from tide.retention_run(clock_timestamp() + interval '25 hours')")
        with as_user(owned, "watcher") as watcher:
            pending = "select pending, (select count(*) from tide.holders() where holds = 'retention') from tide.lag"
            assert watcher.execute(pending).fetchone() == (1, 0)
        with as_user(owned, "ops") as ops:
            ops.execute("select tide.group_skip('g', 'orders')")
            ops.execute("select tide.relay_drop('p')")
            ops.execute("select tide.group_drop('g', 'orders')")
            emptied = ops.execute(
                "select action from tide.retention_run(clock_timestamp() + interval '49 hours') where slot = 0"
            )
            assert emptied.fetchall() == [("emptied",)]
            ops.execute("select tide.outbox_disable('orders')")
            ops.execute("select tide.outbox_drop('orders')")


def test_default_privileges_open_nothing(owned: Database) -> None:
    """Whatever the owner gives away by default, of schema tide only what it grants there is open."""
    with as_user(owned, "plain") as plain:
        for kind in ("schemas", "tables", "sequences", "functions"):
            for grantee in ("app", "public"):
                plain.execute(f"alter default privileges grant all on {kind} to {grantee}")
    with install_as_plain(owned) as plain:
        plain.execute("select tide.outbox_create('orders')")
        plain.execute("select tide.relay_set_outbox('p', 'orders', 'g', %s)", [CONFIG])
        plain.execute("select tide.outbox_create('wide', slots => 3)")
        plain.execute("select tide._slot_add(1, 4)")
        opened = plain.execute(
            """
            select 'schema', n.nspname from pg_namespace n
             where n.nspname = 'tide' and (has_schema_privilege('app', oid, 'usage, create'))
            union all
            select 'relation', c.relname from pg_class c
             where c.relnamespace = 'tide'::regnamespace and c.relkind in ('r', 'p', 'v')
               and has_any_column_privilege('app', c.oid, 'select, insert, update, references')
            union all
            select 'table', c.relname from pg_class c
             where c.relnamespace = 'tide'::regnamespace and c.relkind in ('r', 'p', 'v')
               and has_table_privilege('app', c.oid, 'delete, truncate, trigger')
            union all
            select 'sequence', c.relname from pg_class c
             where c.relnamespace = 'tide'::regnamespace
               and case when c.relkind = 'S' then has_sequence_privilege('app', c.oid, 'usage, select, update') end
            union all
            select 'function', f.proname from pg_proc f
             where f.pronamespace = 'tide'::regnamespace and has_function_privilege('app', f.oid, 'execute')
            """
        ).fetchall()
    assert opened == []


def test_an_application_with_default_privileges_writes_no_xid(owned: Database) -> None:
    """A forged xid is a lost message: a granted publisher has no way to one, whatever it may do elsewhere."""
    with as_user(owned, "plain") as plain:
        plain.execute("alter default privileges grant all on tables to app")
        plain.execute("alter default privileges grant all on sequences to app")
    with install_as_plain(owned) as plain:
        plain.execute("select tide.outbox_create('orders')")
        plain.execute("select tide.outbox_grant('orders', 'app')")
        with as_user(owned, "app") as app:
            app.execute("select tide.outbox_publish('orders', '{}')")
            for table in ("message", "message_1", "message_1_0"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(
                        f"insert into tide.{table} (xid, outbox_id, slot, op) values ('3', 1, 0, 'delete')"
                    )
