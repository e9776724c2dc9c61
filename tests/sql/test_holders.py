"""`tide.holders` tells who keeps messages from being sent or dropped, and what ends it."""

from psycopg import sql

from fix_sql import Connect, Ring


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
