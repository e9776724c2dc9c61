"""What real servers say when they refuse: each has its row in the relay's table, and leaves the right connection."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import psycopg
import pytest
from psycopg import errors

from pg_tide_dev.databases import Database
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.postgres import Answer, Connection, Worker
from pg_tide_relay.postgres_errors import Action, classify_postgres

Jobs = Callable[[Callable[[Connection], Any]], BaseException | None]


class Asked:
    """A worker whose answers are waited for."""

    def __init__(self, dsn: str) -> None:
        self.inbox: SimpleQueue[Answer] = SimpleQueue()
        self.worker = Worker(dsn=dsn, name="asks", inbox=self.inbox)

    def run(self, job: Callable[[Connection], Any]) -> BaseException | None:
        """What became of the job: its error."""
        done: list[Future[Any]] = []
        self.worker.submit(job, done.append)
        self.inbox.get(timeout=30)()
        return done[0].exception()

    def refused(self, job: Callable[[Connection], Any]) -> psycopg.Error:
        """The error of a job that must have one."""
        error = self.run(job)
        assert isinstance(error, psycopg.Error), error
        return error


@pytest.fixture
def asked(database: Database) -> Iterator[Asked]:
    one = Asked(database.dsn)
    yield one
    assert one.worker.close(timeout_s=5)


def run(*statements: str) -> Callable[[Connection], None]:
    def job(conn: Connection) -> None:
        for one in statements:
            conn.execute(one.encode())

    return job


def in_transaction(*statements: str) -> Callable[[Connection], None]:
    def job(conn: Connection) -> None:
        with conn.transaction():
            run(*statements)(conn)

    return job


TERMINATED = "select pg_terminate_backend(pg_backend_pid())"


@pytest.mark.parametrize(
    ("job", "raised", "error_class", "action"),
    [
        (run(TERMINATED), errors.AdminShutdown, ErrorClass.CLUSTER_AWAY, Action.WAIT),
        (
            run("set statement_timeout = '50ms'", "select pg_sleep(20)"),
            errors.QueryCanceled,
            ErrorClass.CLUSTER_AWAY,
            Action.TRY_AGAIN,
        ),
        (
            in_transaction("set transaction read only", "create table public.t ()"),
            errors.ReadOnlySqlTransaction,
            ErrorClass.CLUSTER_AWAY,
            Action.CONNECT_ANEW,
        ),
        (run("table tide.gone"), errors.UndefinedTable, ErrorClass.CONFIGURATION, Action.TRY_AGAIN),
        (run("table gone.gone"), errors.UndefinedTable, ErrorClass.CONFIGURATION, Action.TRY_AGAIN),
        (run("execute gone"), errors.InvalidSqlStatementName, ErrorClass.CONFIGURATION, Action.CONNECT_ANEW),
        (
            run(
                "set temp_file_limit = 0",
                "set work_mem = '64kB'",
                "select * from generate_series(1, 100000) n order by -n",
            ),
            errors.ConfigurationLimitExceeded,
            ErrorClass.CLUSTER_AWAY,
            Action.TRY_AGAIN,
        ),
        (
            run("select tide.outbox_publish('gone', '{}'::jsonb)"),
            psycopg.DatabaseError,
            ErrorClass.CONFIGURATION,
            Action.TRY_AGAIN,
        ),
    ],
    ids=["terminated", "timeout", "read-only", "no-table", "no-schema", "no-statement", "limit", "own"],
)
def test_a_refusal_has_its_class_and_the_right_connection_after_it(
    asked: Asked,
    job: Callable[[Connection], None],
    raised: type[psycopg.Error],
    error_class: ErrorClass,
    action: Action,
) -> None:
    """What another connection can't cure keeps this one; the rest begins anew, and works at once."""
    assert asked.run(run("select 1")) is None
    error = asked.refused(job)
    assert isinstance(error, raised)
    found = classify_postgres(error)
    assert (found.error_class, found.action) == (error_class, action)
    assert asked.run(run("select 1")) is None
    assert asked.worker.connection == (1 if action is Action.TRY_AGAIN else 2)


def test_the_schemas_own_refusals_tell_their_own_cure(asked: Asked) -> None:
    error = asked.refused(run("select tide.outbox_publish('gone', '{}'::jsonb)"))
    assert error.sqlstate == "TD001"
    assert classify_postgres(error).cure == error.diag.message_hint != ""


def test_a_lock_that_is_not_had_in_time_keeps_the_connection(asked: Asked, database: Database) -> None:
    with psycopg.connect(database.dsn) as holder:
        holder.execute("create table public.held ()")
        holder.commit()
        holder.execute("lock table public.held in access exclusive mode")
        error = asked.refused(run("set lock_timeout = '50ms'", "table public.held"))
    assert isinstance(error, errors.LockNotAvailable)
    assert classify_postgres(error).action is Action.TRY_AGAIN
    assert asked.worker.connection == 1


def test_a_serialization_failure_is_tried_again(asked: Asked, database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as other:
        other.execute("create table public.counted (n integer)")
        other.execute("insert into public.counted values (1)")

        def job(conn: Connection) -> None:
            with conn.transaction():
                conn.execute("set transaction isolation level repeatable read")
                conn.execute("table public.counted")
                other.execute("update public.counted set n = 2")
                conn.execute("update public.counted set n = 3")

        error = asked.refused(job)
    assert isinstance(error, errors.SerializationFailure)
    found = classify_postgres(error)
    assert (found.error_class, found.action) == (ErrorClass.CLUSTER_AWAY, Action.TRY_AGAIN)


@pytest.mark.parametrize(
    ("change", "given", "said"),
    [
        ("alter role refused connection limit 0", {}, "too many connections"),
        ("alter role refused nologin", {}, "not permitted to log in"),
        ("alter role refused login", {"dbname": "gone"}, "does not exist"),
        ("alter role refused login", {"port": "1"}, "refused"),
    ],
    ids=["connection-limit", "no-login", "no-database", "nobody-listens"],
)
def test_a_server_that_lets_nobody_in_is_an_outage_in_its_own_words(
    database: Database, change: str, given: dict[str, str], said: str
) -> None:
    """No SQLSTATE comes with them; all pipelines wait, and the log has what the server said."""
    with psycopg.connect(database.dsn, autocommit=True) as admin:
        admin.execute("create role refused login password 'a-password'")
        admin.execute(change.encode())
        asked = Asked(
            psycopg.conninfo.make_conninfo(
                database.dsn, **{"user": "refused", "password": "a-password", **given}
            )
        )
        try:
            error = asked.refused(run("select 1"))
        finally:
            admin.execute("drop role refused")
            asked.worker.close(timeout_s=5)
    found = classify_postgres(error)
    assert (found.error_class, found.action) == (ErrorClass.CLUSTER_AWAY, Action.WAIT)
    assert said in str(error)
