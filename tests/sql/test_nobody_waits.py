"""Publishers wait for nobody: not for administrators, not for retention, not for each other; pages lock little."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from fix_sql import CONFIG, Connect, Logins, Ring
from pg_tide_sql.statements import statement

HURRY = "set lock_timeout = '200ms'; set statement_timeout = '2s'"


@pytest.fixture
def busy(ring: Ring, connect: Connect) -> Iterator[Ring]:
    """Outboxes `orders` and `other`; a publisher of `orders` has been open since before the test began."""
    ring.connection.execute("select tide.outbox_create('other')")
    ring.group("left-behind")
    publisher = connect()
    publisher.execute("begin")
    ring.publish("open", connection=publisher)
    yield ring
    publisher.execute("commit")
    assert "open" in ring.messages()


def publish_everywhere(connection: psycopg.Connection) -> None:
    """Publish to both outboxes, waiting for no lock longer than 200 ms."""
    connection.execute(HURRY)
    for outbox in ("orders", "other"):
        connection.execute("select tide.outbox_publish(%s, '{}')", [outbox])
        connection.execute("select tide.outbox_publish_batch(%s, '{1,2}')", [outbox])


def grow(connection: psycopg.Connection) -> None:
    """Rotate until no slot is empty: the next rotation makes one."""
    for _ in range(5):
        connection.execute("select tide.retention_run(clock_timestamp() + interval '25 hours')")
        connection.execute("select tide.outbox_publish('orders', '{}')")
    assert connection.execute("select slots from tide.outbox where name = 'orders'").fetchone() == (5,)


def infer(connection: psycopg.Connection) -> None:
    """Propose a row schema from a message with a column."""
    connection.execute("""select tide.outbox_publish('orders', '{"id": 1}')""")
    connection.execute("select * from tide.row_schema_infer('orders')")


ADMINISTRATION: dict[str, Callable[[psycopg.Connection], object]] = {
    "outbox_create": lambda c: c.execute("select tide.outbox_create('new')"),
    "ring growth": grow,
    "outbox_grant": lambda c: c.execute("select tide.outbox_grant('orders', 'tide_publisher')"),
    "outbox_revoke": lambda c: c.execute("select tide.outbox_revoke('orders', 'tide_publisher')"),
    "role_grant": lambda c: c.execute("select tide.role_grant('relay', 'tide_relay')"),
    "relay_set_outbox": lambda c: c.execute(
        "select tide.relay_set_outbox('p', 'orders', 'g', %s, start => 'latest')", [CONFIG]
    ),
    "relay_drop": lambda c: c.execute("select tide.relay_drop('left-behind')"),
    "group_rewind": lambda c: c.execute("select tide.group_rewind('left-behind', 'orders', 0)"),
    "group_skip": lambda c: c.execute("select tide.group_skip('left-behind', 'orders')"),
    "outbox_alter": lambda c: c.execute("select tide.outbox_alter('orders', retention_hours => 1)"),
    "outbox_enable": lambda c: c.execute("select tide.outbox_enable('orders')"),
    "retention_run": lambda c: c.execute("select * from tide.retention_run()"),
    "holders": lambda c: c.execute("select * from tide.holders()"),
    "row_schema_set": lambda c: c.execute(
        """select tide.row_schema_set('orders', '[{"name": "id", "type": "bigint"}]')"""
    ),
    "row_schema_infer": infer,
    "lag": lambda c: c.execute("select * from tide.lag"),
}


@pytest.mark.parametrize("name", ADMINISTRATION)
def test_hazard_06_administration_makes_no_publisher_wait(busy: Ring, connect: Connect, name: str) -> None:
    """Beside an open publisher it is done at once; while its own transaction is open, others publish."""
    administrator, publisher = connect(), connect()
    administrator.execute(HURRY)
    administrator.execute("begin")
    ADMINISTRATION[name](administrator)
    publish_everywhere(publisher)
    administrator.execute("commit")
    publish_everywhere(publisher)


def test_disabling_makes_no_publisher_wait(busy: Ring, connect: Connect) -> None:
    """Those who began before go on; after the commit the others are refused, not kept waiting."""
    administrator, publisher = connect(), connect()
    administrator.execute(HURRY)
    administrator.execute("begin")
    administrator.execute("select tide.outbox_disable('orders')")
    publish_everywhere(publisher)
    administrator.execute("commit")
    with pytest.raises(psycopg.Error) as caught:
        publish_everywhere(publisher)
    assert caught.value.sqlstate == "TD002"


def locks(connection: psycopg.Connection, pid: int) -> list[tuple[str, str, str | None, bool]]:
    """Kind, mode, relation and whether granted, of all locks of a backend but that on its own transaction."""
    return connection.execute(
        "select locktype, mode, relation::regclass::text, granted from pg_locks"
        " where pid = %s and locktype not in ('virtualxid', 'transactionid')",
        [pid],
    ).fetchall()


def test_publishers_hold_no_lock_that_anybody_waits_for(ring: Ring, connect: Connect, logins: Logins) -> None:
    """Two open publishers and a reader: no lock is waited for, none is stronger than a writer's, no row is locked."""
    first, second = connect(), connect()
    for publisher in (first, second):
        publisher.execute(HURRY)
        publisher.execute("begin")
        ring.publish("a", connection=publisher)
        publisher.execute("select tide.outbox_publish_batch('orders', '{1,2}')")
    reader = connect()
    reader.execute(HURRY)
    reader.execute("begin")
    reader.execute(sql.SQL("select * from {}").format(ring.table))
    for publisher in (first, second):
        held = locks(ring.connection, publisher.info.backend_pid)
        assert all(granted for *_, granted in held)
        assert {kind for kind, *_ in held} == {"relation"}
        assert {mode for _, mode, _, _ in held} == {"AccessShareLock", "RowExclusiveLock"}
    assert ring.value("select count(*) from pg_locks where not granted") == 0
    for publisher in (first, second):
        publisher.execute("commit")


def test_a_publish_locks_one_slot_of_its_own_outbox(ring: Ring, connect: Connect) -> None:
    """Other outboxes and other slots stay out of it, however many there are."""
    for number in range(5):
        ring.connection.execute("select tide.outbox_create(%s)", [f"other {number}"])
    publisher = connect()
    publisher.execute("begin")
    ring.publish("a", connection=publisher)
    held = {relation for _, _, relation, _ in locks(ring.connection, publisher.info.backend_pid)}
    tables = {relation for relation in held if relation and relation.startswith("tide.message")}
    assert tables - {"tide.message_id"} == {
        "tide.message",
        "tide.message_1",
        "tide.message_1_0",
    } | {t for t in tables if t.startswith("tide.message_1_0_")}
    publisher.execute("commit")


def test_hazard_07_a_page_locks_little_however_many_outboxes_there_are(ring: Ring) -> None:
    """With 200 outboxes a page through the outbox's own table holds few locks, through the parent hundreds."""
    connection = ring.connection
    connection.execute("select tide.outbox_create('outbox ' || n, slots => 3) from generate_series(1, 200) n")
    ring.publish("a")
    page = sql.SQL(statement("page_main")).format(table=ring.table)
    values = {
        "last_id": 0,
        "first_id": 0,
        "prev": "1:1:",
        "cur": "1000000:1000000:",
        "size": 10,
        "bytes": 1000,
    }
    count = "select count(*) from pg_locks where pid = pg_backend_pid()"
    connection.execute("begin")
    assert len(connection.execute(page, values).fetchall()) == 1
    own = ring.value(count)
    connection.execute("commit")
    assert own < 20
    connection.execute("begin")
    through_parent = sql.SQL(statement("page_main")).format(table=sql.Identifier("tide", "message"))
    assert len(connection.execute(through_parent, values).fetchall()) == 1
    assert ring.value(count) > 500
    connection.execute("commit")
