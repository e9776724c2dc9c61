"""A crash of the server takes back what was not flushed: transaction ids are handed out again.

The writer of the log sleeps for ten seconds in these servers, so that only what is waited for is flushed.
"""

from collections.abc import Iterator

import psycopg
import pytest

from database.reading import Scene
from fix_postgres import database_on
from fix_run import or_skip
from pg_tide_dev.databases import Database
from pg_tide_dev.postgres import PostgresServer, start_postgres
from pg_tide_dev.processes import Run
from pg_tide_relay.cursor import Position, snapshot_xmax

SETTINGS = {"wal_writer_delay": "10s", "autovacuum": "off"}


@pytest.fixture(scope="module", params=[15, 18], ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest, dev_run: Run) -> Iterator[PostgresServer]:
    """A server for the tests here, to be killed again and again."""
    started = or_skip(lambda: start_postgres(dev_run, request.param, durable=True, settings=SETTINGS))
    yield started
    started.kill()


@pytest.fixture
def scene(server: PostgresServer, templates: dict[str, Database]) -> Iterator[Scene]:
    """A group that has read everything, and one more message."""
    for database in database_on(server, templates):
        with Scene(database.dsn) as opened:
            opened.relay().drain()
            opened.admin.publish()
            yield opened


def crash(server: PostgresServer, scene: Scene) -> None:
    """Immediate stop, and start again; the scene's sessions and relays are gone."""
    server.kill()
    scene.close()
    server.start()
    scene.admin = scene.session()


def abort_one(scene: Scene) -> None:
    """A transaction that rolls back: nobody waits for its record in the log."""
    session = scene.begin()
    session.take_xid()
    session.rollback()


def test_hazard_02_a_remembered_snapshot_dies_with_the_connection(
    server: PostgresServer, scene: Scene
) -> None:
    """One aborted transaction and one settle, both unflushed; after the crash their ids are handed out again.

    A snapshot remembered from before calls the new user of such an id finished: its message is skipped for ever.
    The cursor read again from the database has it.
    """
    relay = scene.relay()
    relay.drain()
    abort_one(scene)
    assert not relay.open_window()
    remembered, kept = scene.snapshot(), relay.at
    crash(server, scene)
    assert snapshot_xmax(scene.snapshot()) < snapshot_xmax(remembered)
    lost = scene.admin.publish()
    naive = scene.relay()
    naive.position = Position(prev=remembered)
    scene.burn(10)
    assert naive.page() == []
    assert lost in scene.relay().drain()
    # An empty window was not remembered in the first place: even the relay's own memory would not have skipped it.
    naive.position = kept
    assert naive.page() == [lost]


def test_hazard_02_a_windows_place_in_the_log_is_flushed_before_its_first_message_is_handed_out(
    server: PostgresServer, scene: Scene
) -> None:
    """What the window's snapshot calls finished stays finished, also when nobody notices the crash.

    Behind a pooler an idle relay sees no broken connection; the end of its last window must be safe to remember.
    """
    relay = scene.relay()
    relay.acquire()
    abort_one(scene)
    (before,) = scene.admin.run("select pg_current_wal_insert_lsn()::text")[0]
    assert scene.admin.run("select pg_current_wal_flush_lsn() < %s::pg_lsn", [before]) == [(True,)]
    assert relay.open_window()
    assert scene.admin.run("select pg_current_wal_flush_lsn() >= %s::pg_lsn", [before]) == [(True,)]
    relay.fetch()
    kept = relay.at
    assert kept.cur is None
    crash(server, scene)
    assert snapshot_xmax(scene.snapshot()) >= snapshot_xmax(kept.prev)
    new = scene.admin.publish()
    remembering = scene.relay()
    remembering.position = kept
    assert remembering.page() == [new]


def test_hazard_04_a_message_of_an_asynchronous_publisher_survives(
    server: PostgresServer, scene: Scene
) -> None:
    """Publish raises synchronous_commit for its transaction, also inside a savepoint; the session's setting stays.

    A business row alone, written the same way, is lost: the server really forgets.
    """
    scene.admin.run("create table business (id int)")
    session = scene.session()
    session.run("set synchronous_commit = off")
    session.begin()
    ids = [session.publish()]
    session.commit()
    session.begin()
    session.savepoint("s")
    ids.append(session.publish())
    session.run("release savepoint s")
    session.commit()
    session.run("select tide.outbox_publish_batch('orders', array['1', '2']::jsonb[])")
    ids += [ids[-1] + 1, ids[-1] + 2]
    assert session.run("show synchronous_commit") == [("off",)]
    session.run("insert into business values (1)")
    crash(server, scene)
    assert scene.admin.run("select count(*) from business") == [(0,)]
    assert scene.relay().drain()[-4:] == ids


def test_hazard_04_nothing_that_was_handed_out_is_taken_back(server: PostgresServer, scene: Scene) -> None:
    """Not even of a transaction that turned synchronous_commit off after it had published."""
    relay = scene.relay()
    relay.drain()
    session = scene.begin()
    sent = session.publish("the one")
    session.run("set local synchronous_commit = off")
    session.commit()
    assert relay.page() == [sent]
    crash(server, scene)
    assert scene.admin.run(f"select payload from {scene.table} where id = %s", [sent]) == [('"the one"',)]
    assert scene.admin.publish() > sent


def test_a_broken_connection_is_an_error_once_and_made_anew(server: PostgresServer, scene: Scene) -> None:
    """What was asked on the lost connection fails; the next question is answered on a new one, by its number."""
    relay = scene.relay()
    relay.acquire()
    relay.page()
    number = relay.reader.connection
    server.kill()
    server.start()
    with pytest.raises(psycopg.OperationalError):
        relay.look()
    assert relay.look().snapshot
    assert relay.reader.connection == number + 1
