"""`tide.holders` tells who keeps messages from being sent or dropped, and what ends it."""

from uuid import uuid4

import pytest
from psycopg import sql

from fix_sql import Connect, Ring
from waiting import eventually


def holders(ring: Ring, holds: str) -> list[tuple[object, ...]]:
    """Outbox, group, pid, user, database, cause and cure of what holds messages from being sent or dropped."""
    return ring.connection.execute(
        "select outbox, consumer_group, pid, username, database, cause, cure from tide.holders() where holds = %s"
        " and (pid is null or database = current_database())",
        [holds],
    ).fetchall()


def make_old(ring: Ring) -> None:
    """The closed slots are older than the retention."""
    ring.connection.execute("update tide.slot set closed_at = closed_at - interval '49 hours'")


def test_holders_names_the_session_that_keeps_its_own_messages(ring: Ring, connect: Connect) -> None:
    """An open transaction keeps nobody's messages from being sent but its own."""
    publisher = connect()
    publisher.execute("begin")
    ring.publish("open", connection=publisher)
    pid, user, database = publisher.info.backend_pid, publisher.info.user, publisher.info.dbname
    assert holders(ring, "its own messages") == [
        (
            None,
            None,
            pid,
            user,
            database,
            "transaction open in state idle in transaction",
            f"End it, or: select pg_terminate_backend({pid});",
        )
    ]
    publisher.execute("commit")
    assert holders(ring, "its own messages") == []


def test_holders_names_the_session_whose_lock_keeps_a_slot(delivered: Ring, connect: Connect) -> None:
    """A dump that runs for hours is named with its pid once a slot is due."""
    dump = connect()
    dump.execute("begin")
    dump.execute(sql.SQL("lock table {} in access share mode").format(delivered.slot_table(0)))
    assert holders(delivered, "retention") == []
    make_old(delivered)
    pid, user, database = dump.info.backend_pid, dump.info.user, dump.info.dbname
    assert holders(delivered, "retention") == [
        (
            "orders",
            None,
            pid,
            user,
            database,
            f"AccessShareLock lock on tide.message_{delivered.number}_0",
            f"End it, or: select pg_terminate_backend({pid});",
        )
    ]


def test_holders_names_the_prepared_transaction_that_keeps_a_slot(ring: Ring, connect: Connect) -> None:
    """It has no session; its name is what ends it, and ending it helps."""
    ring.group("g")
    publisher = connect()
    publisher.execute("begin")
    ring.publish("prepared", connection=publisher)
    publisher.execute("prepare transaction 'it''s 1'")
    ring.rotate()
    ring.deliver("g")
    make_old(ring)
    cure = "commit prepared 'it''s 1'; or rollback prepared 'it''s 1';"
    assert [(row[5], row[6]) for row in holders(ring, "its own messages")] == [
        ("transaction prepared as 'it''s 1'", cure)
    ]
    assert [(row[0], row[2], row[5], row[6]) for row in holders(ring, "retention")] == [
        (
            "orders",
            None,
            f"transaction prepared as 'it''s 1' holds a RowExclusiveLock lock on tide.message_{ring.number}_0",
            cure,
        )
    ]
    ring.connection.execute(cure.split("; or ")[1])
    assert holders(ring, "retention") == []
    assert ring.retention() == [(0, "emptied", None)]


def test_holders_names_the_group_that_is_left_behind(delivered: Ring) -> None:
    """The cure that it prints ends what holds the slot."""
    delivered.group("left-behind")
    delivered.connection.execute("select tide.relay_drop('left-behind')")
    make_old(delivered)
    assert [(row[0], row[1], row[5]) for row in holders(delivered, "retention")] == [
        ("orders", "left-behind", "group 'left-behind' has not delivered all of it")
    ]
    cure = str(holders(delivered, "retention")[0][6])
    assert cure == "Let it deliver, or drop it: select tide.group_drop('left-behind', 'orders');"
    delivered.connection.execute(cure.split(": ")[1])
    assert delivered.retention() == [(0, "emptied", None)]


# -- what keeps a pipeline from sending ----------------------------------------------------------------------


@pytest.fixture
def waiting(ring: Ring) -> Ring:
    """An outbox with one message, and a pipeline `g` that a relay owns and that is about to send it."""
    ring.group("g")
    ring.publish("waits")
    own(ring)
    assert holders(ring, "delivery") == []
    return ring


def own(ring: Ring, *, lease_ms: int = 600_000, takeover_ms: int = 600_000) -> None:
    """A relay that lives owns the pipeline."""
    token = uuid4()
    ring.connection.execute(
        "select tide._relay_seen('relay-1', %s, 'host', 1, '0.1.0', 0), "
        "tide._cursor_acquire(1, 0, %s, 'relay-1', %s, %s)",
        [token, token, lease_ms, takeover_ms],
    )
    # However slow the machine is.
    ring.connection.execute("update tide.relay set seen_at = clock_timestamp() + interval '1 hour'")


def the_delivery(ring: Ring) -> tuple[object, ...]:
    """The one reason for which the pipeline does not send: outbox, group, pid, cause, cure."""
    ((outbox, group, pid, _, _, cause, cure),) = holders(ring, "delivery")
    return outbox, group, pid, cause, cure


def test_holders_names_the_transaction_on_the_row_of_a_cursor(waiting: Ring, connect: Connect) -> None:
    """An administrator who rewound the group and did not commit; in a savepoint, too."""
    for savepoint in ("", "savepoint s; "):
        administrator = connect()
        administrator.execute(
            f"begin; {savepoint}select tide.group_rewind('g', 'orders', to_id => 1)".encode()
        )
        pid = administrator.info.backend_pid
        eventually(lambda: holders(waiting, "delivery"))
        assert the_delivery(waiting) == (
            "orders",
            "g",
            pid,
            "transaction open in state idle in transaction holds the row of the cursor",
            f"End it, or: select pg_terminate_backend({pid});",
        )
        administrator.execute("rollback")
        assert holders(waiting, "delivery") == []


def test_holders_names_the_prepared_transaction_on_the_row_of_a_cursor(
    waiting: Ring, connect: Connect
) -> None:
    administrator = connect()
    administrator.execute("begin; select tide.group_skip('g', 'orders'); prepare transaction 'skip'")
    try:
        eventually(lambda: holders(waiting, "delivery"))
        outbox, group, pid, cause, cure = the_delivery(waiting)
        assert (outbox, group, pid) == ("orders", "g", None)
        assert cause == "transaction prepared as 'skip' holds the row of the cursor"
        assert cure == "commit prepared 'skip'; or rollback prepared 'skip';"
    finally:
        waiting.connection.execute("rollback prepared 'skip'")
    assert holders(waiting, "delivery") == []


def test_holders_names_the_session_that_lets_nobody_read_an_outbox(waiting: Ring, connect: Connect) -> None:
    """A lock on the outbox's table or on one of its slots."""
    for table in (waiting.table, waiting.slot_table(1)):
        session = connect()
        session.execute("begin")
        session.execute(sql.SQL("lock table {} in access exclusive mode").format(table))
        pid = session.info.backend_pid
        waiting.connection.execute("set statement_timeout = '20s'")  # who asks does not wait for him
        eventually(lambda: holders(waiting, "delivery"))
        outbox, group, found, cause, _ = the_delivery(waiting)
        name = table.as_string(waiting.connection).replace('"', "")
        assert (outbox, group, found) == ("orders", None, pid)
        assert (
            cause == f"transaction open in state idle in transaction holds an AccessExclusiveLock on {name}"
        )
        session.execute("rollback")


def test_holders_names_the_lease_of_a_dead_relay_that_must_run_out(waiting: Ring) -> None:
    """Killed or paused: it has not been seen for a while, and a successor has to wait for its last requests."""
    seen = "update tide.relay set seen_at = clock_timestamp() - interval '11 seconds' returning seen_at::text"
    row = waiting.connection.execute(seen).fetchone()
    assert row is not None
    until = waiting.connection.execute(
        "select (lease_until + takeover_ms * interval '1 ms')::text from tide.cursor"
    ).fetchone()
    assert until is not None
    assert the_delivery(waiting) == (
        "orders",
        "g",
        None,
        f"relay 'relay-1' has not been seen since {row[0]}, and did not sign off: its lease must run out",
        f"Nothing: another relay, or the same one started again, goes on after {until[0]}.",
    )


def lapse(ring: Ring) -> None:
    """The lease is over, and what a successor waits beside it."""
    ring.connection.execute(
        "update tide.cursor set lease_until = clock_timestamp() - interval '1 hour', takeover_ms = 0,"
        " stamp = pg_current_xact_id()::xid"
    )


def test_holders_says_that_no_relay_runs_a_pipeline(waiting: Ring) -> None:
    """Whether one died long ago, or none was ever there."""
    cure = "Start one: pg-tide run. See tide.relays for those there were."
    lapse(waiting)
    assert the_delivery(waiting) == ("orders", "g", None, "no relay runs pipeline 'g'", cure)
    waiting.connection.execute(
        "update tide.cursor set owner_token = null, lease_until = null, stamp = pg_current_xact_id()::xid"
    )
    assert the_delivery(waiting)[3] == "no relay runs pipeline 'g'"


def test_holders_names_a_pipeline_that_is_disabled_or_in_error(waiting: Ring) -> None:
    """With the cure that helps; without messages that wait nobody is held."""
    waiting.connection.execute("select tide.relay_disable('g')")
    _, _, _, cause, cure = the_delivery(waiting)
    assert (cause, cure) == ("pipeline 'g' is disabled", "select tide.relay_enable('g');")
    waiting.connection.execute(str(cure))
    assert holders(waiting, "delivery") == []
    waiting.connection.execute(
        "select tide._pipeline_report(p.pipeline_id, 'relay-1', p.version, 'backing_off', 'destination', 'X',"
        " 'no topic', 'make it', null) from tide.pipeline p"
    )
    assert the_delivery(waiting)[3:] == ("no topic", "make it")
    waiting.connection.execute("select tide.group_skip('g', 'orders')")
    assert holders(waiting, "delivery") == []


def test_holders_names_a_cursor_that_can_not_be_trusted(waiting: Ring) -> None:
    """For the pipeline and for retention, with the statement that repairs it."""
    waiting.connection.execute("update tide.cursor set stamp = '1'")
    _, _, _, cause, cure = the_delivery(waiting)
    assert "cannot be trusted" in str(cause)
    assert str(cure).endswith("select tide.group_rebase('g', 'orders');")
    waiting.rotate()
    make_old(waiting)
    ((*_, cause, cure),) = holders(waiting, "retention")
    assert cause == "the cursor of group 'g' cannot be trusted"
    waiting.connection.execute(str(cure).split(": ", 1)[1])
    assert "cannot be trusted" not in str(holders(waiting, "delivery"))


def test_holders_names_a_replay_pass(delivered: Ring) -> None:
    """It keeps new messages waiting, and what it still has to send from being dropped."""
    own(delivered)
    delivered.connection.execute("select tide.group_rewind('g', 'orders', to_id => 1)")
    assert the_delivery(delivered)[3:] == (
        "it sends messages from id 1 on again, and has come to id 0",
        "Let it finish; see tide.lag.",
    )
    make_old(delivered)
    assert [(row[1], row[5], row[6]) for row in holders(delivered, "retention")] == [
        ("g", "group 'g' is sending it again", "Let it finish; see tide.lag.")
    ]
