"""A cursor that speaks of another cluster's transactions: noticed, refused, and repaired by `tide.group_rebase`."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from database.reading import Scene
from fix_postgres import NewPostgres, install_schema
from fix_run import or_skip
from pg_tide_dev.databases import administrator, create_database, drop_database
from pg_tide_dev.postgres import LocalPostgres, PostgresServer, start_postgres
from pg_tide_dev.processes import Run
from pg_tide_relay.cursor import Position
from pg_tide_relay.settle import NotAcquired

FAR = 20_000
"""Transactions by which one cluster is ahead of the other."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A database restored from a dump, and what lay in the source."""

    scene: Scene
    delivered: list[int]
    undelivered: list[int]
    source_is_ahead: bool


def local(server: PostgresServer) -> LocalPostgres:
    assert isinstance(server, LocalPostgres)
    return server


def run(command: Sequence[str | Path], given: bytes = b"") -> bytes:
    """Run one of the server's own programs, as an administrator does, and return what it prints."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(command, check=True, capture_output=True, input=given, env=plain).stdout


def dump(source: PostgresServer, *, ahead: bool) -> tuple[bytes, list[int], list[int]]:
    """A dump of a database whose group is in the middle of a window, the ids it has delivered, and the others."""
    with administrator(source) as connection:
        connection.execute("drop database if exists shop with (force)")
        connection.execute("create database shop")
    install_schema(source.dsn("shop"))
    with Scene(source.dsn("shop")) as scene:
        if ahead:
            scene.burn(FAR)
        scene.add_group("other")
        relay = scene.relay(size=2)
        delivered = [scene.admin.publish(number) for number in range(3)]
        assert relay.drain() == delivered
        late = [scene.admin.publish(number) for number in range(5)]
        assert relay.page() == late[:2]
        relay.settle()
    text = run([local(source).binaries["pg_dump"], "--dbname", source.dsn("shop")])
    return text, delivered + late[:2], late[2:]


@pytest.fixture(scope="module")
def target(dev_run: Run) -> Iterator[PostgresServer]:
    """A cluster that has handed out few transaction ids, or FAR more than any source."""
    server = or_skip(lambda: start_postgres(dev_run, 18, own=True))
    with administrator(server) as connection:
        for role in ("tide_publisher", "tide_relay", "tide_admin", "tide_monitor"):
            connection.execute(f"create role {role}")
    yield server
    server.kill()


@pytest.fixture(scope="module", params=["15-ahead", "18-ahead", "15-behind", "18-behind"])
def dumped(
    request: pytest.FixtureRequest, dev_run: Run, target: PostgresServer
) -> tuple[bytes, list[int], list[int], bool]:
    """A dump of 15 or 18, made in a cluster whose transaction ids are far ahead of the target's or far behind."""
    major, place = str(request.param).split("-")
    source = or_skip(lambda: start_postgres(dev_run, int(major), own=True))
    made = dump(source, ahead=place == "ahead")
    source.kill()
    if place == "behind":
        with administrator(target) as connection:
            connection.execute(
                f"do $$ begin for i in 1 .. {2 * FAR} loop perform pg_current_xact_id(); commit; end loop; end $$"
            )
    return *made, place == "ahead"


@pytest.fixture
def restored(target: PostgresServer, dumped: tuple[bytes, list[int], list[int], bool]) -> Iterator[Restored]:
    """The dump, restored into a database of the test's own."""
    text, delivered, undelivered, ahead = dumped
    database = create_database(target)
    run(
        [local(target).binaries["psql"], "-q", "-1", "-v", "ON_ERROR_STOP=1", "--dbname", database.dsn],
        given=text,
    )
    with Scene(database.dsn, exists=True) as scene:
        yield Restored(scene=scene, delivered=delivered, undelivered=undelivered, source_is_ahead=ahead)
    drop_database(database)


def test_hazard_10_a_restored_cursor_is_not_trusted(restored: Restored) -> None:
    """Its row was not written by the transaction it names: nobody acquires, moves or empties anything by it."""
    scene = restored.scene
    answer = scene.relay().ask()
    assert isinstance(answer, NotAcquired)
    assert answer.doubt is not None
    assert "restored from a dump" in answer.doubt
    doubts = scene.admin.run("select consumer_group, doubt from tide.consumer_groups order by 1")
    assert doubts == [("g", answer.doubt), ("other", answer.doubt)]
    for call in ("group_rewind('g', 'orders', to_id => 1)", "group_skip('g', 'orders')"):
        with pytest.raises(psycopg.Error) as refused:
            scene.admin.run(f"select tide.{call}")
        assert refused.value.sqlstate == "TD032"
        assert "select tide.group_rebase('g', 'orders');" in str(refused.value.diag.message_hint)
    done = "select action, reason from tide.retention_run(clock_timestamp() + interval '48 hours')"
    scene.admin.run(done)
    assert ("held", "the cursor of group 'g' cannot be trusted") in scene.admin.run(done)


def test_hazard_10_reading_on_by_a_restored_cursor_would_lose_messages(restored: Restored) -> None:
    """Their xids lie in this cluster's future, or in the past of a snapshot that was taken here."""
    scene = restored.scene
    relay = scene.relay()
    relay.position = Position(prev=scene.snapshot())
    assert relay.page() == []
    row = scene.cursor()
    relay.position = Position(prev=row["prev"], cur=scene.snapshot(), first_id=0, last_id=row["last_id"])
    found = [] if restored.source_is_ahead else restored.undelivered
    assert relay.page() == found


def test_hazard_10_a_rebase_delivers_all_that_was_undelivered(restored: Restored) -> None:
    """From the chosen id on, and what is published from then on; each group is repaired by its own call."""
    scene = restored.scene
    rebase = "select tide.group_rebase(%s, 'orders', from_id => %s)"
    (repaired,) = scene.admin.run(rebase, ["g", restored.undelivered[0]])[0]
    assert repaired == (8 if restored.source_is_ahead else 0)
    new = scene.admin.publish()
    assert new == restored.undelivered[-1] + 1
    relay = scene.relay(size=2)
    assert relay.drain() == [*restored.undelivered, new]
    other = scene.relay(group_id=scene.group_named("other"))
    assert isinstance(other.ask(), NotAcquired)
    assert scene.admin.run(rebase, ["other", 0]) == [(0,)]
    assert other.drain() == [*restored.delivered, *restored.undelivered, new]


def test_hazard_10_a_rebase_takes_no_message_of_this_cluster_for_a_foreign_one(restored: Restored) -> None:
    """Messages published since the restore keep their xid, whether committed, uncommitted or of its own transaction."""
    scene = restored.scene
    committed = scene.admin.publish()
    open_then = scene.begin()
    uncommitted = open_then.publish()
    session = scene.begin()
    own = session.publish()
    session.run("select tide.group_rebase('g', 'orders', from_id => %s)", [restored.undelivered[0]])
    session.commit()
    relay = scene.relay()
    assert relay.drain() == [*restored.undelivered, committed, own]
    open_then.commit()
    assert relay.drain() == [uncommitted]
    kept = f"select count(*) from {scene.table} where id >= %s and xid = '3'"
    assert scene.admin.run(kept, [committed]) == [(0,)]


def test_hazard_10_a_new_group_on_a_restored_outbox_waits_for_the_repair(restored: Restored) -> None:
    """It names no foreign transaction itself, but messages do: it would pass them by and send them much later."""
    scene = restored.scene
    relay = scene.relay(group_id=scene.add_group("new"))
    answer = relay.ask()
    if restored.source_is_ahead:
        assert isinstance(answer, NotAcquired)
        assert answer.doubt is not None
        assert "messages of transactions that this server has not reached" in answer.doubt
        scene.admin.run("select tide.group_rebase('g', 'orders')")
    assert relay.drain() == restored.delivered + restored.undelivered


def test_a_message_of_the_asking_transaction_raises_no_doubt(new_postgres: NewPostgres) -> None:
    """Its transaction has not ended, and is at or above the snapshot's xmax: it is no stranger for that."""
    server = new_postgres(18)
    install_schema(server.dsn())
    with Scene(server.dsn()) as scene:
        session = scene.begin()
        ids = [session.publish()]
        session.run("select tide.group_rewind('g', 'orders', to_id => 0)")
        assert session.run("select doubt from tide.consumer_groups") == [(None,)]
        session.commit()
        assert scene.relay().drain() == ids


def test_a_rebase_of_a_good_cursor_sends_everything_again(new_postgres: NewPostgres) -> None:
    """It changes no message then, and loses none."""
    server = new_postgres(18)
    install_schema(server.dsn())
    with Scene(server.dsn()) as scene:
        late = scene.begin()
        late_id = late.publish()
        ids = [scene.admin.publish() for _ in range(3)]
        relay = scene.relay()
        relay.drain()
        assert scene.admin.run("select tide.group_rebase('g', 'orders')") == [(0,)]
        relay.acquire()
        assert relay.drain() == ids
        late.commit()
        assert relay.drain() == [late_id]


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_reset_transaction_counter_is_noticed_and_repaired(
    new_postgres: NewPostgres, dev_run: Run, major: int
) -> None:
    """pg_resetwal to a smaller xid: the cursor names transactions that this server has not reached.

    A group that was behind names none of them; the repair of another group's cursor must not pass it by.
    """
    server = new_postgres(major)
    install_schema(server.dsn())
    with Scene(server.dsn()) as scene:
        (before,) = scene.admin.run("select pg_snapshot_xmax(pg_current_snapshot())::text")[0]
        behind = scene.relay(group_id=scene.add_group("behind"))
        behind.drain()
        behind.release()
        scene.burn(FAR)
        ids = [scene.admin.publish() for _ in range(3)]
        relay = scene.relay()
        relay.drain()
        relay.release()
        scene.admin.run("vacuum freeze")
        scene.close()
    server.stop()
    reset: list[str | Path] = [local(server).binaries["pg_resetwal"], "-f", "-x", str(int(before) + 100)]
    dev_run.call([*reset, "-D", local(server).data])
    server.start()
    with Scene(server.dsn(), exists=True) as scene:
        answer = scene.relay().ask()
        assert isinstance(answer, NotAcquired)
        assert answer.doubt is not None
        assert "the transaction counter was reset" in answer.doubt
        behind = scene.relay(group_id=scene.group_named("behind"))
        assert isinstance(behind.ask(), NotAcquired)
        scene.admin.run("select tide.group_rebase('g', 'orders', from_id => %s)", [ids[-1]])
        new = scene.admin.publish()
        assert scene.relay().drain() == [ids[-1], new]
        assert behind.drain() == [*ids, new]
