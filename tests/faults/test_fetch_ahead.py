"""What fetching remembers, behind a pooler that gives every transaction another server connection.

Then nobody notices that PostgreSQL crashed: what is remembered must be right all the same.
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, cast

import psycopg
import pytest

from fix_postgres import NewPostgres, install_schema
from pg_tide_dev.databases import Database, create_database
from pg_tide_relay.cursor import Position
from pg_tide_relay.fetch_ahead import FetchAhead
from pg_tide_relay.poll import Page, WindowsOpened, open_windows
from pg_tide_relay.postgres import Connection, Worker, read_raw

OUTBOX_ID = 1
PIPELINE_ID = 1
USED_UP = 50


class PooledReader:
    """Stands where the reading worker does: each job on another connection, its number always the same."""

    connection = 1

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.answers: list[Callable[[], None]] = []  # what the main thread has not taken in yet

    def submit(
        self, job: Callable[[Connection], Any], on_done: Callable[[Future[Any]], None], **_: object
    ) -> None:
        answer: Future[Any] = Future()
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            read_raw(connection)
            answer.set_result(job(connection))
        self.answers.append(partial(on_done, answer))

    def answer(self) -> None:
        """Let the main thread take in the oldest answer."""
        self.answers.pop(0)()


class Sink:
    """Takes the pages as a pipeline does."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def on_page(self, page: Page, after: Position, before: Position) -> None:
        del after, before
        self.ids += [row[0] for row in page.rows]

    def on_window(self, opened: WindowsOpened) -> bool:
        del opened
        return True

    def on_fetch_failed(self, error: Exception) -> None:
        raise error


class Fetching:
    """A fetch ahead on a server that may crash."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sink = Sink()
        self.reader = PooledReader(database.dsn)
        self.fetch = FetchAhead(
            reader=cast(Worker, self.reader), outbox_id=OUTBOX_ID, batch_size=10, sink=self.sink
        )
        self.fetch.start(Position(prev="1:1:"))

    def look(self) -> bool:
        """Look for messages; whether a window is open now."""
        wanted = self.fetch.wants_window()
        assert wanted is not None
        job = partial(open_windows, wanted={PIPELINE_ID: wanted}, seen=self.fetch.seen)
        self.reader.submit(job, self.fetch.asks_window(PIPELINE_ID))
        self.reader.answer()
        return self.fetch.wants_window() is None

    def read(self) -> list[int]:
        """Look, and read whatever is found; the ids read by this call."""
        before = len(self.sink.ids)
        while self.fetch.wants_window() is None or self.look():
            assert self.fetch.fetch()
            self.reader.answer()
        return self.sink.ids[before:]

    def publish(self, count: int) -> list[int]:
        """Commit messages, each in a transaction of its own; their ids."""
        statement = "select tide.outbox_publish('orders', '{}')"
        with self.database.connect(autocommit=True) as connection:
            return [connection.execute(statement).fetchall()[0][0] for _ in range(count)]

    def use_up_transaction_ids(self) -> int:
        """Roll transactions back: their ends are not flushed, a crash hands their ids out again. The last one."""
        with self.database.connect() as connection:
            for _ in range(USED_UP):
                (row,) = connection.execute("select pg_current_xact_id()::text::bigint").fetchall()
                connection.rollback()
        return int(row[0])

    def crash(self) -> int:
        """Crash the server and start it; the next transaction id."""
        self.database.server.kill()
        self.database.server.start()
        with self.database.connect() as connection:
            return int(
                connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchall()[0][0]
            )


@pytest.fixture
def fetching(new_postgres: NewPostgres) -> Fetching:
    """A server that writes nothing through unless it is asked to."""
    settings = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "autovacuum": "off"}
    database = create_database(new_postgres(18, durable=True, settings=settings))
    install_schema(database.dsn)
    with database.connect(autocommit=True) as connection:
        connection.execute("select tide.outbox_create('orders')")
    return Fetching(database)


def test_hazard_02_an_empty_look_moves_nothing(fetching: Fetching) -> None:
    """It saw transactions end whose ids a crash hands out again: had it moved, their messages would be passed over."""
    first = fetching.publish(1)
    assert fetching.read() == first
    used_up = fetching.use_up_transaction_ids()
    assert fetching.read() == []
    assert fetching.crash() <= used_up
    published = fetching.publish(USED_UP + 10)
    assert fetching.read() == published


def test_hazard_02_the_end_of_a_window_with_messages_is_in_the_log(fetching: Fetching) -> None:
    """The next window begins there, whatever crashes: no transaction that it calls ended is undone."""
    first = fetching.publish(1)
    used_up = fetching.use_up_transaction_ids()
    assert fetching.read() == first
    assert fetching.crash() > used_up
    published = fetching.publish(USED_UP + 10)
    assert fetching.read() == published


def test_an_answer_to_a_question_asked_before_forgetting_is_dropped(fetching: Fetching) -> None:
    """A page read from what no longer counts hands nothing over, and disturbs no later question."""
    published = fetching.publish(3)
    assert fetching.look()
    fetching.fetch.fetch()
    fetching.fetch.start(Position(prev="1:1:"))
    fetching.reader.answer()
    assert fetching.sink.ids == []
    assert fetching.read() == published
