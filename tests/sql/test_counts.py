"""What publishing and settling cost, in rows and statements: counts, not seconds."""

import psycopg

from fix_sql import OWNER, Ring

MESSAGES = 20_000
BATCH = 100


def settle_all(connection: psycopg.Connection, settles: int) -> None:
    """A relay's work: windows of ten batches, one settle per batch in a transaction of its own."""
    acquired = connection.execute(
        "select group_id, epoch, generation, timeline from tide._cursor_acquire(1, 0, %s, 'test', 600000, 0)",
        [OWNER],
    ).fetchone()
    assert acquired is not None
    group_id, epoch, generation, timeline = acquired
    guard = [group_id, 0, OWNER, epoch, generation, timeline]
    for number in range(settles):
        if number % 10 == 0:
            row = connection.execute(
                "select tide._cursor_settle_window(%s, %s, %s, %s, %s, %s, '1:1:', pg_current_snapshot(), 0, 0, %s)",
                [*guard, OWNER],
            ).fetchone()
        else:
            row = connection.execute(
                "select tide._cursor_settle(%s, %s, %s, %s, %s, %s, %s, null, null)", [*guard, number]
            ).fetchone()
        assert row == (True,)


def statistics(connection: psycopg.Connection) -> dict[str, tuple[int, int, int, int]]:
    """(inserted, updated, updated in place (HOT), dead) of each table of the schema that has been written to."""
    connection.execute("select pg_stat_force_next_flush()")
    rows = connection.execute(
        "select relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_dead_tup from pg_stat_user_tables"
        " where schemaname = 'tide' and n_tup_ins + n_tup_upd + n_tup_del + n_dead_tup > 0"
    ).fetchall()
    return {name: (inserted, updated, hot, dead) for name, inserted, updated, hot, dead in rows}


def test_only_the_cursors_row_dies_and_its_updates_are_hot(ring: Ring) -> None:
    """20,000 messages published and settled: no dead row but the cursor's, more than 95 % of its updates HOT."""
    ring.group("g")
    before = statistics(ring.connection)
    for _ in range(MESSAGES // BATCH // 2):
        ring.connection.execute(
            "select tide.outbox_publish_batch('orders', array(select to_jsonb(n) from generate_series(1, 200) n))"
        )
    for number in range(50):
        ring.publish(str(number))
    settle_all(ring.connection, settles=MESSAGES // BATCH * 5)
    after = statistics(ring.connection)
    slot = f"message_{ring.number}_0"
    assert after[slot] == (MESSAGES + 50, 0, 0, 0)
    changed = {name for name, counts in after.items() if counts[1:] != before.get(name, (0, 0, 0, 0))[1:]}
    assert changed == {"cursor"}
    _, updated, hot, _ = after["cursor"]
    assert updated >= 1000
    assert hot / updated > 0.95


def begin(connection: psycopg.Connection) -> None:
    """Begin a transaction whose counts are its own."""
    connection.execute("select pg_stat_force_next_flush()")
    connection.execute("begin")


def accesses(connection: psycopg.Connection) -> dict[str, tuple[int, int, int, int]]:
    """(scans, inserted, updated, deleted) of the tables that the open transaction has touched."""
    rows = connection.execute(
        "select relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0), n_tup_ins, n_tup_upd, n_tup_del"
        "  from pg_stat_xact_user_tables where schemaname = 'tide'"
        "   and coalesce(seq_scan, 0) + coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd + n_tup_del > 0"
    ).fetchall()
    return {name: (scans, inserted, updated, deleted) for name, scans, inserted, updated, deleted in rows}


def test_a_publish_reads_one_row_and_writes_one(ring: Ring) -> None:
    """One look at the outbox, one insert: nothing is read or written but that, and nothing per slot."""
    slot = f"message_{ring.number}_0"
    ring.publish("warm")
    begin(ring.connection)
    ring.publish("a")
    assert accesses(ring.connection) == {"outbox": (1, 0, 0, 0), slot: (0, 1, 0, 0)}
    ring.connection.execute("commit")


def test_a_batch_reads_one_row_however_long_it_is(ring: Ring) -> None:
    """A thousand messages are one INSERT: the outbox is looked at once."""
    slot = f"message_{ring.number}_0"
    begin(ring.connection)
    ring.connection.execute(
        "select tide.outbox_publish_batch('orders', array(select to_jsonb(n) from generate_series(1, 1000) n))"
    )
    assert accesses(ring.connection) == {"outbox": (1, 0, 0, 0), slot: (0, 1000, 0, 0)}
    ring.connection.execute("commit")


def test_a_settle_touches_the_cursor_alone(ring: Ring) -> None:
    """One statement, one row; no other table is read or written for it."""
    ring.group("g")
    settle_all(ring.connection, settles=1)
    begin(ring.connection)
    ring.connection.execute(
        "select tide._cursor_settle(c.group_id, 0, c.owner_token, c.epoch, c.generation, c.timeline, 7, null, null)"
        " from (select * from tide.cursor) c"
    )
    touched = accesses(ring.connection)
    ring.connection.execute("commit")
    assert set(touched) == {"cursor"}
    assert touched["cursor"][1:] == (0, 1, 0)
