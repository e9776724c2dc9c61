"""The ring of slots: which slot new messages go to, and when the ring grows."""

import psycopg
import pytest

from fix_sql import Connect, Ring


def test_a_slot_is_open_for_its_part_of_the_retention(ring: Ring) -> None:
    """48 hours and four slots: new messages go to the next slot after 24 hours, not before."""
    assert ring.retention(hours=23.9) == []
    assert ring.retention(hours=24.1) == [(0, "rotated", None)]
    ring.publish("a")
    assert ring.slots() == {1: ["a"]}
    assert ring.retention(hours=23.9) == []


def test_the_ring_closes_after_the_last_slot(ring: Ring) -> None:
    """After the last slot comes the first one, when it is empty."""
    assert [ring.rotate() for _ in range(5)] == [1, 2, 3, 0, 1]


def test_rotation_is_no_ddl(ring: Ring) -> None:
    """Rotating takes no lock on message tables but that of a reader, and makes no relation."""
    relations = "select array_agg(oid order by oid) from pg_class where relnamespace = 'tide'::regnamespace"
    before = ring.value(relations)
    ring.connection.execute("begin")
    assert ring.retention(hours=24.1) == [(0, "rotated", None)]
    modes = ring.value(
        "select array_agg(distinct mode) from pg_locks l join pg_class c on c.oid = l.relation"
        " where l.pid = pg_backend_pid() and c.relname like 'message%%'"
    )
    ring.connection.execute("commit")
    assert modes == ["AccessShareLock"]
    assert ring.value(relations) == before


def test_the_ring_grows_when_the_next_slot_is_not_empty(ring: Ring) -> None:
    """A group left behind keeps its messages; new ones go to a slot that is made for them."""
    ring.group("left-behind")
    for slot in range(4):
        ring.publish(f"in {slot}")
        ring.rotate()
    ring.publish("in 4")
    assert ring.slots() == {slot: [f"in {slot}"] for slot in range(5)}
    assert ring.value("select slots from tide.outbox") == 5


def test_a_slot_that_is_held_is_passed_over(ring: Ring) -> None:
    """One slot is not empty, the others are: the ring turns without it and does not grow."""
    ring.group("left-behind")
    ring.publish("kept")
    assert [ring.rotate() for _ in range(6)] == [1, 2, 3, 1, 2, 3]
    assert ring.messages() == ["kept"]


def test_the_ring_grows_by_the_time_that_passes_only(ring: Ring) -> None:
    """While a group is left behind, each slot stays open as long as ever: a grown ring does not turn faster."""
    ring.group("left-behind")
    for slot in range(8):
        ring.publish(f"in {slot}")
        ring.rotate()
    assert ring.value("select slots from tide.outbox") == 9
    assert ring.retention(hours=23.9) == []
    assert ring.retention(hours=24.1)[0] == (8, "rotated", None)


def test_an_outbox_with_more_slots_turns_faster(ring: Ring) -> None:
    """Ten slots divide the retention by eight: 6 hours each."""
    ring.connection.execute("select tide.outbox_create('fine', slots => 10)")
    fine = Ring(ring.connection, "fine")
    fine.connection.execute("select tide.outbox_drop('orders', force => true)")
    assert fine.retention(hours=5.9) == []
    assert fine.retention(hours=6.1) == [(0, "rotated", None)]


def test_a_changed_retention_changes_how_long_a_slot_is_open(ring: Ring) -> None:
    """Settings count from the next call of retention on."""
    ring.connection.execute("select tide.outbox_alter('orders', retention_hours => 10)")
    assert ring.retention(hours=4.9) == []
    assert ring.retention(hours=5.1) == [(0, "rotated", None)]


@pytest.mark.nightly
def test_a_full_ring_of_1000_slots_is_held_and_says_so(ring: Ring) -> None:
    """The ring has an end; publishers go on in the slot that is open."""
    ring.connection.execute("select tide._slot_add(1, slot) from generate_series(4, 999) slot")
    ring.connection.execute("update tide.outbox set slots = 1000")
    ring.connection.execute(
        "insert into tide.message (outbox_id, slot, op) select 1, slot, 'delete' from tide.slot"
    )
    assert ring.retention(hours=24.1) == [(0, "held", "the ring has 1000 slots and none is empty")]
    ring.publish("a")
    assert "a" in ring.slots()[0]


def test_hazard_06_publishers_go_on_while_the_ring_grows(ring: Ring, connect: Connect) -> None:
    """The transaction that grows the ring is still open; a publish does not wait for it."""
    ring.group("left-behind")
    for slot in range(3):
        ring.publish(f"in {slot}")
        ring.rotate()
    ring.publish("in 3")
    beside, publisher = connect(), connect()
    publisher.execute("begin")
    ring.publish("open", connection=publisher)
    beside.execute("begin")
    assert ring.retention(hours=24.1, connection=beside)[0] == (3, "rotated", None)
    ring.connection.execute("set lock_timeout = '200ms'")
    ring.publish("beside")
    publisher.execute("commit")
    beside.execute("commit")
    ring.publish("after")
    assert ring.slots()[3] == ["in 3", "open", "beside"]
    assert ring.slots()[4] == ["after"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_hazard_08_retention_needs_read_committed(ring: Ring, level: str) -> None:
    """With an older snapshot it could drop messages that it cannot see."""
    connection = ring.connection
    connection.execute(f"begin isolation level {level}")
    with pytest.raises(psycopg.Error) as caught:
        ring.retention()
    assert caught.value.sqlstate == "TD040"
    assert caught.value.diag.message_primary == f"tide.retention_run was called in a {level} transaction"
    assert "READ COMMITTED" in (caught.value.diag.message_hint or "")
    connection.execute("rollback")
    connection.execute(f"set default_transaction_isolation = '{level}'")
    with pytest.raises(psycopg.Error) as caught:
        ring.retention()
    assert caught.value.sqlstate == "TD040"
