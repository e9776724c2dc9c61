"""Publishing as sessions see it: what a transaction leaves behind, two-phase commit, durability, locks."""

import psycopg
import pytest
from psycopg import sql

from fix_sql import Connect, Ring


def test_a_rolled_back_transaction_leaves_nothing(ring: Ring, connect: Connect) -> None:
    """The event never existed: no message, also for later readers, beside one that committed."""
    publisher = connect()
    publisher.execute("begin")
    ring.publish("never", connection=publisher)
    publisher.execute("rollback")
    ring.publish("kept")
    assert ring.messages() == ["kept"]


def test_an_open_transaction_shows_nothing(ring: Ring, connect: Connect) -> None:
    """A message is seen when its transaction has committed, with everything else that it wrote."""
    publisher = connect()
    publisher.execute("begin")
    ring.publish("a", connection=publisher)
    assert ring.messages() == []
    publisher.execute("commit")
    assert ring.messages() == ["a"]


def test_rolled_back_savepoints_leave_nothing(ring: Ring, connect: Connect) -> None:
    """Of nested savepoints what is released stays and what is rolled back goes."""
    publisher = connect()
    publisher.execute("begin")
    ring.publish("outer", connection=publisher)
    publisher.execute("savepoint one")
    ring.publish("released", connection=publisher)
    publisher.execute("savepoint two")
    ring.publish("never", connection=publisher)
    publisher.execute("rollback to two")
    publisher.execute("release one")
    publisher.execute("commit")
    assert ring.messages() == ["outer", "released"]
    assert ring.value("select count(distinct xid) from tide.message") == 1


def test_a_publish_that_fails_leaves_the_rest_of_an_exception_block(ring: Ring) -> None:
    """PL/pgSQL's exception block takes away what was published in it, and nothing before it."""
    ring.connection.execute(
        """
        do $$
        begin
          perform tide.outbox_publish('orders', '"before"');
          begin
            perform tide.outbox_publish('orders', '"inside"');
            perform tide.outbox_publish('orders', '"bad"', op => 'upsert');
          exception when sqlstate 'TD003' then
            perform tide.outbox_publish('orders', '"after"');
          end;
        end $$
        """
    )
    assert ring.messages() == ["before", "after"]


def test_two_phase_commit_publishes_and_rolls_back(ring: Ring, connect: Connect) -> None:
    """A message of a prepared transaction is there once it is committed, by whichever session."""
    publisher = connect()
    for gid, payload in (("one", "committed"), ("two", "rolled back")):
        publisher.execute("begin")
        ring.publish(payload, connection=publisher)
        publisher.execute(sql.SQL("prepare transaction {}").format(sql.Literal(gid)))
    publisher.close()
    assert ring.messages() == []
    ring.connection.execute("commit prepared 'one'")
    ring.connection.execute("rollback prepared 'two'")
    assert ring.messages() == ["committed"]


def test_synchronous_commit_is_raised_for_the_transaction_only(ring: Ring) -> None:
    """The session's own choice is in force again afterwards."""
    connection = ring.connection
    connection.execute("set synchronous_commit = off")
    connection.execute("begin")
    ring.publish("a")
    assert ring.value("show synchronous_commit") == "on"
    connection.execute("commit")
    assert ring.value("show synchronous_commit") == "off"
    ring.publish("b")
    assert ring.value("show synchronous_commit") == "off"


def test_an_asynchronous_publisher_waits_for_the_log(ring: Ring) -> None:
    """With synchronous_commit off everywhere a published message is flushed when its transaction returns."""
    connection = ring.connection
    connection.execute("set synchronous_commit = off")
    for number in range(20):
        before = ring.value("select pg_current_wal_insert_lsn()::text")
        ring.publish(str(number))
        assert ring.value("select pg_current_wal_flush_lsn() > %s::pg_lsn", before)


def test_a_publisher_in_any_isolation_level_publishes(ring: Ring, connect: Connect) -> None:
    """Publishing reads settings only; serializable publishers do not conflict with each other by it."""
    first, second = connect(), connect()
    for level in ("read uncommitted", "read committed", "repeatable read", "serializable"):
        first.execute(f"begin isolation level {level}")
        second.execute(f"begin isolation level {level}")
        ring.publish(level, connection=first)
        ring.publish(level, connection=second)
        first.execute("commit")
        second.execute("commit")
    assert len(ring.messages()) == 8


def test_a_read_only_session_is_refused(ring: Ring) -> None:
    """Also when the session, not the transaction, says so."""
    ring.connection.execute("set default_transaction_read_only = on")
    with pytest.raises(psycopg.Error) as caught:
        ring.publish("a")
    assert caught.value.sqlstate == "TD007"


def test_a_disabled_outbox_still_takes_what_began_before(ring: Ring, connect: Connect) -> None:
    """Disabling does not wait for open publishers, nor break them."""
    publisher = connect()
    publisher.execute("begin")
    ring.publish("open", connection=publisher)
    ring.connection.execute("select tide.outbox_disable('orders')")
    publisher.execute("commit")
    assert ring.messages() == ["open"]
    with pytest.raises(psycopg.Error) as caught:
        ring.publish("late")
    assert caught.value.sqlstate == "TD002"


def test_ids_of_concurrent_publishers_follow_who_waited(ring: Ring, connect: Connect) -> None:
    """Who publishes after it waited for the other's commit gets the larger id."""
    ring.connection.execute("create table entity (id integer primary key, n integer)")
    ring.connection.execute("insert into entity values (1, 0)")
    first, second = connect(), connect()
    first.execute("begin")
    second.execute("begin")
    second.execute("select pg_current_xact_id()")
    first.execute("update entity set n = 1")
    ring.publish("first", connection=first)
    first.execute("commit")
    second.execute("update entity set n = 2")
    ring.publish("second", connection=second)
    second.execute("commit")
    assert ring.messages() == ["first", "second"]
