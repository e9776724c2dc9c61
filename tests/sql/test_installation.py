"""A name of the installation lets only those relays own cursors that were given it."""

from uuid import UUID, uuid4

import psycopg
import pytest

from fix_sql import Logins, Ring
from pg_tide_relay.installation import owner_token

ACQUIRE = "select c.epoch from tide._cursor_acquire(1, 0, %s, 'relay', 60000, 0) c"


def epoch(ring: Ring, token: UUID) -> int | None:
    """The epoch of the owner that this token makes; None: it may not own the cursor."""
    row = ring.connection.execute(ACQUIRE, [token]).fetchone()
    return None if row is None else row[0]


def name(ring: Ring, given: str | None) -> None:
    ring.connection.execute("select tide.installation_set(%s)", [given])


def test_only_a_relay_that_was_given_the_name_may_own_a_cursor(ring: Ring) -> None:
    """Whatever its letters; without a name any relay may."""
    ring.group("g")
    for given in ("prod", "größe 'n' \\ ünd 🌊"):
        name(ring, given)
        assert epoch(ring, uuid4()) is None
        assert epoch(ring, owner_token("prod 2")) is None
        token = owner_token(given)
        assert epoch(ring, token) is not None
        free = (
            "update tide.cursor set owner_token = null, lease_until = null, stamp = pg_current_xact_id()::xid"
        )
        ring.connection.execute(free)
    name(ring, None)
    assert epoch(ring, owner_token("anything")) is not None


def test_a_new_name_ends_an_owner_whose_lease_a_successor_still_waits_for(ring: Ring) -> None:
    """Its epoch is over, so it settles nothing more; what it sent may still be on its way."""
    ring.group("g")
    old = uuid4()
    before = epoch(ring, old)
    assert before is not None
    name(ring, "prod")
    query = "select epoch, owner_token, lease_until > now() from tide.cursor"
    assert ring.connection.execute(query).fetchone() == (before + 1, old, True)
    renew = "select renewed from tide._cursor_renew(array[1], array[0], %s, array[%s::bigint], 1000)"
    assert ring.connection.execute(renew, [old, before]).fetchone() == (False,)
    assert epoch(ring, old) is None
    assert epoch(ring, owner_token("prod")) is None
    name(ring, "prod")  # the same once more changes nothing
    assert ring.connection.execute(query).fetchone() == (before + 1, old, True)


def test_a_cursor_that_is_not_to_be_trusted_stays_so(ring: Ring) -> None:
    """Naming an installation repairs nothing."""
    ring.group("g")
    ring.connection.execute("update tide.cursor set stamp = '1'")
    doubt = "select doubt from tide.consumer_groups"
    before = ring.connection.execute(doubt).fetchone()
    assert before is not None
    assert before[0] is not None
    name(ring, "prod")
    assert ring.connection.execute(doubt).fetchone() == before


@pytest.mark.parametrize("given", ["", "x" * 256, "a\nb"])
def test_what_is_no_name_is_refused(ring: Ring, given: str) -> None:
    with pytest.raises(psycopg.DatabaseError) as refused:
        name(ring, given)
    assert refused.value.sqlstate == "TD008"
    assert "installation name" in str(refused.value)


def test_administrators_name_it_and_everybody_who_watches_sees_it(ring: Ring, logins: Logins) -> None:
    for kind, may_set in (("admin", True), ("relay", False), ("monitor", False)):
        role = logins.create()
        ring.connection.execute("select tide.role_grant(%s, %s)", [kind, role])
        connection = logins.connect(role)
        if may_set:
            connection.execute("select tide.installation_set('prod')")
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select tide.installation_set('mine')")
        assert connection.execute("select name, set_by = %s from tide.installation", [role]).fetchone() == (
            "prod",
            may_set,
        )
