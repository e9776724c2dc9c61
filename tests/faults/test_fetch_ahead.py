"""What fetching remembers, behind a pooler that gives every transaction another server connection.

Then nobody notices that PostgreSQL crashed: what is remembered must be right all the same.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, cast
from uuid import uuid4

import psycopg
import pytest

from fix_postgres import NewPostgres, install_schema
from pg_tide_dev.databases import Database, create_database
from pg_tide_relay.cursor import Position
from pg_tide_relay.fetch_ahead import FetchAhead, look
from pg_tide_relay.poll import Page, WindowsOpened
from pg_tide_relay.postgres import Connection, ConnectionChangedError, Inbox, Worker, read_raw

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
        self.failures: list[Exception] = []

    def on_page(self, page: Page, after: Position, before: Position) -> None:
        del after, before
        self.ids += [row[0] for row in page.rows]

    def on_window(self, opened: WindowsOpened) -> bool:
        del opened
        return True

    def on_fetch_failed(self, error: Exception) -> None:
        self.failures.append(error)


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
        reader = cast(Worker, self.reader)
        job = partial(look, reader=reader, wanted={PIPELINE_ID: wanted}, seen=self.fetch.seen)
        self.reader.submit(job, self.fetch.asks_window(PIPELINE_ID))
        self.reader.answer()
        return self.fetch.wants_window() is None

    def read(self) -> list[int]:
        """Look, and read whatever is found; the ids read by this call."""
        before = len(self.sink.ids)
        while self.fetch.wants_window() is None or self.look():
            self.fetch.fetch(room=8)
            while self.reader.answers:
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
    fetching.fetch.fetch(room=1)
    fetching.fetch.start(Position(prev="1:1:"))
    fetching.reader.answer()
    assert fetching.sink.ids == []
    assert fetching.read() == published


class Waited:
    """A reading worker that is waited for: the real one, with its connection."""

    def __init__(self, dsn: str) -> None:
        self._inbox: Inbox = SimpleQueue()
        self.worker = Worker(dsn=dsn, name="reads", inbox=self._inbox, prepare=read_raw)

    def answer(self) -> None:
        """Take in the next answer."""
        self._inbox.get(timeout=30)()

    def look(self, fetch: FetchAhead) -> None:
        """Open a window, or fail to."""
        wanted = fetch.wants_window()
        assert wanted is not None
        job = partial(look, reader=self.worker, wanted={PIPELINE_ID: wanted}, seen=fetch.seen)
        self.worker.submit(job, fetch.asks_window(PIPELINE_ID))
        self.answer()


@pytest.fixture
def waited(database18: Database) -> Iterator[Waited]:
    """The reader of a database with an outbox of thirty messages."""
    with database18.connect(autocommit=True) as connection:
        connection.execute("select tide.outbox_create('orders')")
        connection.execute("select tide.outbox_publish('orders', '{}') from generate_series(1, 30)")
    reader = Waited(database18.dsn)
    yield reader
    reader.worker.close(30)


def new_fetch(waited: Waited, sink: Sink) -> FetchAhead:
    fetch = FetchAhead(reader=waited.worker, outbox_id=OUTBOX_ID, batch_size=10, sink=sink)
    fetch.start(Position(prev="1:1:"))
    return fetch


def test_a_window_dies_with_its_connection_whoever_noticed_that_first(
    database18: Database, waited: Waited
) -> None:
    """Another pipeline met the broken connection and the reader made a new one: this window is read no further."""
    sink, other = Sink(), Sink()
    fetch = new_fetch(waited, sink)
    waited.look(fetch)
    fetch.fetch(room=1)
    waited.answer()
    assert len(sink.ids) == 10
    with database18.connect(autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'reads'"
        )
    for _ in range(2):
        waited.look(new_fetch(waited, other))
    assert len(other.failures) == 1
    fetch.fetch(room=1)
    waited.answer()
    assert len(sink.ids) == 10
    assert [type(error) for error in sink.failures] == [ConnectionChangedError]


def test_a_window_that_the_database_remembers_is_read_on_any_connection(
    database18: Database, waited: Waited
) -> None:
    """A successor begins in the middle of a window, with a reader that has no connection yet."""
    with database18.connect(autocommit=True) as connection:
        ((snapshot,),) = connection.execute("select pg_current_snapshot()::text").fetchall()
    sink = Sink()
    fetch = new_fetch(waited, sink)
    fetch.start(Position(prev="1:1:").open(snapshot, first_id=1, token=uuid4()).at(5))
    fetch.fetch(room=1)
    waited.answer()
    assert (sink.ids, sink.failures) == (list(range(6, 16)), [])
