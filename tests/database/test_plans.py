"""The planner does not choose: the relay's reading statements, explained under statistics that mislead it.

Each is run as the relay sends it, with the pins before it in its transaction. A plan must use the right index, scan
nothing else, sort nothing of the table, and touch no more rows than it returns. For each rule there is the simpler
form that breaks it under the same statistics.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from database.reading import Scene, Session
from fix_postgres import database_on
from pg_tide_dev.databases import Database
from pg_tide_dev.postgres import PostgresServer
from pg_tide_sql.statements import statement

ROWS = 100_000
SIZE = 1_000
SLACK = 10  # rows: one look ahead per slot and the like

NAIVE_FIRST_ID = """
select min(id) from {table}
 where xid >= pg_snapshot_xmax(%(prev)s::pg_snapshot) and xid < pg_snapshot_xmax(%(cur)s::pg_snapshot)"""

NAIVE_PAGE = """
select id, payload from {table}
 where xid >= pg_snapshot_xmin(%(prev)s::pg_snapshot) and not pg_visible_in_snapshot(xid, %(prev)s::pg_snapshot)
   and pg_visible_in_snapshot(xid, %(cur)s::pg_snapshot) and id > %(last_id)s::bigint
 order by id limit %(size)s"""

NAIVE_UNION = """
select id, payload from {table}
 where id > %(last_id)s::bigint and pg_visible_in_snapshot(xid, %(cur)s::pg_snapshot)
   and (xid >= pg_snapshot_xmax(%(prev)s::pg_snapshot) or xid = any(%(running)s::xid8[]))
 order by id limit %(size)s"""


@dataclass
class Plan:
    """What an executed plan did."""

    nodes: list[str] = field(default_factory=list)
    indexes: set[str] = field(default_factory=set)  # without the numbers of outbox and slot
    touched: int = 0  # rows read from tables, returned or not
    sorted_scans: int = 0  # scans that feed a sort without a limit in between

    def take_in(self, node: dict[str, Any], under_sort: bool = False) -> None:
        """Add a node and all below it."""
        kind = node["Node Type"]
        self.nodes.append(kind)
        if "Relation Name" in node or kind == "Bitmap Index Scan":
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            self.touched += round((node["Actual Rows"] + removed) * node["Actual Loops"])
            self.sorted_scans += under_sort
        if "Index Name" in node:
            self.indexes.add(re.sub(r"^message_\d+_\d+_", "", node["Index Name"]))
        for below in node.get("Plans", []):
            self.take_in(below, (under_sort or "Sort" in kind) and kind != "Limit")

    def check(self, *, index: str, touches: int) -> None:
        """Raise where the plan breaks a rule."""
        refused = [kind for kind in self.nodes if kind.startswith(("Seq", "Bitmap", "Gather", "Parallel"))]
        assert not refused, refused
        assert self.indexes == {index}
        assert self.sorted_scans == 0
        assert self.touched <= touches + SLACK, self.touched


def explained(session: Session, text: str, values: dict[str, Any], *, pinned: bool = True) -> Plan:
    """Prepare, plan once for all values, execute, and take the plan apart."""
    names: list[str] = []

    def number(place: re.Match[str]) -> str:
        if place[1] not in names:
            names.append(place[1])
        return f"${names.index(place[1]) + 1}"

    prepared = re.sub(r"%\((\w+)\)s", number, text)
    session.begin()
    session.run(statement("pins") if pinned else "set local plan_cache_mode = force_generic_plan")
    session.connection.execute(f"prepare page as {prepared}".encode())
    literals = ", ".join(f"'{values[name]}'" for name in names)
    explain = f"explain (analyze, format json) execute page ({literals})"
    ((found,),) = session.connection.execute(explain.encode()).fetchall()
    session.run("deallocate page")
    session.commit()
    plan = Plan()
    plan.take_in(found[0]["Plan"])
    return plan


def fill(scene: Scene) -> None:
    """Messages of one transaction, as a bulk load makes them."""
    scene.admin.run(
        f"insert into {scene.table} (outbox_id, slot, op, payload)"
        f" select {scene.outbox_id}, 0, 'insert', repeat('x', 100) from generate_series(1, {ROWS})"
    )


@pytest.fixture(scope="module", params=["never analysed", "analysed when empty", "analysed when full"])
def scene(
    request: pytest.FixtureRequest, pg: PostgresServer, templates: dict[str, Database]
) -> Iterator[Scene]:
    """An outbox whose messages nearly all have one xid, and statistics as bad as they come."""
    for database in database_on(pg, templates):
        with Scene(database.dsn) as opened:
            slots = opened.admin.run(
                f"select inhrelid::regclass::text from pg_inherits where inhparent = '{opened.table}'::regclass"
            )
            for (slot,) in slots:
                opened.admin.run(f"alter table {slot} set (autovacuum_enabled = off)")
            if request.param == "analysed when empty":
                opened.admin.run(f"analyze {opened.table}")
            fill(opened)
            if request.param == "analysed when full":
                opened.admin.run(f"analyze {opened.table}")
            yield opened


def backlog(scene: Scene) -> dict[str, Any]:
    """A window that holds all of it, read to the middle."""
    return values_of(scene, prev="1:1:", last_id=ROWS // 2, first_id=1)


def small_window(scene: Scene) -> dict[str, Any]:
    """All of it was delivered; ten messages are new, and one of an old writer that is still open came late."""
    old = scene.begin()
    straggler = old.publish()
    scene.burn(1)
    prev = scene.snapshot()
    first = min([scene.admin.publish() for _ in range(10)])
    old.commit()
    values = values_of(scene, prev=prev, last_id=0, first_id=first)
    assert values["running"] != "{}"
    assert straggler < first
    return values


def values_of(scene: Scene, *, prev: str, last_id: int, first_id: int) -> dict[str, Any]:
    running = prev.split(":")[2]
    if not running:
        ((running,),) = scene.admin.run(f"select min(xid)::text from {scene.table}")
    return {
        "prev": prev,
        "cur": scene.snapshot(),
        "first_id": first_id,
        "last_id": last_id,
        "replay_last": last_id,
        "size": SIZE,
        "bytes": 2**40,
        "running": "{" + running + "}",
    }


def test_the_first_id_is_found_by_the_windows_xids(scene: Scene) -> None:
    """As many index entries as the window has messages, whatever was delivered before."""
    text = statement("window_first_id").format(table=scene.table)
    ((count,),) = scene.admin.run(f"select count(*) from {scene.table}")
    explained(scene.admin, text, backlog(scene)).check(index="xid_id", touches=count)
    explained(scene.admin, text, small_window(scene)).check(index="xid_id", touches=10)


def test_a_page_of_a_backlog_reads_its_own_rows_only(scene: Scene) -> None:
    """By id, from where the last page ended."""
    text = statement("page_main").format(table=scene.table)
    explained(scene.admin, text, backlog(scene)).check(index="id", touches=SIZE)


def test_a_page_of_a_small_window_starts_at_its_first_id(scene: Scene) -> None:
    """What was delivered before is not walked through."""
    text = statement("page_main").format(table=scene.table)
    explained(scene.admin, text, small_window(scene)).check(index="id", touches=10)


def test_stragglers_are_found_by_their_xid(scene: Scene) -> None:
    """One probe for each transaction that was running; what is sorted is what the probes have cut to a page."""
    for name in ("page_stragglers", "window_stragglers"):
        text = statement(name).format(table=scene.table)
        explained(scene.admin, text, small_window(scene)).check(index="xid_id", touches=1)
    text = statement("page_stragglers").format(table=scene.table)
    explained(scene.admin, text, backlog(scene)).check(index="xid_id", touches=SIZE)


def test_a_page_of_a_replay_pass_reads_its_own_rows_only(scene: Scene) -> None:
    """By id, like a page of a window."""
    values = backlog(scene)
    text = statement("page_replay").format(table=scene.table)
    explained(scene.admin, text, values | {"prev": values["cur"]}).check(index="id", touches=SIZE)


def test_without_id_plus_0_the_first_id_walks_all_that_was_delivered(scene: Scene) -> None:
    """The planner takes min(id) from the bottom of the id index until something matches."""
    plan = explained(scene.admin, NAIVE_FIRST_ID.format(table=scene.table), small_window(scene))
    with pytest.raises(AssertionError):
        plan.check(index="xid_id", touches=10)
    assert plan.touched > ROWS


def test_one_statement_for_both_halves_walks_all_that_was_delivered(scene: Scene) -> None:
    """Stragglers may lie anywhere: ordered by id with the rest, everything has to be looked at, pinned or not."""
    plan = explained(scene.admin, NAIVE_UNION.format(table=scene.table), small_window(scene))
    with pytest.raises(AssertionError):
        plan.check(index="id", touches=11)
    assert plan.touched > ROWS


def test_a_page_from_the_oldest_running_transaction_on_reads_all_that_came_since(database: Database) -> None:
    """The naive form costs that on every page as long as one old writer is open."""
    with Scene(database.dsn) as scene:
        old = scene.begin()
        old.take_xid()
        fill(scene)
        values = small_window(scene)
        plan = explained(scene.admin, NAIVE_PAGE.format(table=scene.table), values)
        assert plan.touched > ROWS
        text = statement("page_main").format(table=scene.table)
        explained(scene.admin, text, values).check(index="id", touches=10)


def test_without_the_pins_statistics_of_an_empty_table_sort_the_whole_window(database: Database) -> None:
    """For every page: the pins are what keeps the plan."""
    with Scene(database.dsn) as scene:
        scene.admin.run(f"analyze {scene.table}")
        fill(scene)
        text = statement("page_main").format(table=scene.table)
        plan = explained(scene.admin, text, backlog(scene), pinned=False)
        with pytest.raises(AssertionError):
            plan.check(index="id", touches=SIZE)


def test_with_200_outboxes_a_page_locks_the_tables_of_its_own(database18: Database) -> None:
    """Through the common parent it locks every slot of every outbox, and their indexes."""
    with Scene(database18.dsn) as scene:
        scene.admin.run(
            "select tide.outbox_create('outbox ' || n, slots => 3) from generate_series(1, 199) n"
        )
        fill(scene)
        values = values_of(scene, prev="1:1:", last_id=0, first_id=1)
        text = statement("page_main")
        explained(scene.admin, text.format(table=scene.table), values).check(index="id", touches=SIZE)
        own, parent = (
            locks_of(scene, text.format(table=table), values) for table in (scene.table, "tide.message")
        )
        # The table, its slots, the two indexes of each, and the parent for its constraint.
        assert own <= 1 + 3 + 2 * 4 + 1
        assert parent > 200 * 4


def locks_of(scene: Scene, text: str, values: dict[str, Any]) -> int:
    """How many locks on tables and indexes of the schema a page holds."""
    session = scene.begin()
    session.run(statement("pins"))
    session.connection.execute(text.encode(), values, prepare=True)
    held = """
        select count(*) from pg_locks l join pg_class c on c.oid = l.relation
         where l.pid = pg_backend_pid() and c.relnamespace = 'tide'::regnamespace"""
    ((count,),) = session.run(held)
    session.rollback()
    return int(count)
