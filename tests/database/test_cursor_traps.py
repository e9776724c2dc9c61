"""The faults of simpler cursors, each shown first and then not found in ours."""

import pytest

from database.reading import Scene, Session
from pg_tide_relay.cursor import Position


def test_a_late_commit_is_delivered(scene: Scene) -> None:
    """A message whose id is below one that was delivered before it committed is not lost; `id > last` loses it."""
    late, early = scene.begin(), scene.begin()
    first, second = late.publish(), early.publish()
    early.commit()
    relay = scene.relay()
    assert relay.drain() == [second]
    late.commit()
    assert scene.admin.run(f"select id from {scene.table} where id > %s", [second]) == []
    assert relay.drain() == [first]


def test_a_message_below_the_last_id_of_an_older_writer_is_delivered(scene: Scene) -> None:
    """A holds the older xid, B the smaller id, A commits first: an xmin filter with a cursor on the id loses B's."""
    a, b = scene.begin(), scene.begin()
    a.take_xid()
    b_id, a_id = b.publish(), a.publish()
    a.commit()
    naive = f"select id from {scene.table} where xid < pg_snapshot_xmin(pg_current_snapshot()) and id > %s"
    assert scene.admin.run(naive, [0]) == [(a_id,)]
    relay = scene.relay()
    assert relay.drain() == [a_id]
    b.commit()
    assert scene.admin.run(naive, [a_id]) == []
    assert relay.drain() == [b_id]


def test_an_early_xid_does_not_reverse_two_events_of_one_entity(scene: Scene) -> None:
    """A wrote an audit row first, then waited for B's lock: by (xid, id) its event would come before B's."""
    scene.admin.run("create table entity (id int primary key, n int)")
    scene.admin.run("insert into entity values (1, 0)")
    a, b = scene.begin(), scene.begin()
    a.take_xid()
    for session in (b, a):
        session.run("update entity set n = n + 1 where id = 1")
        (row,) = session.run("select n from entity where id = 1")
        session.publish(row[0])
        session.commit()
    by_xid = scene.admin.run(f"select payload::int from {scene.table} order by xid, id")
    assert by_xid == [(2,), (1,)]
    relay = scene.relay()
    relay.drain()
    assert relay.payloads == [1, 2]


def test_two_events_of_one_entity_keep_their_order_when_a_window_is_cut_between_them(scene: Scene) -> None:
    """The same with a window opened after each commit, and an unrelated writer open all the time."""
    scene.admin.run("create table entity (id int primary key, n int)")
    scene.admin.run("insert into entity values (1, 0)")
    unrelated = scene.begin()
    a, b = scene.begin(), scene.begin()
    a.take_xid()
    unrelated.take_xid()
    relay = scene.relay()
    relay.acquire()
    windows = []
    for session in (b, a):
        session.run("update entity set n = n + 1 where id = 1")
        (row,) = session.run("select n from entity where id = 1")
        session.publish(row[0])
        session.commit()
        before = len(relay.rows)
        relay.drain()
        windows.append(relay.payloads[before:])
    assert windows == [[1], [2]]


def test_transactions_at_and_above_a_snapshots_xmax_are_delivered(scene: Scene) -> None:
    """xmax is one past the latest *ended* xid: running transactions above it may have drawn their ids long ago.

    The sequence's value read before the snapshot is no lower bound for the next window's ids.
    """
    relay = scene.relay()
    relay.acquire()
    at, above, prev = unlisted(scene)
    sequence = scene.admin.run("select last_value from tide.message_id")[0][0]
    relay.settle(Position(prev=prev))
    relay.position = relay.settled
    for session in (at, above):
        session.commit()
    last = scene.session().publish()
    begun_after = f"select id from {scene.table} where xid >= pg_snapshot_xmax(%s::pg_snapshot) order by id"
    assert scene.admin.run(begun_after, [prev]) == [(last - 2,), (last - 1,), (last,)]
    assert last - 1 <= sequence
    assert relay.drain() == [last - 2, last - 1, last]


def unlisted(scene: Scene) -> tuple[Session, Session, str]:
    """Two publishers that have published and run on, and a snapshot whose xmax is the first one's xid.

    Tried again when a transaction of the server itself ended in between.
    """
    for _ in range(10):
        at, above = scene.begin(), scene.begin()
        xid = at.take_xid()
        above.publish()
        at.publish()
        prev = scene.snapshot()
        if int(prev.split(":")[1]) == xid:
            return at, above, prev
        at.rollback()
        above.rollback()
    pytest.fail("the server itself ends a transaction all the time")
