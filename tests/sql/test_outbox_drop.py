"""Dropping an outbox beside publishers: what commits is not lost without force, and nobody waits long."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from fix_sql import Connect, Ring

DROP = "select tide.outbox_drop('orders')"


def test_a_message_that_commits_while_the_drop_waits_is_not_lost(ring: Ring, connect: Connect) -> None:
    """The publisher began before the outbox was disabled; the drop sees its message under the lock."""
    publisher, dropper = connect(), connect()
    publisher.execute("begin")
    ring.publish("late", connection=publisher)
    ring.connection.execute("select tide.outbox_disable('orders')")
    # Longer than the 200 ms of the function: only this test may not hurry.
    ring.connection.execute("alter function tide.outbox_drop(text, boolean) set lock_timeout = '20s'")
    pid = dropper.info.backend_pid
    with ThreadPoolExecutor(1) as pool:
        drop = pool.submit(dropper.execute, DROP)
        while not ring.value("select cardinality(pg_blocking_pids(%s)) > 0", pid):
            assert not drop.done()
        publisher.execute("commit")
        with pytest.raises(psycopg.Error) as caught:
            drop.result()
    assert caught.value.sqlstate == "TD011"
    assert caught.value.diag.message_primary == "outbox 'orders' holds messages"
    assert ring.messages() == ["late"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_drop_without_force_needs_read_committed(ring: Ring, level: str) -> None:
    """An older snapshot cannot tell whether the outbox is empty."""
    ring.connection.execute("select tide.outbox_disable('orders')")
    ring.connection.execute(f"begin isolation level {level}")
    with pytest.raises(psycopg.Error) as caught:
        ring.connection.execute(DROP)
    assert caught.value.sqlstate == "TD040"
    assert caught.value.diag.message_primary == f"tide.outbox_drop was called in a {level} transaction"


@pytest.mark.parametrize("force", ["false", "true"])
def test_hazard_06_a_drop_gives_up_behind_an_open_publisher(ring: Ring, connect: Connect, force: str) -> None:
    """It waits 200 ms at most and raises lock_not_available; publishers of other outboxes wait no longer."""
    ring.connection.execute("select tide.outbox_create('other')")
    ring.connection.execute("select tide.outbox_create('doomed')")
    ring.connection.execute("select tide.outbox_disable('doomed')")
    publisher, dropper = connect(), connect()
    publisher.execute("begin")
    ring.publish("open", connection=publisher)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        drop = pool.submit(dropper.execute, f"select tide.outbox_drop('doomed', force => {force})")
        while not drop.done():
            before = time.monotonic()
            ring.connection.execute("select tide.outbox_publish('other', '{}')")
            assert time.monotonic() - before < 2
        with pytest.raises(psycopg.errors.LockNotAvailable):
            drop.result()
        assert time.monotonic() - began < 5
    publisher.execute("commit")
    ring.connection.execute(f"select tide.outbox_drop('doomed', force => {force})")
    assert ring.value("select count(*) from tide.outbox where name = 'doomed'") == 0


def test_messages_of_other_outboxes_survive_a_drop(ring: Ring) -> None:
    """Dropping one outbox touches no other."""
    ring.publish("kept")
    ring.connection.execute("select tide.outbox_create('doomed')")
    ring.connection.execute("select tide.outbox_publish('doomed', '{}')")
    ring.connection.execute("select tide.outbox_drop('doomed', force => true)")
    assert ring.messages() == ["kept"]
