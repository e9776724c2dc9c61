"""PostgreSQL as tests get it."""

import psycopg
import pytest

from fix_postgres import NewPostgres
from pg_tide_dev.databases import Database, create_database, drop_database
from pg_tide_dev.postgres import LocalPostgres, PostgresServer
from pg_tide_dev.sources import Source


def one(server: PostgresServer, query: str) -> object:
    """The only value a query returns."""
    with psycopg.connect(server.dsn()) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def local(server: PostgresServer) -> LocalPostgres:
    """The server, if it is a process of this run."""
    if server.source not in (Source.LOCAL, Source.PACKAGES):
        pytest.skip("the server is not a process of this run")
    assert isinstance(server, LocalPostgres)
    return server


def test_the_server_has_the_wanted_version_and_allows_prepared_transactions(pg: PostgresServer) -> None:
    """Two-phase commit is part of what is tested."""
    assert int(str(one(pg, "show server_version_num"))) // 10_000 == pg.major
    assert int(str(one(pg, "show max_prepared_transactions"))) >= 50


def test_the_server_listens_on_the_loopback_only_and_on_no_socket(pg: PostgresServer) -> None:
    """Nobody on the network and no path on the disk leads to it."""
    local(pg)
    assert one(pg, "show listen_addresses") == "127.0.0.1"
    assert one(pg, "show unix_socket_directories") == ""


@pytest.mark.parametrize("password", ["", "wrong"])
def test_nobody_gets_in_without_the_generated_password(pg: PostgresServer, password: str) -> None:
    """Trusting local users would let every user of the machine in."""
    server = local(pg)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.dsn(), password=password)


def test_clusters_are_copies_of_a_template_with_ports_of_their_own(new_postgres: NewPostgres) -> None:
    """Copies are quick to make and share the system identifier; a cluster with its own can be asked for."""
    first, second, other = new_postgres(18), new_postgres(18), new_postgres(18, own_identity=True)
    assert len({first.dsn(), second.dsn(), other.dsn()}) == 3
    query = "select system_identifier from pg_control_system()"
    assert one(first, query) == one(second, query) != one(other, query)


def test_a_killed_durable_server_comes_back_with_what_was_committed(new_postgres: NewPostgres) -> None:
    """`kill` is a crash: nothing is flushed, and recovery brings back every commit, on the same port."""
    server = new_postgres(18, durable=True)
    assert one(server, "show fsync") == "on"
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("create table kept as select 1 as n")
    address = server.dsn()
    server.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address)
    server.start()
    assert server.dsn() == address
    assert one(server, "select n from kept") == 1


def test_a_stop_ends_sessions_and_a_restart_brings_the_server_back(new_postgres: NewPostgres) -> None:
    """An open session does not hold a fast shutdown up."""
    server = new_postgres(18)
    connection = psycopg.connect(server.dsn())
    server.restart()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    connection.close()
    assert one(server, "select 1") == 1


def test_a_standby_follows_and_can_be_promoted(new_postgres: NewPostgres) -> None:
    """What is committed on the primary arrives; after promotion the standby accepts writes."""
    primary = new_postgres(18)
    standby = primary.standby()
    with psycopg.connect(primary.dsn(), autocommit=True) as connection:
        connection.execute("set synchronous_commit = remote_apply")
        connection.execute("alter system set synchronous_standby_names = '*'")
        connection.execute("select pg_reload_conf()")
        connection.execute("create table followed as select 1 as n")
        row = connection.execute("select pg_current_wal_lsn()::text").fetchone()
    assert row is not None
    with psycopg.connect(standby.dsn(), autocommit=True) as reader:
        caught_up = f"select pg_last_wal_replay_lsn() >= '{row[0]}'::pg_lsn"
        while reader.execute(caught_up.encode()).fetchone() != (True,):
            pass
        assert reader.execute("select n from followed").fetchone() == (1,)
    assert one(standby, "select pg_is_in_recovery()") is True
    standby.promote()
    assert one(standby, "select pg_is_in_recovery()") is False
    standby.kill()


def test_settings_reach_the_server(new_postgres: NewPostgres) -> None:
    """Tests can ask for what the default server does not have."""
    assert one(new_postgres(18, settings={"wal_level": "logical"}), "show wal_level") == "logical"


def test_a_database_is_a_copy_of_its_template(pg: PostgresServer) -> None:
    """What the template holds is there; what a test adds is not there for the next."""
    template = create_database(pg)
    with template.connect() as connection:
        connection.execute("create table given as select 1 as n")
    first, second = create_database(pg, template=template.name), create_database(pg, template=template.name)
    with first.connect() as connection:
        connection.execute("insert into given values (2)")
    with second.connect() as connection:
        assert connection.execute("select array_agg(n) from given").fetchone() == ([1],)
    for database in (first, second, template):
        drop_database(database)


def test_a_database_can_be_dropped_with_open_sessions_and_prepared_transactions(pg: PostgresServer) -> None:
    """A test that fails in the middle does not make the next one fail."""
    database = create_database(pg)
    session = database.connect(autocommit=True)
    session.execute("begin")
    session.execute("create table t ()")
    session.execute("prepare transaction 'left-behind'")
    drop_database(database)
    session.close()
    assert one(pg, f"select count(*) from pg_database where datname = '{database.name}'") == 0
    assert one(pg, "select count(*) from pg_prepared_xacts where gid = 'left-behind'") == 0


def test_a_database_of_the_template_has_the_schema(database: Database, empty_database: Database) -> None:
    """Tests find the schema installed, or nothing where they ask for nothing."""
    for given, expected in ((database, 1), (empty_database, 0)):
        with given.connect() as connection:
            row = connection.execute("select count(*) from pg_namespace where nspname = 'tide'").fetchone()
        assert row == (expected,)


def test_a_discarded_server_and_its_standby_leave_nothing_on_the_disk(new_postgres: NewPostgres) -> None:
    """A run of many tests does not fill the disk with servers that none of them needs any more."""
    server = local(new_postgres(18))
    standby = local(server.standby())
    folders = [server.data.parent, standby.data.parent]
    assert all(folder.exists() for folder in folders)
    server.discard()
    assert not any(folder.exists() for folder in folders)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(standby.dsn())
