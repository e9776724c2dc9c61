"""A settle is the only thing that moves a cursor, and only the owner's settle does."""

from dataclasses import replace
from uuid import uuid4

import pytest

from database.reading import Relay, Scene
from fix_postgres import NewPostgres, install_schema
from pg_tide_dev.databases import Database
from pg_tide_relay.settle import CursorLockedError, NotOwnerError


def in_a_window(scene: Scene, size: int = 2) -> Relay:
    """A relay that has read the first page of a window of five messages, and settled nothing of it."""
    relay = scene.relay(size=size)
    relay.drain()
    for _ in range(5):
        scene.admin.publish()
    assert len(relay.page()) == size
    return relay


def test_hazard_15_a_settle_within_a_window_leaves_its_snapshots_alone(scene: Scene) -> None:
    """They are written when the window changes: a settle is a small HOT update."""
    relay = in_a_window(scene)
    relay.settle()
    before = scene.cursor()
    relay.page()
    relay.settle()
    after = scene.cursor()
    changed = {column for column in after if after[column] != before[column]}
    assert changed == {"last_id", "settled_at", "stamp"}


def test_hazard_14_the_end_of_a_window_is_written(scene: Scene) -> None:
    """Else the last messages of a quiet outbox never count as delivered: prev moves to cur, and cur is gone."""
    relay = in_a_window(scene)
    relay.settle()
    cur = relay.at.cur
    assert scene.cursor()["cur"] == cur
    relay.drain()
    row = scene.cursor()
    assert (row["prev"], row["cur"], row["window_token"]) == (cur, None, None)
    held = f"select count(*) from {scene.table} where not pg_visible_in_snapshot(xid, %s::pg_snapshot)"
    assert scene.admin.run(held, [row["prev"]]) == [(0,)]


@pytest.mark.parametrize(
    "remembered",
    [
        {"token": uuid4()},
        {"epoch": 99},
        {"epoch": 0},
        {"generation": 99},
        {"generation": 0},
        {"timeline": 99},
        {"group_id": -1},
    ],
    ids=lambda changed: "-".join(map(str, changed)),
)
def test_a_settle_compares_all_that_it_remembers(scene: Scene, remembered: dict[str, int]) -> None:
    """Owner token, epoch, generation and timeline: one that differs and the row is not touched."""
    relay = in_a_window(scene)
    assert relay.owned is not None
    relay.owned = replace(relay.owned, **remembered)  # type: ignore[arg-type]
    before = scene.cursor()
    for wanted in (relay.at, relay.at.exhausted()):
        with pytest.raises(NotOwnerError):
            relay.settle(wanted)
    assert scene.cursor() == before


@pytest.mark.parametrize(
    "statement",
    [
        "select tide.group_rewind('g', 'orders', to_id => 0)",
        "select tide.group_skip('g', 'orders')",
        "select tide.group_rebase('g', 'orders')",
    ],
    ids=["rewind", "skip", "rebase"],
)
def test_an_administrators_move_stops_the_owners_settles(scene: Scene, statement: str) -> None:
    """What the owner remembers is not what the group wants any more; it reads the cursor again."""
    relay = in_a_window(scene)
    scene.admin.run(statement)
    before = scene.cursor()
    with pytest.raises(NotOwnerError):
        relay.settle()
    assert scene.cursor() == before
    relay.acquire()
    relay.settle()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_hazard_17_a_settle_that_meets_a_rewind_writes_nothing_whatever_the_default_isolation(
    database: Database, isolation: str
) -> None:
    """It does not wait for it: first the answer is "ask again", and once the rewind is committed it is no."""
    with database.connect(autocommit=True) as connection:
        connection.execute(
            f"alter database {database.name} set default_transaction_isolation = '{isolation}'"
        )
    with Scene(database.dsn) as scene:
        relay = in_a_window(scene)
        relay.settle()
        relay.page()
        administrator = scene.begin()
        administrator.run("select tide.group_rewind('g', 'orders', to_id => 1)")
        before = scene.cursor()
        with pytest.raises(CursorLockedError):
            relay.settle()
        assert scene.cursor() == before
        administrator.commit()
        with pytest.raises(NotOwnerError):
            relay.settle()
        relay.acquire()
        assert relay.at.replaying


def test_a_crash_takes_a_settle_back_and_what_it_covered_is_sent_again(new_postgres: NewPostgres) -> None:
    """A settle commits asynchronously: it may be lost, and then the window is read again."""
    server = new_postgres(18, settings={"wal_writer_delay": "10s"})
    install_schema(server.dsn())
    with Scene(server.dsn()) as scene:
        relay = in_a_window(scene)
        read = relay.ids
        relay.settle()
        relay.release()
        relay.acquire()
        relay.page()
        relay.settle()
        scene.close()
    server.kill()
    server.start()
    with Scene(server.dsn(), exists=True) as later:
        assert later.relay(size=2).drain() == [read[-1] + 1, read[-1] + 2, read[-1] + 3]
