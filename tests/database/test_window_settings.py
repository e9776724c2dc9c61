"""Reading states its isolation level and its planner settings itself, whatever the database's defaults are."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from database.reading import Relay, Scene
from pg_tide_dev.databases import Database
from pg_tide_relay.postgres import Connection


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    """Three messages in a small, analysed table: the planner would scan and sort it."""
    with Scene(database.dsn) as opened:
        for number in range(3):
            opened.admin.publish(number)
        opened.admin.run(f"analyze {opened.table}")
        yield opened


def asked(relay: Relay, statement: str) -> Any:
    """The answer of the reading connection itself."""

    def job(conn: Connection) -> Any:
        row = conn.execute(statement.encode()).fetchone()
        return row and row[0]

    return relay.on(relay.reader, job)


def scans(scene: Scene, relay: Relay) -> tuple[int, int]:
    """Sequential scans and index scans of the outbox's slots so far."""
    asked(relay, "select pg_stat_force_next_flush()")
    asked(relay, "select 1")
    counted = f"""
        select coalesce(sum(t.seq_scan), 0)::int, coalesce(sum(t.idx_scan), 0)::int from pg_stat_user_tables t
         where t.relid in (select inhrelid from pg_inherits where inhparent = '{scene.table}'::regclass)"""
    (row,) = scene.admin.run(counted)
    return row[0], row[1]


def test_hazard_17_the_pins_are_in_force_inside_a_page_and_not_behind_it(scene: Scene) -> None:
    """Set for the transaction: a pooler gives the next one another connection, and this one to somebody else."""
    relay = scene.relay()
    relay.acquire()
    relay.open_window()
    before = scans(scene, relay)
    relay.fetch()
    after = scans(scene, relay)
    assert after[0] == before[0]
    assert after[1] > before[1]
    pinned = (
        "enable_seqscan",
        "enable_bitmapscan",
        "enable_sort",
        "jit",
        "max_parallel_workers_per_gather",
        "plan_cache_mode",
    )
    changed = (
        f"select count(*) from pg_settings where name = any('{{{','.join(pinned)}}}') and source = 'session'"
    )
    assert asked(relay, changed) == 0
    asked(relay, f"select id from {scene.table} where id > 0 order by id limit 10")
    assert scans(scene, relay)[0] > after[0]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_hazard_17_reading_takes_no_predicate_locks_whatever_the_default_isolation(
    scene: Scene, database: Database, isolation: str
) -> None:
    """READ COMMITTED is stated: publishers in serializable transactions never fail because of a relay."""
    scene.admin.run(f"alter database {database.name} set default_transaction_isolation = '{isolation}'")
    witness = scene.begin("serializable")
    witness.run("select count(*) from tide.outbox")
    witness.take_xid()
    relay = scene.relay(size=2)
    relay.drain()
    late = scene.begin("serializable")
    late.publish()
    scene.session().publish()
    relay.drain()
    late.commit()
    relay.drain()
    scene.admin.run("select tide.group_rewind('g', 'orders', to_id => 0)")
    relay.acquire()
    assert len(relay.drain()) == 5
    own = asked(relay, "show default_transaction_isolation")
    assert own == isolation
    reader = asked(relay, "select pg_backend_pid()")
    writer = relay.on(relay.writer, lambda conn: conn.info.backend_pid)
    held = "select count(*) from pg_locks where mode = 'SIReadLock' and pid = any(%s)"
    assert scene.admin.run(held, [[reader, writer]]) == [(0,)]
    asked(relay, f"select count(*) from {scene.table}")
    locked = scene.admin.run(held, [[reader, writer]]) != [(0,)]
    assert locked == (isolation == "serializable")


def test_hazard_17_windows_and_pages_may_run_on_different_connections(scene: Scene) -> None:
    """Behind a transaction pooler each transaction may: nothing but the position is carried from one to the next."""
    ids = [row[0] for row in scene.admin.run(f"select id from {scene.table} order by id")]
    relays = [scene.relay(size=1) for _ in range(3)]
    first = relays[0]
    first.acquire()
    for relay in relays[1:]:
        relay.owned = first.owned
    position, settled = first.at, first.at
    taking_turns = cycle(relays)
    more = True
    while more:
        relay = next(taking_turns)
        relay.position, relay.settled = position, settled
        more = relay.is_reading or relay.open_window()
        if more and relay.at == position:
            relay.fetch()
        position = relay.at
        other = next(taking_turns)
        other.settled = settled
        other.settle(position)
        settled = position
    assert sorted(row for relay in relays for row in relay.ids) == ids
