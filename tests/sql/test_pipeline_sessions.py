"""Configuring pipelines as sessions see it: notices, and two administrators at once."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.errors import Diagnostic

from fix_sql import CONFIG, Connect, Ring


def set_pipeline(connection: psycopg.Connection, pipeline: str, group: str, config: str = CONFIG) -> int:
    """What `tide.relay_set_outbox` returns."""
    row = connection.execute(
        "select tide.relay_set_outbox(%s, 'orders', %s, %s::jsonb)", [pipeline, group, config]
    ).fetchone()
    assert row is not None
    return int(row[0])


def heard(connection: psycopg.Connection) -> list[tuple[str | None, str | None]]:
    """Message and hint of each notice that the connection hears from now on."""
    notices: list[tuple[str | None, str | None]] = []

    def hear(notice: Diagnostic) -> None:
        notices.append((notice.message_primary, notice.message_hint))

    connection.add_notice_handler(hear)
    return notices


def wait_until_blocked(ring: Ring, connection: psycopg.Connection) -> None:
    """Return when the connection's backend waits for a lock."""
    while not ring.value("select cardinality(pg_blocking_pids(%s)) > 0", connection.info.backend_pid):
        pass


def test_changing_the_group_tells_what_becomes_of_the_old_one(ring: Ring) -> None:
    """A notice says that the old group stays and holds messages, and how to drop it."""
    notices = heard(ring.connection)
    set_pipeline(ring.connection, "p", "old")
    assert notices == []
    assert set_pipeline(ring.connection, "p", "new") == 2
    assert notices == [
        (
            "pipeline 'p' now drives group 'new'; group 'old' stays where it is and holds messages back from retention",
            "When it is no longer needed: select tide.group_drop('old', 'orders');",
        )
    ]
    ring.connection.execute("select tide.group_drop('old', 'orders')")


def test_warnings_of_a_configuration_are_notices(ring: Ring) -> None:
    """What relay_validate calls a warning is said, and does not refuse."""
    notices = heard(ring.connection)
    config = CONFIG.replace("order-events", "events.{outbox_id}")
    warnings = ring.connection.execute(
        "select format('%%s: %%s', path, message) from tide.relay_validate(%s::jsonb) where severity <> 'error'",
        [config],
    ).fetchall()
    assert warnings
    assert set_pipeline(ring.connection, "p", "g", config) == 1
    assert [(message,) for message, _ in notices] == warnings


def test_two_pipelines_that_take_one_group_at_once(ring: Ring, connect: Connect) -> None:
    """The second waits for the first and is told who drives the group."""
    for name in ("first", "second"):
        set_pipeline(ring.connection, name, f"group-of-{name}")
    set_pipeline(ring.connection, "third", "free")
    ring.connection.execute("select tide.relay_drop('third')")
    first, second = connect(), connect()
    first.execute("begin")
    set_pipeline(first, "first", "free")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(set_pipeline, second, "second", "free")
        wait_until_blocked(ring, second)
        first.execute("commit")
        with pytest.raises(psycopg.Error) as caught:
            waiting.result()
    assert caught.value.sqlstate == "TD023"
    assert caught.value.diag.message_primary == (
        "consumer group 'free' on outbox 'orders' is driven by pipeline 'first'"
    )


def test_a_group_that_a_pipeline_is_taking_is_not_dropped(ring: Ring, connect: Connect) -> None:
    """The drop waits for the pipeline and is refused by its name."""
    set_pipeline(ring.connection, "first", "free")
    ring.connection.execute("select tide.relay_drop('first')")
    taker, dropper = connect(), connect()
    taker.execute("begin")
    set_pipeline(taker, "second", "free")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(dropper.execute, "select tide.group_drop('free', 'orders')")
        wait_until_blocked(ring, dropper)
        taker.execute("commit")
        with pytest.raises(psycopg.Error) as caught:
            waiting.result()
    assert caught.value.sqlstate == "TD041"


def test_a_group_that_is_being_dropped_is_made_anew(ring: Ring, connect: Connect) -> None:
    """The pipeline waits for the drop, then makes its group."""
    set_pipeline(ring.connection, "first", "free")
    ring.connection.execute("select tide.relay_drop('first')")
    old = ring.value("select group_id from tide.consumer_group")
    taker, dropper = connect(), connect()
    dropper.execute("begin")
    dropper.execute("select tide.group_drop('free', 'orders')")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(set_pipeline, taker, "second", "free")
        wait_until_blocked(ring, taker)
        dropper.execute("commit")
        assert waiting.result() == 1
    assert ring.value("select group_id from tide.consumer_group") > old


def test_two_administrators_who_make_one_pipeline_at_once(ring: Ring, connect: Connect) -> None:
    """The second waits, then finds what the first made: the same arguments change nothing."""
    first, second = connect(), connect()
    first.execute("begin")
    assert set_pipeline(first, "p", "g") == 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(set_pipeline, second, "p", "g")
        wait_until_blocked(ring, second)
        first.execute("commit")
        assert waiting.result() == 1
    assert ring.value("select count(*) from tide.pipeline_change") == 1


def test_a_group_that_starts_latest_gets_what_commits_later(ring: Ring, connect: Connect) -> None:
    """Also from a transaction that published before the group was made and commits after it."""
    publisher = connect()
    publisher.execute("begin")
    ring.publish("open", connection=publisher)
    ring.publish("committed")
    ring.group("late", start="latest")
    publisher.execute("commit")
    unseen = ring.connection.execute(
        "select m.payload from tide.message m, tide.cursor c where not pg_visible_in_snapshot(m.xid, c.prev)"
    ).fetchall()
    assert unseen == [('"open"',)]


def test_a_cursor_made_in_a_savepoint_is_to_be_trusted(ring: Ring) -> None:
    """The stamp follows the savepoint's own transaction id, so no doubt arises."""
    connection = ring.connection
    connection.execute("begin")
    connection.execute("savepoint inner_one")
    set_pipeline(connection, "p", "g")
    connection.execute("release inner_one")
    connection.execute("commit")
    assert connection.execute("select doubt from tide.consumer_groups").fetchall() == [(None,)]
    connection.execute("begin")
    connection.execute("savepoint inner_one")
    connection.execute("select tide.group_skip('g', 'orders')")
    connection.execute("commit")
    assert connection.execute("select doubt from tide.consumer_groups").fetchall() == [(None,)]
