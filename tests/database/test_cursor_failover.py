"""What a promoted standby, a standby and a crash do to a cursor, and what must not be remembered then."""

from collections.abc import Callable
from functools import partial

import pytest

from database.reading import Scene, Session
from fix_postgres import NewPostgres, install_schema
from pg_tide_dev.postgres import PostgresServer
from pg_tide_dev.processes import attempts
from pg_tide_relay.poll import StandbyError, WindowWanted, open_windows
from pg_tide_relay.settle import NotOwnerError

MAJORS = pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")


def primary(new_postgres: NewPostgres, major: int) -> PostgresServer:
    server = new_postgres(major)
    install_schema(server.dsn())
    return server


def until(true: Callable[[], bool]) -> None:
    for _ in attempts(30, list):
        if true():
            return


def caught_up(scene: Scene, standby: Session) -> None:
    """Wait until the standby has replayed what the primary has written."""
    scene.admin.run("select tide._flush()")
    (row,) = scene.admin.run("select pg_current_wal_flush_lsn()::text")
    until(lambda: standby.run("select pg_last_wal_replay_lsn() >= %s::pg_lsn", row) == [(True,)])


def cut_off(standby: Session) -> None:
    """From now on the standby receives nothing."""
    standby.run("alter system set primary_conninfo = ''")
    standby.run("select pg_reload_conf()")
    until(lambda: standby.run("select count(*) from pg_stat_wal_receiver") == [(0,)])


@MAJORS
def test_a_standby_is_refused_by_windows_and_pages(new_postgres: NewPostgres, major: int) -> None:
    """Its snapshots call running transactions finished; and its pages may be short because it lags.

    A pooler or a list of hosts may lead each transaction elsewhere, so every transaction asks.
    """
    server = primary(new_postgres, major)
    with Scene(server.dsn()) as scene:
        scene.admin.publish()
        standby = server.standby()
        relay = scene.relay()
        relay.acquire()
        assert relay.open_window()
        elsewhere = scene.relay(dsn=standby.dsn())
        wanted = {1: WindowWanted(outbox_id=scene.outbox_id, prev="1:1:")}
        with pytest.raises(StandbyError, match="connect to the primary"):
            elsewhere.on(elsewhere.reader, partial(open_windows, wanted=wanted, seen=None))
        elsewhere.position = relay.at
        with pytest.raises(StandbyError):
            elsewhere.fetch()
        # People may look there: the views say nothing wrong of the cursor.
        caught_up(scene, scene.session(standby.dsn()))
        assert scene.session(standby.dsn()).run("select doubt from tide.consumer_groups") == [(None,)]
        standby.kill()


def test_hazard_03_a_cursor_read_again_from_a_promoted_standby_loses_nothing(
    new_postgres: NewPostgres,
) -> None:
    """The standby was behind: it never saw some messages, nor the settles that passed them. What it has arrives.

    The promoted server hands out the lost transactions' ids again: a remembered position would skip their messages.
    """
    server = primary(new_postgres, 18)
    with Scene(server.dsn()) as scene:
        relay = scene.relay()
        before = [scene.admin.publish() for _ in range(3)]
        assert relay.drain() == before
        standby = server.standby()
        watch = scene.session(standby.dsn())
        shared = [scene.admin.publish() for _ in range(3)]
        caught_up(scene, watch)
        cut_off(watch)
        lost = [scene.admin.publish() for _ in range(20)]
        assert relay.drain() == shared + lost
        ahead = relay.at
        scene.close()
        server.kill()
        standby.promote()
        promoted = scene.session(standby.dsn())
        again = [promoted.publish() for _ in range(3)]
        (hidden,) = promoted.run(
            f"select count(*) from {scene.table} where pg_visible_in_snapshot(xid, %s::pg_snapshot) and id = any(%s)",
            [ahead.prev, again],
        )
        assert hidden == (3,)
        successor = scene.relay(dsn=standby.dsn())
        assert successor.drain() == shared + again
        scene.close()
        standby.kill()


def test_hazard_03_a_settle_of_what_was_read_on_another_timeline_is_refused(
    new_postgres: NewPostgres,
) -> None:
    """Owner, epoch and generation are the same on the promoted server; its timeline is not."""
    server = primary(new_postgres, 18)
    with Scene(server.dsn()) as scene:
        relay = scene.relay(lease_ms=60_000)
        scene.admin.publish()
        relay.drain()
        standby = server.standby()
        caught_up(scene, scene.session(standby.dsn()))
        scene.admin.publish()
        assert relay.page()
        read = relay.at
        caught_up(scene, scene.session(standby.dsn()))
        scene.close()
        server.kill()
        standby.promote()
        remembering = scene.relay(dsn=standby.dsn())
        remembering.position, remembering.settled = read, relay.settled
        remembering.owned = relay.owned
        for wanted in (read, relay.settled):
            with pytest.raises(NotOwnerError):
                remembering.settle(wanted)
        scene.close()
        standby.kill()


def test_hazard_03_a_switchover_needs_nobody(new_postgres: NewPostgres) -> None:
    """Nothing was lost, only the timeline changed: the same relay acquires, and goes on where it was."""
    server = primary(new_postgres, 18)
    with Scene(server.dsn()) as scene:
        relay = scene.relay(size=2)
        relay.drain()
        ids = [scene.admin.publish() for _ in range(5)]
        assert relay.page() == ids[:2]
        relay.settle()
        standby = server.standby()
        caught_up(scene, scene.session(standby.dsn()))
        scene.close()
        server.stop()
        standby.promote()
        successor = scene.relay(dsn=standby.dsn(), size=2)
        acquired = successor.acquire()
        assert acquired.timeline == 2
        assert successor.drain() == ids[2:]
        scene.close()
        standby.kill()
