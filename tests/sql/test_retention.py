"""Retention: delivered slots are emptied, nothing undelivered ever is, whoever else is at work."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from fix_sql import Connect, Ring

LATER = 48.1
NOT_DELIVERED = "group 'g' has not delivered all of it"
LOCKED = "it is being read or written: another session holds a lock on it"


def held_in(ring: Ring, slot: int, hours: float = LATER) -> str | None:
    """Why retention does not empty a slot; None when it did. Fails when it says nothing of the slot."""
    rows = {of: (action, reason) for of, action, reason in ring.retention(hours) if action != "rotated"}
    action, reason = rows[slot]
    assert action == ("held" if reason else "emptied")
    return reason


def test_a_delivered_slot_is_emptied_once_it_is_old(delivered: Ring) -> None:
    """Neither before its time nor with the messages of younger slots."""
    delivered.publish("young")
    assert delivered.retention(hours=47.9) == [(1, "rotated", None)]
    assert delivered.messages() == ["old", "young"]
    assert held_in(delivered, 0) is None
    assert delivered.messages() == ["young"]


def test_an_undelivered_slot_is_never_emptied(ring: Ring) -> None:
    """However old: one message that a group has not delivered keeps its slot."""
    ring.group("g")
    ring.publish("a", "b")
    ring.rotate()
    assert held_in(ring, 0, hours=100_000) == NOT_DELIVERED
    assert ring.messages() == ["a", "b"]


def test_every_group_counts(delivered: Ring) -> None:
    """One group has delivered all, another is left behind: the slot stays until both are past it."""
    delivered.group("left-behind")
    assert held_in(delivered, 0) == "group 'left-behind' has not delivered all of it"
    delivered.deliver("left-behind")
    assert held_in(delivered, 0) is None


def test_a_half_delivered_window_keeps_its_slot(ring: Ring) -> None:
    """A window that is open in the database is not delivered, not even up to its last id."""
    ring.group("g")
    ring.publish("a", "b")
    ring.rotate()
    ring.connection.execute(
        "update tide.cursor set cur = pg_current_snapshot(), first_id = 1, last_id = 1000000,"
        " window_token = gen_random_uuid(), stamp = pg_current_xact_id()::xid"
    )
    assert held_in(ring, 0) == NOT_DELIVERED


def test_one_slot_is_emptied_per_call(delivered: Ring) -> None:
    """TRUNCATE's lock is held to the end of the transaction, so a call takes one of them."""
    delivered.publish("young")
    delivered.rotate()
    delivered.deliver("g")
    assert [action for _, action, _ in delivered.retention(LATER)] == ["rotated", "emptied"]
    assert delivered.messages() == ["young"]
    assert [action for _, action, _ in delivered.retention(LATER)] == ["rotated", "emptied"]
    assert delivered.messages() == []


def test_an_outbox_that_is_held_does_not_hold_another(ring: Ring) -> None:
    """The one whose slot was closed first is held and named; the other's slot is emptied all the same."""
    other = Ring(ring.connection, "other")
    other.connection.execute("select tide.outbox_create('other', drop_without_group => true)")
    other.publish("y")
    ring.publish("x")
    ring.rotate()
    ring.connection.execute(
        "update tide.slot set closed_at = closed_at - interval '1 minute' where outbox_id = %s", [ring.number]
    )
    rows = ring.connection.execute(
        "select outbox, action from tide.retention_run(clock_timestamp() + interval '49 hours')"
        " where action <> 'rotated'"
    ).fetchall()
    assert rows == [("orders", "held"), ("other", "emptied")]
    assert ring.messages() == ["x"]
    assert other.messages() == []


# -- beside others --


def test_a_dump_that_runs_holds_its_slots_and_is_not_waited_for(delivered: Ring, connect: Connect) -> None:
    """pg_dump holds ACCESS SHARE on every table in one transaction: retention tries again later."""
    dump = connect()
    dump.execute("begin isolation level repeatable read, read only")
    dump.execute(sql.SQL("lock table {} in access share mode").format(delivered.table))
    delivered.connection.execute("set statement_timeout = '5s'")
    assert held_in(delivered, 0) == LOCKED
    assert delivered.messages() == ["old"]
    dump.execute("commit")
    assert held_in(delivered, 0) is None


def test_an_old_open_publisher_keeps_the_slot_it_wrote_to(ring: Ring, connect: Connect) -> None:
    """What it publishes may still commit; once it has, the message is undelivered, then delivered."""
    ring.group("g")
    publisher = connect()
    publisher.execute("begin")
    ring.publish("late", connection=publisher)
    ring.rotate()
    ring.deliver("g")
    assert held_in(ring, 0) == LOCKED
    publisher.execute("commit")
    assert held_in(ring, 0) == NOT_DELIVERED
    ring.deliver("g")
    assert held_in(ring, 0) is None
    assert ring.messages() == []


def test_a_message_that_commits_while_retention_looks_is_not_lost(ring: Ring, connect: Connect) -> None:
    """Retention's transaction began before the message committed; what it sees under the lock counts."""
    ring.group("g")
    publisher, retention = connect(), connect()
    publisher.execute("begin")
    ring.publish("late", connection=publisher)
    ring.rotate()
    ring.deliver("g")
    retention.execute("begin")
    assert retention.execute("select count(*) from tide.message").fetchone() == (0,)
    publisher.execute("commit")
    rows = ring.retention(LATER, connection=retention)
    retention.execute("commit")
    assert (0, "held", NOT_DELIVERED) in rows
    assert ring.messages() == ["late"]


def test_hazard_08_what_commits_between_the_first_look_and_the_lock_is_not_lost(
    ring: Ring, connect: Connect
) -> None:
    """Only the look under the lock counts: a late writer committed to the slot after the first one."""
    ring.group("g")
    writer, retention = connect(), connect()
    writer.execute("begin isolation level repeatable read")
    writer.execute("select count(*) from tide.outbox")
    ring.publish("old")
    ring.rotate()
    ring.deliver("g")
    ring.connection.execute("update tide.slot set closed_at = closed_at - interval '49 hours'")
    # The first look at the slot waits, with its answer, until the test lets it go on.
    ring.connection.execute(
        """
        do $do$ begin
          execute replace(pg_get_functiondef('tide._slot_held'::regproc), '_slot_held', '_slot_held_really');
        end $do$;
        create or replace function tide._slot_held(
          outbox tide.outbox, slot integer, out reason text, out consumer_group text, out cure text)
        language plpgsql as $$
        begin
          select r.* into reason, consumer_group, cure from tide._slot_held_really(outbox, slot) r;
          if current_setting('test.looked', true) is null then
            perform set_config('test.looked', 'once', false), pg_advisory_xact_lock(1);
          end if;
        end $$;
        select pg_advisory_lock(1)
        """
    )
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ring.retention, connection=retention)
        while not ring.value("select cardinality(pg_blocking_pids(%s)) > 0", retention.info.backend_pid):
            assert not waiting.done()
        ring.publish("late", connection=writer)
        writer.execute("commit")
        ring.connection.execute("select pg_advisory_unlock(1)")
        assert waiting.result() == [(0, "held", NOT_DELIVERED)]
    assert ring.messages() == ["old", "late"]


def test_a_prepared_transaction_keeps_the_slot_it_wrote_to(ring: Ring, connect: Connect) -> None:
    """Two-phase commit: the lock outlives the session."""
    ring.group("g")
    publisher = connect()
    publisher.execute("begin")
    ring.publish("prepared", connection=publisher)
    publisher.execute("prepare transaction 'orders 1'")
    publisher.close()
    ring.rotate()
    ring.deliver("g")
    assert held_in(ring, 0) == LOCKED
    ring.connection.execute("commit prepared 'orders 1'")
    assert held_in(ring, 0) == NOT_DELIVERED
    ring.deliver("g")
    assert held_in(ring, 0) is None


def late_writer(delivered: Ring, connect: Connect) -> None:
    """A publisher that saw slot 0 open writes to it after it was emptied."""
    publisher = connect()
    publisher.execute("begin isolation level repeatable read")
    publisher.execute("select count(*) from tide.outbox")
    delivered.rotate()
    delivered.rotate()
    assert held_in(delivered, 0) is None
    delivered.publish("late", connection=publisher)
    publisher.execute("commit")


def test_hazard_08_a_message_written_to_an_emptied_slot_is_found(ring: Ring, connect: Connect) -> None:
    """A publisher may have read the slot's number before the rotation: readers read all slots."""
    ring.group("g")
    ring.publish("old")
    ring.deliver("g")
    late_writer(ring, connect)
    assert ring.slots() == {0: ["late"]}
    assert ring.messages() == ["late"]


def test_a_slot_that_was_written_to_late_is_emptied_again(ring: Ring, connect: Connect) -> None:
    """It takes its turn like any other; it neither stays for ever nor makes the ring grow with every turn."""
    ring.group("g")
    ring.publish("old")
    ring.deliver("g")
    late_writer(ring, connect)
    for _ in range(20):
        ring.deliver("g")
        ring.retention(LATER)
    assert ring.messages() == []
    assert ring.value("select slots from tide.outbox") <= 5


def test_two_retentions_at_once_do_not_wait_for_each_other(delivered: Ring, connect: Connect) -> None:
    """One of them does the work, the other returns at once."""
    first, second = connect(), connect()
    first.execute("begin")
    assert [action for _, action, _ in delivered.retention(LATER, connection=first)] == ["rotated", "emptied"]
    second.execute("set statement_timeout = '5s'")
    assert delivered.retention(LATER, connection=second) == []
    first.execute("commit")
    assert delivered.messages() == []
    assert delivered.value("select slot from tide.outbox") == 2


# -- what else keeps a slot --


def test_a_replay_pass_keeps_what_it_still_has_to_send(delivered: Ring) -> None:
    """After a rewind everything from its target on is needed again, until the pass is past it."""
    first = delivered.value("select min(id) from tide.message")
    delivered.connection.execute("select tide.group_rewind('g', 'orders', to_id => %s)", [first])
    assert held_in(delivered, 0) == "group 'g' is sending it again"
    delivered.connection.execute(
        "update tide.cursor set replay_last = %s, stamp = pg_current_xact_id()::xid", [first]
    )
    assert held_in(delivered, 0) is None


def test_a_cursor_that_cannot_be_trusted_keeps_everything(delivered: Ring) -> None:
    """After a restore from a dump nobody knows what was delivered."""
    delivered.connection.execute("update tide.cursor set stamp = '7'")
    assert held_in(delivered, 0) == "the cursor of group 'g' cannot be trusted"
    delivered.connection.execute("select tide.group_rebase('g', 'orders')")
    delivered.deliver("g")
    assert held_in(delivered, 0) is None


def test_an_outbox_without_any_group_keeps_its_messages_unless_it_may_drop_them(ring: Ring) -> None:
    """Nobody reads yet: messages go only where drop_without_group says so."""
    ring.publish("old")
    ring.rotate()
    assert held_in(ring, 0) == "the outbox has no consumer group and drop_without_group is off"
    ring.connection.execute("select tide.outbox_alter('orders', drop_without_group => true)")
    assert held_in(ring, 0, LATER) is None
    assert ring.messages() == []


def test_drop_without_group_drops_nothing_that_a_group_needs(ring: Ring) -> None:
    """With a group it is the group that counts."""
    ring.connection.execute("select tide.outbox_alter('orders', drop_without_group => true)")
    ring.group("g")
    ring.publish("old")
    ring.rotate()
    assert held_in(ring, 0) == NOT_DELIVERED


def test_hazard_20_a_group_being_created_is_respected(ring: Ring, connect: Connect) -> None:
    """A group that starts `latest` in a long transaction misses nothing that commits after its start."""
    ring.group("g")
    publisher, creator = connect(), connect()
    publisher.execute("begin")
    ring.publish("late", connection=publisher)
    ring.rotate()
    creator.execute("begin")
    ring.group("new", start="latest", connection=creator)
    publisher.execute("commit")
    ring.deliver("g")
    ring.retention(LATER)
    creator.execute("commit")
    assert ring.messages() == ["late"]
    assert held_in(ring, 0) == "group 'new' has not delivered all of it"


def test_a_rewind_under_way_is_respected(delivered: Ring, connect: Connect) -> None:
    """What an uncommitted rewind has promised to send again is not dropped before it commits."""
    admin = connect()
    admin.execute("begin")
    admin.execute("select tide.group_rewind('g', 'orders', to_id => 1)")
    delivered.retention(LATER)
    admin.execute("commit")
    assert delivered.messages() == ["old"]


def test_a_publisher_is_not_stopped_by_retention_that_gives_up(delivered: Ring, connect: Connect) -> None:
    """The slot's lock is tried, not waited for; nothing is left of the try."""
    delivered.connection.execute("update tide.slot set closed_at = closed_at - interval '49 hours'")
    dump = connect()
    dump.execute("begin")
    dump.execute(sql.SQL("select 1 from {}").format(delivered.slot_table(0)))
    retention = connect()
    retention.execute("begin")
    assert delivered.retention(connection=retention) == [(0, "held", LOCKED)]
    delivered.connection.execute("set lock_timeout = '200ms'")
    delivered.publish("beside")
    reader = delivered.connection.execute(sql.SQL("select 1 from {}").format(delivered.slot_table(0)))
    assert reader.fetchall() == [(1,)]
    retention.execute("commit")


def test_emptying_a_slot_leaves_no_dead_rows(delivered: Ring) -> None:
    """The files of the slot and of its indexes are new and empty."""
    assert held_in(delivered, 0) is None
    size = sql.SQL("select pg_relation_size({}::regclass)").format(
        sql.Literal(delivered.slot_table(0).as_string(delivered.connection))
    )
    assert delivered.connection.execute(size).fetchone() == (0,)


def test_a_null_time_empties_nothing(delivered: Ring) -> None:
    """A time that is not known is no time at which messages are old."""
    with pytest.raises(psycopg.Error) as caught:
        delivered.connection.execute("select * from tide.retention_run(null)")
    assert caught.value.sqlstate == "TD006"


# -- what a rewind can still reach --


def rewind(ring: Ring, to_id: int) -> int:
    """The id that `tide.group_rewind` says it starts from."""
    return int(ring.value("select tide.group_rewind('g', 'orders', to_id => %s)", to_id))


def test_a_rewind_over_a_gap_is_refused(delivered: Ring, connect: Connect) -> None:
    """A dump held the older slot while a younger one was emptied: what is left is not all, and the call says so."""
    (old,) = delivered.connection.execute("select id from tide.message").fetchone() or (0,)
    delivered.publish("young")
    delivered.rotate()
    delivered.publish("youngest")
    delivered.deliver("g")
    delivered.connection.execute("update tide.slot set closed_at = closed_at - interval '49 hours'")
    dump = connect()
    dump.execute("begin")
    dump.execute(sql.SQL("lock table {} in access share mode").format(delivered.slot_table(0)))
    assert delivered.retention() == [(0, "held", LOCKED), (1, "emptied", None)]
    dump.execute("commit")
    assert delivered.messages() == ["old", "youngest"]
    for target in (old, old + 1):
        with pytest.raises(psycopg.Error) as caught:
            rewind(delivered, target)
        assert caught.value.sqlstate == "TD031"
        assert f"It holds all messages from id {old + 2} on" in (caught.value.diag.message_hint or "")
    with pytest.raises(psycopg.Error) as caught:
        delivered.connection.execute("select tide.group_rewind('g', 'orders', to_time => '-infinity')")
    assert caught.value.sqlstate == "TD031"
    assert rewind(delivered, old + 2) == old + 2


def test_emptying_an_empty_slot_refuses_no_rewind(delivered: Ring) -> None:
    """Nothing was dropped: every id can still be reached."""
    delivered.rotate()
    delivered.connection.execute(
        "update tide.slot set closed_at = closed_at - interval '49 hours' where slot = 1"
    )
    assert delivered.retention() == [(1, "emptied", None)]
    assert rewind(delivered, 1) == 1
