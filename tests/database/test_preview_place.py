"""Where `pg-tide preview` begins, and that it leaves no trace: no lock, no xid, nothing moved."""

import json

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from database.previewing import PIPELINE, call, configure, ids, preview, published, state, takes_no_xid
from database.reading import Scene
from fix_postgres import NewPostgres, install_schema
from fix_sql import Logins
from pg_tide_dev.databases import Database
from pg_tide_relay.peek import peek

pytestmark = pytest.mark.usefixtures("quiet_logs")


def test_it_begins_where_the_cursor_stands_and_shows_five_unless_told_otherwise(scene: Scene) -> None:
    relay = scene.relay()
    published(scene, 1, 2, 3)
    relay.drain()
    waiting = published(scene, *range(7))
    assert ids(scene) == waiting[:5]
    assert ids(scene, "--limit", "2") == waiting[:2]
    assert ids(scene, "--limit", "100") == waiting


def test_a_group_that_starts_at_the_end_shows_only_what_came_later(scene: Scene) -> None:
    published(scene, 1)
    scene.add_group("late", "latest")
    waiting = published(scene, 2)
    assert ids(scene, pipeline="orders to late") == waiting


def test_in_the_middle_of_a_window_it_goes_on_there_and_then_past_its_end(scene: Scene) -> None:
    """What is settled is not shown; what committed after the window's snapshot comes behind the window."""
    first = published(scene, *range(5))
    relay = scene.relay(size=2)
    relay.acquire()
    assert relay.page() == first[:2]
    relay.settle()
    later = published(scene, *range(3))
    assert ids(scene, "--limit", "100") == first[2:] + later
    assert ids(scene, "--limit", "4") == first[2:] + later[:1]
    assert relay.drain() == first[2:] + later


def test_a_straggler_is_shown_where_the_relay_would_send_it(scene: Scene) -> None:
    """Its transaction was open when the last window ended; one still open is not shown."""
    late, open_one = scene.begin(), scene.begin()
    straggler = late.publish("late")
    open_one.publish("open")
    relay = scene.relay()
    first = published(scene, 1, 2)
    assert relay.drain() == first
    assert ids(scene) == []
    late.commit()
    later = published(scene, 3)
    assert ids(scene) == [straggler, *later]
    assert relay.drain() == [straggler, *later]


def test_in_a_replay_pass_it_shows_the_rest_of_the_pass_and_then_what_is_new(scene: Scene) -> None:
    done = published(scene, *range(5))
    relay = scene.relay(size=1)
    relay.drain()
    scene.admin.run("select tide.group_rewind('g', 'orders', to_id => %s)", [done[1]])
    new = published(scene, 5)
    assert ids(scene, "--limit", "100") == done[1:] + new
    relay.acquire()
    assert relay.page() == [done[1]]
    relay.settle()
    assert ids(scene, "--limit", "100") == done[2:] + new
    assert relay.drain() == done[2:] + new


def test_from_an_id_on_whatever_the_outbox_holds_is_shown(scene: Scene) -> None:
    """Sent or not; what is not committed is not there."""
    done = published(scene, 1, 2, 3)
    relay = scene.relay()
    relay.drain()
    scene.begin().publish("open")
    waiting = published(scene, 4)
    assert ids(scene, "--from", str(done[1])) == done[1:] + waiting
    assert ids(scene, "--from", "0", "--limit", "2") == done[:2]
    assert ids(scene) == waiting


def test_a_page_that_is_cut_by_its_bytes_does_not_end_the_preview(scene: Scene) -> None:
    waiting = published(scene, *["x" * 900_000] * 7)
    assert ids(scene, "--limit", "6") == waiting[:6]


def test_nothing_moves_is_locked_or_takes_an_xid(scene: Scene) -> None:
    """A session that holds the cursor's row does not stop it either."""
    configure(scene, transform={"filter": "n > `1`"})
    published(scene, {"n": 1}, {"n": 2}, {"n": 3})
    relay = scene.relay(size=2)
    relay.acquire()
    relay.page()
    relay.settle()
    before = state(scene)
    assert takes_no_xid(scene, lambda: preview(scene))
    assert takes_no_xid(scene, lambda: preview(scene, "--from", "0"))
    assert state(scene) == before
    holder = scene.begin()
    holder.run("select from tide.cursor for update")
    assert preview(scene).exit_code == 0
    holder.rollback()
    relay.renew()
    assert len(relay.drain()) == 1


def test_it_reads_in_a_read_only_transaction_at_one_snapshot(scene: Scene) -> None:
    """The server itself refuses any write of it, and what commits meanwhile does not come in between."""
    waiting = published(scene, 1)
    with psycopg.connect(scene.dsn) as conn:
        assert [row[0] for row in peek(conn, PIPELINE, 10).rows] == waiting
        published(scene, 2)
        settings = "select current_setting('transaction_read_only'), current_setting('transaction_isolation')"
        assert conn.execute(settings).fetchone() == ("on", "repeatable read")
        count = SQL("select count(*) from {}").format(Identifier("tide", f"message_{scene.outbox_id}"))
        assert conn.execute(count).fetchone() == (1,)


def test_the_rights_of_a_relay_suffice(database: Database, logins: Logins) -> None:
    """Those of a monitor do not, and it says what is missing and how to get it."""
    with Scene(database.dsn) as scene:
        waiting = published(scene, 1)
        relay, monitor, nobody = logins.create(), logins.create(), logins.create()
        scene.admin.run("select tide.role_grant('relay', %s)", [relay])
        scene.admin.run("select tide.role_grant('monitor', %s)", [monitor])
        dsn = {
            role: psycopg.conninfo.make_conninfo(database.dsn, user=role, password=role)
            for role in (relay, monitor, nobody)
        }
        assert ids(scene, dsn=dsn[relay]) == waiting
        for role, missing in (
            (monitor, "permission denied for table"),
            (nobody, "permission denied for schema tide"),
        ):
            refused = preview(scene, dsn=dsn[role])
            assert (refused.exit_code, refused.stdout) == (1, "")
            assert missing in refused.stderr
            assert "tide.role_grant('relay', '<role>')" in refused.stderr


def test_a_cursor_that_cannot_be_trusted_is_refused_as_a_relay_refuses_it(scene: Scene) -> None:
    published(scene, 1)
    scene.admin.run("update tide.cursor set settled_at = now()")
    refused = preview(scene)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert (
        "the cursor of group 'g' on outbox 'orders' can't be trusted: its row was not written by"
        in refused.stderr
    )
    assert "tide.group_rebase" in refused.stderr


def test_a_database_without_the_schema_is_told(empty_database: Database) -> None:
    refused = call(empty_database.dsn, PIPELINE)
    assert (refused.exit_code, refused.stdout) == (78, "")
    assert "pg-tide is not installed" in refused.stderr
    assert "pg-tide install" in refused.stderr


def test_a_standby_is_refused(new_postgres: NewPostgres) -> None:
    """Its snapshots call running transactions finished: it would show what a relay would not send."""
    primary = new_postgres(18)
    install_schema(primary.dsn())
    standby = primary.standby()
    try:
        with Scene(primary.dsn()) as scene:
            refused = preview(scene, dsn=standby.dsn())
    finally:
        standby.kill()
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "the server is a standby" in refused.stderr


def test_a_locked_outbox_is_temporary(scene: Scene) -> None:
    """Whoever drops an outbox in an open transaction is waited for shortly."""
    published(scene, 1)
    holder = scene.begin()
    holder.run(f"lock table {scene.table} in access exclusive mode")
    result = preview(scene)
    assert result.exit_code == 75
    holder.rollback()
    assert json.loads(preview(scene, "-o", "json").stdout)["pipeline"] == PIPELINE
