"""What a crash may take back of a cursor and what it may not: ownership never, a settle's progress at will."""

import psycopg
import pytest

from fix_sql import OWNER, Connect, Ring

ACQUIRE = "select c.epoch, c.generation, c.timeline from tide._cursor_acquire(1, 0, %s, 'test', 60000, 0) c"


@pytest.fixture
def owned(ring: Ring) -> Ring:
    """Group g, owned, on a connection that commits asynchronously, as a relay's settles do."""
    ring.group("g")
    ring.connection.execute("set synchronous_commit = off")
    ring.connection.execute(ACQUIRE, [OWNER])
    return ring


def commits_synchronously(ring: Ring, statement: str, *arguments: object) -> bool:
    """Whether a transaction with this statement waits for the log, whatever the session says."""
    ring.connection.execute("begin")
    ring.connection.execute(statement, arguments or None)
    setting = ring.value("show synchronous_commit")
    ring.connection.execute("commit")
    assert ring.value("show synchronous_commit") == "off"
    return bool(setting != "off")


@pytest.mark.parametrize(
    ("statement", "owner"),
    [
        ("select tide._cursor_acquire(1, 0, %s, 'test', 60000, 0)", True),
        ("select tide._cursor_renew('{1}', '{0}', %s, '{1}', 60000)", True),
        ("select tide._cursor_release(1, 0, %s, 1)", True),
        ("select tide._flush()", False),
        ("select tide.group_skip('g', 'orders')", False),
        ("select tide.group_rewind('g', 'orders', 0)", False),
        ("select tide.group_rebase('g', 'orders')", False),
        ("select tide.relay_disable('g')", False),
        ("select tide.relay_drop('g')", False),
    ],
)
def test_hazard_12_ownership_and_configuration_commit_synchronously(
    owned: Ring, statement: str, owner: bool
) -> None:
    """A take-over that a crash takes back would let two owners pass with one epoch."""
    assert commits_synchronously(owned, statement, *([OWNER] if owner else []))


def test_a_settle_does_not_wait_for_the_log(owned: Ring) -> None:
    """A crash repeats what the settle covered, which is allowed: no settle waits for a disk."""
    settle = (
        "select tide._cursor_settle(c.group_id, 0, c.owner_token, c.epoch, c.generation, c.timeline, 7, null, null)"
        " from (select * from tide.cursor) c"
    )
    owned.connection.execute("set synchronous_commit = on")
    owned.connection.execute("begin")
    owned.connection.execute(settle)
    assert owned.value("show synchronous_commit") == "off"
    owned.connection.execute("commit")
    assert owned.value("show synchronous_commit") == "on"


def test_hazard_12_each_owner_has_a_larger_epoch_and_its_own_token(owned: Ring) -> None:
    """The same process that takes its cursor again is another owner, too."""
    epochs = [owned.connection.execute(ACQUIRE, [OWNER]).fetchone() for _ in range(3)]
    values = [row[0] for row in epochs if row is not None]
    assert len(values) == 3
    assert values == sorted(set(values))


def test_hazard_12_a_lease_ends_by_the_wall_clock_inside_a_long_transaction(owned: Ring) -> None:
    """The start of the transaction says nothing about when the lease was taken."""
    owned.connection.execute("begin")
    owned.connection.execute("select tide._cursor_renew('{1}', '{0}', %s, '{1}', 60000)", [OWNER])
    assert owned.value("select lease_until > now() + interval '60 seconds' from tide.cursor")
    owned.connection.execute("commit")


def test_a_successor_waits_for_the_lease_and_the_last_requests(owned: Ring) -> None:
    """An owner that did not sign off: its lease, then its request timeout; one that did: at once."""
    other = "00000000-0000-4000-8000-000000000002"

    def taken(connection: psycopg.Connection) -> bool:
        query = "select 1 from tide._cursor_acquire(1, 0, %s, 'other', 60000, 0)"
        return bool(connection.execute(query, [other]).fetchall())

    def lease_ended(seconds_ago: float, takeover_ms: int) -> None:
        owned.connection.execute(
            "update tide.cursor set owner_token = %s, owner = 'test', takeover_ms = %s,"
            " stamp = pg_current_xact_id()::xid, lease_until = clock_timestamp() - %s * interval '1 second'",
            [OWNER, takeover_ms, seconds_ago],
        )

    assert not taken(owned.connection)
    lease_ended(seconds_ago=10, takeover_ms=30_000)
    assert not taken(owned.connection)
    lease_ended(seconds_ago=31, takeover_ms=30_000)
    assert taken(owned.connection)
    assert owned.value("select taken_over_from from tide.cursor") == "test"
    owned.connection.execute(
        "select tide._cursor_release(1, 0, %s, (select epoch from tide.cursor))", [other]
    )
    assert owned.connection.execute(ACQUIRE, [OWNER]).fetchall()


HELD = {
    "_cursor_acquire": ("select count(*) from tide._cursor_acquire(1, 0, %(owner)s, 'test', 60000, 0)", 0),
    "_cursor_renew": ("select renewed from tide._cursor_renew('{1}', '{0}', %(owner)s, '{1}', 60000)", None),
    "_cursor_settle": ("select tide._cursor_settle(1, 0, %(owner)s, 1, 1, 1, 7, null, null)", None),
    "_cursor_settle_window": (
        "select tide._cursor_settle_window(1, 0, %(owner)s, 1, 1, 1, '1:1:', '1:1:', 0, 0, null)",
        None,
    ),
    "_cursor_release": ("select tide._cursor_release(1, 0, %(owner)s, 1)", None),
}


@pytest.mark.parametrize("function", HELD)
def test_no_relay_waits_for_a_cursor_that_another_transaction_holds(
    owned: Ring, connect: Connect, function: str
) -> None:
    """The answer is neither yes nor no: one connection writes for all pipelines, and asks again."""
    query, answer = HELD[function]
    administrator = connect()
    administrator.execute("begin")
    administrator.execute("select tide.group_rewind('g', 'orders', to_id => 0)")
    owned.connection.execute("set statement_timeout = '5s'")
    assert owned.connection.execute(query, {"owner": OWNER}).fetchone() == (answer,)
    administrator.execute("commit")
    assert owned.connection.execute(query, {"owner": OWNER}).fetchone() == (
        (1,) if function == "_cursor_acquire" else (False,)
    )


def test_one_statement_prolongs_the_leases_that_are_still_owned(owned: Ring) -> None:
    """Each answer is about its own cursor: prolonged, lost to another epoch, or not there."""
    owned.group("h")
    owned.connection.execute(ACQUIRE.replace("(1,", "(2,"), [OWNER])
    asked = "select group_id, renewed from tide._cursor_renew('{1,2,3}', '{0,0,0}', %s, '{1,2,1}', 60000) order by 1"
    assert owned.connection.execute(asked, [OWNER]).fetchall() == [(1, True), (2, False), (3, False)]
    assert owned.value(
        "select lease_until > clock_timestamp() + interval '59 s' from tide.cursor where group_id = 1"
    )
