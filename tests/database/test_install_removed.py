"""Uninstalling: nothing is left, nothing else is touched, and what would be lost is told."""

import psycopg
import pytest
from psycopg import sql

from fix_postgres import NewPostgres
from pg_tide_dev.databases import Database, create_database
from pg_tide_relay.install import install
from pg_tide_relay.uninstall import OutboxLoss, losses, uninstall

ROLES = ("tide_admin", "tide_monitor", "tide_publisher", "tide_relay")
MINIMAL = '{"sink_type": "kafka", "brokers": "localhost:9092", "topic": "order-events"}'
# Everything with a name that a database, or the server as a whole, can hold.
EVERYTHING = """
    select 'schema', nspname::text from pg_namespace where nspname !~ '^pg_(toast_)?temp'
    union all select 'relation', oid::regclass::text from pg_class where relpersistence <> 't'
    union all select 'function', oid::regprocedure::text from pg_proc
    union all select 'type', oid::regtype::text from pg_type t
      where not exists (select from pg_class c where c.oid = t.typrelid and c.relpersistence = 't')
    union all select 'role', rolname::text from pg_roles
    union all select 'role setting', setdatabase::text || setrole::text from pg_db_role_setting
    union all select 'default privilege', oid::text from pg_default_acl
    union all select 'event trigger', evtname::text from pg_event_trigger
    union all select 'description', description from pg_description
    order by 1, 2"""


def everything(database: Database) -> list[tuple[str, str]]:
    with database.connect() as connection:
        return connection.execute(EVERYTHING).fetchall()


def has_schema(database: Database) -> bool:
    with database.connect() as connection:
        return connection.execute("select to_regnamespace('tide') is not null").fetchone() == (True,)


def roles(database: Database) -> set[str]:
    with database.connect() as connection:
        return {
            name
            for (name,) in connection.execute("select rolname from pg_roles where rolname like 'tide\\_%'")
        }


@pytest.fixture
def alone(new_postgres: NewPostgres) -> Database:
    """A database on a server of its own: no other one uses the roles."""
    return create_database(new_postgres(18))


def test_uninstalling_leaves_nothing(alone: Database) -> None:
    before = everything(alone)
    install(alone.dsn)
    with alone.connect() as connection:
        connection.execute("select tide.outbox_create('orders', retention_hours => 48)")
        connection.execute("select tide.relay_set_outbox('p', 'orders', 'g', %s)", [MINIMAL])
        connection.execute("select tide.outbox_publish('orders', '{}'::jsonb, 'k')")
    assert everything(alone) != before
    result = uninstall(alone.dsn)
    assert (result.roles_dropped, result.roles_kept) == (ROLES, ())
    assert everything(alone) == before


def test_it_can_be_installed_again(empty_database: Database) -> None:
    install(empty_database.dsn)
    uninstall(empty_database.dsn)
    assert install(empty_database.dsn).action == "installed"


def test_uninstalling_nothing_does_nothing(empty_database: Database) -> None:
    before = everything(empty_database)
    assert uninstall(empty_database.dsn).version == 0
    assert losses(empty_database.dsn).version == 0
    assert everything(empty_database) == before


def test_a_foreign_schema_of_the_same_name_stays(empty_database: Database) -> None:
    with empty_database.connect() as connection:
        connection.execute("create schema tide create table tables (height integer)")
    with pytest.raises(psycopg.Error, match="pg-tide did not make it"):
        uninstall(empty_database.dsn)
    assert has_schema(empty_database)


def test_a_newer_schema_stays(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("insert into tide.schema_version (version, release) values (99, '7.0.0')")
    with pytest.raises(psycopg.Error) as caught:
        uninstall(database.dsn)
    assert caught.value.sqlstate == "TD050"
    assert has_schema(database)


# -- roles --


def test_roles_that_another_database_uses_stay(alone: Database) -> None:
    other = create_database(alone.server)
    install(alone.dsn)
    install(other.dsn)
    result = uninstall(alone.dsn)
    assert result.roles_dropped == ()
    assert {kept.reason for kept in result.roles_kept} == {"it has rights or objects in other databases"}
    assert roles(alone) == set(ROLES)
    assert uninstall(other.dsn).roles_dropped == ROLES


def test_a_role_that_owns_something_keeps_it(alone: Database) -> None:
    install(alone.dsn)
    with alone.connect() as connection:
        connection.execute(
            "create table public.mine (id integer); alter table public.mine owner to tide_admin"
        )
    result = uninstall(alone.dsn)
    assert [(kept.role, kept.reason) for kept in result.roles_kept] == [
        ("tide_admin", "it owns objects in this database")
    ]
    with alone.connect() as connection:
        assert connection.execute("select to_regclass('public.mine') is not null").fetchone() == (True,)


def test_rights_given_to_a_role_do_not_keep_it(alone: Database) -> None:
    install(alone.dsn)
    with alone.connect() as connection:
        connection.execute(
            "create table public.shared (id integer); grant select on public.shared to tide_monitor"
        )
        connection.execute(
            sql.SQL("grant connect on database {} to tide_relay").format(sql.Identifier(alone.name))
        )
    assert uninstall(alone.dsn).roles_dropped == ROLES


def test_a_plain_owner_removes_the_schema_and_is_told_that_roles_stay(alone: Database) -> None:
    with alone.connect(autocommit=True) as connection:
        connection.execute("create role plain login password 'plain' nosuperuser nocreaterole")
        connection.execute(sql.SQL("alter database {} owner to plain").format(sql.Identifier(alone.name)))
        connection.execute("create role tide_relay nologin")
    dsn = psycopg.conninfo.make_conninfo(alone.dsn, user="plain", password="plain")
    install(dsn)
    result = uninstall(dsn)
    assert [kept.role for kept in result.roles_kept] == ["tide_relay"]
    assert "permission denied" in result.roles_kept[0].reason
    assert not has_schema(alone)


# -- what would be lost --


def test_losses_name_outboxes_with_what_waits_and_change_nothing(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("select tide.outbox_create('orders'), tide.outbox_create('audit')")
        connection.execute("select tide.relay_set_outbox('p', 'orders', 'g', %s)", [MINIMAL])
        connection.commit()
        connection.execute(
            "select tide.outbox_publish('orders', '{}'::jsonb, 'k') from generate_series(1, 3)"
        )
    before = everything(database)
    found = losses(database.dsn)
    assert [(loss.outbox, loss.consumer_group, loss.waiting) for loss in found.outboxes] == [
        ("audit", None, ""),
        ("orders", "g", "3"),
    ]
    assert all(isinstance(loss, OutboxLoss) and loss.size.endswith("kB") for loss in found.outboxes)
    assert everything(database) == before


def test_losses_name_everything_outside_that_would_go_with_the_schema(database: Database) -> None:
    with database.connect() as connection:
        connection.execute(
            """
            create view public.shown as select name from tide.outbox;
            create view public.shown_again as select name from public.shown;
            create table public.numbered (id bigint default nextval('tide.message_id'), words text);
            create table public.typed (outbox tide.outbox);
            create function public.lag_of(tide.lag) returns bigint language sql as 'select 1::bigint';
            create view public.innocent as select 1 as one;
            """
        )
    assert losses(database.dsn).dependents == (
        "default value for public.numbered.id",
        "function public.lag_of(tide.lag)",
        "table column public.typed.outbox",
        "view public.shown",
        "view public.shown_again",
    )
    uninstall(database.dsn)
    with database.connect() as connection:
        left = connection.execute(
            "select relname::text from pg_class where relnamespace = 'public'::regnamespace order by 1"
        ).fetchall()
    assert left == [("innocent",), ("numbered",), ("typed",)]


def test_losses_name_relays_at_work(database: Database) -> None:
    with database.connect() as connection:
        connection.execute(
            "insert into tide.relay (relay_id, token, host, pid, release)"
            " values ('blue', gen_random_uuid(), 'a', 1, '0.1.0')"
        )
        connection.execute(
            "insert into tide.relay (relay_id, token, host, pid, release, ended_at)"
            " values ('green', gen_random_uuid(), 'a', 2, '0.1.0', now())"
        )
    assert losses(database.dsn).relays == ("blue",)


def test_a_session_in_the_way_is_not_waited_for(database: Database) -> None:
    with database.connect() as reader:
        reader.execute("select from tide.outbox")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            uninstall(database.dsn, lock_timeout="50ms")
    assert has_schema(database)
