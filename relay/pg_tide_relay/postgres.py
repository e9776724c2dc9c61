"""Connections to PostgreSQL, each owned by one worker thread that runs jobs on it, one after the other.

The relay's main thread never waits for the database: it hands a job to a worker and finds the answer in its
inbox. psycopg waits without the interpreter's lock, so the workers cost the main thread next to nothing.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, TypeVar

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL
from psycopg.types.numeric import Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader

from pg_tide_relay.postgres_errors import ends_connection
from pg_tide_sql.statements import statement

Connection = psycopg.Connection[tuple[Any, ...]]
T = TypeVar("T")

Answer = Callable[[], None]
"""What lies in the inbox: to be called by the main thread."""

Inbox = SimpleQueue[Answer]

_NETWORK_DEFAULTS: Final = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 10,  # a peer that vanished is noticed after half a minute, not after two hours
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # milliseconds
}


class ConnectionChangedError(psycopg.OperationalError):
    """The job was meant for an earlier connection; what it knows was read there and no longer counts."""

    def __init__(self) -> None:
        super().__init__("the connection to PostgreSQL was lost and made anew")


def read_raw(conn: Connection) -> None:
    """Make a reading connection hand out texts as bytes and times as integers (binary cursors only).

    On the wire a timestamptz is eight bytes, microseconds since 2000, as a bigint would be. Both loaders are
    those of psycopg's C part: one written in Python costs a quarter of a microsecond per message.
    """
    conn.adapters.register_loader("text", ByteaBinaryLoader)
    conn.adapters.register_loader("timestamptz", Int8BinaryLoader)


def _connect(dsn: str, name: str) -> Connection:
    given = conninfo_to_dict(dsn)
    missing = {key: value for key, value in _NETWORK_DEFAULTS.items() if key not in given}
    # Payloads go to Kafka as they arrive here: in UTF-8, whatever the database or the role prefers.
    conn = psycopg.connect(
        make_conninfo(dsn, **missing), autocommit=True, fallback_application_name=name, client_encoding="utf8"
    )
    conn.isolation_level = IsolationLevel.READ_COMMITTED
    (answering,) = conn.execute(SQL(statement("backend_pid"))).fetchone() or (None,)
    if answering != conn.info.backend_pid:
        # A transaction pooler: prepared statements belong to its server connections, where another client may have
        # given the same name to another statement.
        conn.prepare_threshold = None
    return conn


class Worker:
    """A thread that owns one connection; connects at the first job and again after a connection was lost."""

    def __init__(
        self, *, dsn: str, name: str, inbox: Inbox, prepare: Callable[[Connection], None] | None = None
    ) -> None:
        """Name the thread and the connection; ``prepare`` is called with each new connection."""
        self._dsn = dsn
        self._name = name
        self._inbox = inbox
        self._prepare = prepare
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._conn: Connection | None = None
        self._lock = threading.Lock()
        self.connection = 0
        """Number of the connection in use; rises when it is made anew. Read by jobs and by the main thread."""

    def submit(
        self,
        job: Callable[[Connection], T],
        on_done: Callable[[Future[T]], None],
        *,
        connection: int | None = None,
    ) -> None:
        """Run the job on the worker's thread, then call ``on_done`` with its future on the main thread.

        With ``connection`` the job fails with ConnectionChangedError when that one is no longer in use.
        """
        future = self._executor.submit(self._run, job, connection)
        future.add_done_callback(lambda done: self._inbox.put(partial(on_done, done)))

    def _run(self, job: Callable[[Connection], T], connection: int | None) -> T:
        conn = self._connected()
        if connection is not None and connection != self.connection:
            raise ConnectionChangedError
        try:
            return job(conn)
        except psycopg.Error as error:
            is_idle = conn.info.transaction_status is TransactionStatus.IDLE
            if ends_connection(error) or not is_idle:
                # Whether or not the server closed it: what follows starts on a connection whose state is known.
                conn.close()
            raise

    def _connected(self) -> Connection:
        if self._conn is None or self._conn.closed:
            self._conn = None
            conn = _connect(self._dsn, self._name)
            if self._prepare is not None:
                self._prepare(conn)
            with self._lock:
                self._conn = conn
                self.connection += 1
        assert self._conn is not None
        return self._conn

    def close(self, timeout_s: float) -> bool:
        """End the thread and the connection; False: a job still hangs after that time."""
        idle = self._executor.submit(self._disconnect)
        self._executor.shutdown(wait=False)
        try:
            idle.result(timeout_s)
        except TimeoutError:
            return False
        return True

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
