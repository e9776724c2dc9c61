"""Installing and upgrading the schema tide, on a real server."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from catalogue import catalogue
from fix_postgres import NewPostgres
from pg_tide_dev.databases import Database, create_database
from pg_tide_relay.install import NotInstalledError, StandbyError, install
from pg_tide_relay.migrations import SchemaSource, packaged_source
from pg_tide_sql.files import migration_steps
from pg_tide_sql.versions import RELEASE, SCHEMA_VERSION

ADD_NOTE = "create table tide.note (id integer not null, text text); comment on table tide.note is 'A note';"
RENAME_NOTE = "alter table tide.note rename column text to words;"
FILL_NOTE = "insert into tide.note (id, words) values (1, 'moved');"


def versions(database: Database) -> list[int]:
    with database.connect() as connection:
        return [
            version
            for (version,) in connection.execute("select version from tide.schema_version order by version")
        ]


def has_schema(database: Database) -> bool:
    with database.connect() as connection:
        return connection.execute("select to_regnamespace('tide') is not null").fetchone() == (True,)


def set_for_database(database: Database, settings: dict[str, str]) -> None:
    """What new sessions of the database begin with."""
    statement = sql.SQL("alter database {} set {} = {}")
    with database.connect(autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute(
                statement.format(sql.Identifier(database.name), sql.Identifier(name), sql.Literal(value))
            )


def made_up(folder: Path, *steps: tuple[str, str], release: str = "9.9.9") -> SchemaSource:
    """The packaged schema, and made-up steps behind its version."""
    packaged = packaged_source()
    for step in packaged.steps:
        (folder / step.name).write_text(step.text, encoding="utf-8")
    for number, (words, text) in enumerate(steps, start=packaged.version + 1):
        (folder / f"{number:04}_{words}.sql").write_text(text, encoding="utf-8")
    return SchemaSource(
        version=packaged.version + len(steps),
        release=release,
        files=packaged.files,
        steps=migration_steps(folder),
    )


# -- installing --


def test_an_empty_database_gets_the_schema_and_its_version(empty_database: Database) -> None:
    result = install(empty_database.dsn)
    assert (result.action, result.previous, result.version, result.release) == (
        "installed",
        0,
        SCHEMA_VERSION,
        RELEASE,
    )
    with empty_database.connect() as connection:
        rows = connection.execute(
            "select version, release, installed_by = session_user, installed_at <= clock_timestamp(),"
            "       tide.version() from tide.schema_version"
        ).fetchall()
    assert [row[:4] for row in rows] == [(SCHEMA_VERSION, RELEASE, True, True)]
    assert str(SCHEMA_VERSION) in rows[0][4]


def test_installing_again_changes_nothing(empty_database: Database) -> None:
    install(empty_database.dsn)
    before = catalogue(empty_database.dsn)
    assert install(empty_database.dsn).action == "unchanged"
    assert catalogue(empty_database.dsn) == before


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_twenty_installers_at_once_end_with_one_installation(
    empty_database: Database, isolation: str
) -> None:
    """Whatever isolation the database prefers: a snapshot from before the lock would not show the others' work."""
    set_for_database(empty_database, {"default_transaction_isolation": isolation})
    together = threading.Barrier(20)

    def one_of_many(_number: int) -> str:
        together.wait()
        return install(empty_database.dsn).action

    with ThreadPoolExecutor(20) as pool:
        actions = list(pool.map(one_of_many, range(20)))
    assert sorted(actions) == ["installed"] + ["unchanged"] * 19
    assert versions(empty_database) == [SCHEMA_VERSION]


def test_a_dry_run_tells_and_leaves_nothing(empty_database: Database) -> None:
    assert install(empty_database.dsn, dry_run=True).action == "installed"
    assert not has_schema(empty_database)


def test_a_failing_file_leaves_nothing_and_is_named_with_its_line(empty_database: Database) -> None:
    source = packaged_source()
    broken = replace(source.files[-1], name="0999_broken.sql", text="select 1;\n\nselect nonsense;\n")
    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        install(empty_database.dsn, source=replace(source, files=(*source.files, broken)))
    assert caught.value.__notes__ == ["in 0999_broken.sql, line 3"]
    assert not has_schema(empty_database)


def test_settings_of_the_database_do_not_change_what_is_installed(
    empty_database: Database, database: Database
) -> None:
    settings = {
        "search_path": "public",
        "default_transaction_isolation": "serializable",
        "default_transaction_read_only": "on",
        "standard_conforming_strings": "off",
        "statement_timeout": "200ms",
        "client_encoding": "latin1",
        "check_function_bodies": "off",
    }
    with empty_database.connect(autocommit=True) as connection:
        connection.execute("create domain public.uuid as text; create domain public.jsonb as text")
    set_for_database(empty_database, settings)
    source = packaged_source()
    remark = "comment on table tide.schema_version is 'back\\slash';"
    slow = replace(source.files[-1], name="0999_slow.sql", text=f"select pg_sleep(0.3); {remark}")
    install(empty_database.dsn, source=replace(source, files=(*source.files, slow)))
    with database.connect() as connection:
        connection.execute(remark.encode())
    assert catalogue(empty_database.dsn) == catalogue(database.dsn)


def test_a_database_of_another_encoding_takes_the_schema(pg18: object, empty_database: Database) -> None:
    name = f"{empty_database.name}_latin1"
    with empty_database.connect(autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template template0 encoding latin1 locale 'C'").format(
                sql.Identifier(name)
            )
        )
    try:
        assert install(empty_database.server.dsn(name)).action == "installed"
    finally:
        with empty_database.connect(autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


# -- who may install --


@pytest.fixture
def owned(new_postgres: NewPostgres) -> Database:
    """A database on a server of its own, whose owner `plain` may not create roles."""
    server = new_postgres(18)
    database = create_database(server)
    with database.connect(autocommit=True) as connection:
        connection.execute("create role plain login password 'plain' nosuperuser nocreaterole nocreatedb")
        connection.execute(sql.SQL("alter database {} owner to plain").format(sql.Identifier(database.name)))
    return database


def as_user(database: Database, user: str) -> str:
    return psycopg.conninfo.make_conninfo(database.dsn, user=user, password=user)


def test_a_plain_owner_installs_without_roles_and_is_told_so(owned: Database) -> None:
    result = install(as_user(owned, "plain"))
    assert result.action == "installed"
    assert [notice.split()[1] for notice in result.notices if notice.startswith("role ")] == [
        "tide_publisher",
        "tide_relay",
        "tide_admin",
        "tide_monitor",
    ]
    with owned.connect() as connection:
        assert connection.execute("select count(*) from pg_roles where rolname like 'tide%%'").fetchone() == (
            0,
        )
        owners = connection.execute(
            "select distinct relowner::regrole::text from pg_class where relnamespace = 'tide'::regnamespace"
        ).fetchall()
    assert owners == [("plain",)]


def test_a_role_without_rights_is_told_what_to_grant(owned: Database) -> None:
    with owned.connect(autocommit=True) as connection:
        connection.execute("create role stranger login password 'stranger'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        install(as_user(owned, "stranger"))
    assert caught.value.diag.message_hint == (
        f"As the owner of the database: grant create on database {owned.name} to stranger;"
    )


def test_somebody_elses_installation_is_not_touched(owned: Database) -> None:
    install(as_user(owned, "plain"))
    with owned.connect(autocommit=True) as connection:
        connection.execute("create role stranger login password 'stranger'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        install(as_user(owned, "stranger"))
    assert (
        caught.value.diag.message_primary == "schema tide belongs to plain: role stranger may not change it"
    )
    assert caught.value.diag.message_hint == "Connect as plain."


def test_a_standby_is_refused(new_postgres: NewPostgres) -> None:
    standby = new_postgres(18).standby()
    try:
        with pytest.raises(StandbyError, match="is a standby"):
            install(standby.dsn())
    finally:
        standby.kill()


# -- what is there already --


def test_a_newer_schema_is_refused_with_the_release_to_use(empty_database: Database) -> None:
    install(empty_database.dsn)
    with empty_database.connect() as connection:
        connection.execute("insert into tide.schema_version (version, release) values (99, '7.0.0')")
    before = catalogue(empty_database.dsn)
    with pytest.raises(psycopg.Error) as caught:
        install(empty_database.dsn)
    assert caught.value.sqlstate == "TD050"
    assert caught.value.diag.message_primary == (
        f"schema tide has version 99 (release 7.0.0), newer than version {SCHEMA_VERSION} of this program"
    )
    assert caught.value.diag.message_hint == "Use release 7.0.0 of pg-tide or a newer one."
    assert catalogue(empty_database.dsn) == before


def test_a_foreign_schema_of_the_same_name_is_refused(empty_database: Database) -> None:
    with empty_database.connect() as connection:
        connection.execute("create schema tide create table tables (height integer)")
    with pytest.raises(psycopg.Error, match="pg-tide did not make it") as caught:
        install(empty_database.dsn)
    assert caught.value.sqlstate == "TD051"


def test_upgrading_nothing_is_refused(empty_database: Database) -> None:
    with pytest.raises(NotInstalledError):
        install(empty_database.dsn, only_upgrade=True)
    assert not has_schema(empty_database)


# -- upgrading, with made-up steps --


def test_an_upgrade_takes_each_missing_step_in_order_and_records_it(
    empty_database: Database, tmp_path: Path
) -> None:
    install(empty_database.dsn)
    source = made_up(
        tmp_path,
        ("pre_add_note", ADD_NOTE),
        ("breaking_rename_note", RENAME_NOTE),
        ("post_fill_note", FILL_NOTE),
    )
    result = install(empty_database.dsn, source=source, only_upgrade=True)
    assert (result.action, result.previous, result.version) == (
        "upgraded",
        SCHEMA_VERSION,
        SCHEMA_VERSION + 3,
    )
    assert [step.kind for step in result.steps] == ["pre", "breaking", "post"]
    assert versions(empty_database) == list(range(1, SCHEMA_VERSION + 4))
    with empty_database.connect() as connection:
        assert connection.execute("select id, words from tide.note").fetchall() == [(1, "moved")]
    assert install(empty_database.dsn, source=source).action == "unchanged"


def test_an_upgrade_starts_behind_the_installed_version(empty_database: Database, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    install(empty_database.dsn)
    install(empty_database.dsn, source=made_up(tmp_path / "first", ("pre_add_note", ADD_NOTE)))
    source = made_up(tmp_path / "second", ("pre_add_note", ADD_NOTE), ("breaking_rename_note", RENAME_NOTE))
    result = install(empty_database.dsn, source=source)
    assert [step.version for step in result.steps] == [SCHEMA_VERSION + 2]


def test_a_fresh_installation_needs_no_step(empty_database: Database, tmp_path: Path) -> None:
    source = made_up(tmp_path, ("pre_never_run", "select nonsense;"))
    result = install(empty_database.dsn, source=source)
    assert (result.action, result.steps) == ("installed", ())
    assert versions(empty_database) == [SCHEMA_VERSION + 1]


def test_a_failing_step_takes_the_whole_upgrade_back(empty_database: Database, tmp_path: Path) -> None:
    install(empty_database.dsn)
    before = catalogue(empty_database.dsn)
    source = made_up(tmp_path, ("pre_add_note", ADD_NOTE), ("post_broken", "select 1;\nselect nonsense;"))
    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        install(empty_database.dsn, source=source)
    assert caught.value.__notes__ == [f"in {SCHEMA_VERSION + 2:04}_post_broken.sql, line 2"]
    assert catalogue(empty_database.dsn) == before


def test_a_dry_run_lists_the_steps_and_takes_none(empty_database: Database, tmp_path: Path) -> None:
    install(empty_database.dsn)
    source = made_up(tmp_path, ("pre_add_note", ADD_NOTE))
    result = install(empty_database.dsn, source=source, dry_run=True)
    assert [step.name for step in result.steps] == [f"{SCHEMA_VERSION + 1:04}_pre_add_note.sql"]
    assert versions(empty_database) == [SCHEMA_VERSION]


@pytest.fixture
def reader(empty_database: Database) -> Iterator[psycopg.Connection]:
    """A session that holds a lock on a table of the schema for as long as the test wants."""
    install(empty_database.dsn)
    with empty_database.connect() as connection:
        connection.execute("select from tide.outbox")
        yield connection


def test_a_step_does_not_queue_behind_a_lock(
    empty_database: Database, reader: psycopg.Connection, tmp_path: Path
) -> None:
    source = made_up(tmp_path, ("pre_add_column", "alter table tide.outbox add column note text;"))
    with pytest.raises(psycopg.errors.LockNotAvailable):
        install(empty_database.dsn, source=source, lock_timeout="50ms")
    reader.rollback()
    assert install(empty_database.dsn, source=source, lock_timeout="50ms").action == "upgraded"
