"""Rights of roles that log in: whose right counts inside SECURITY DEFINER, after SET ROLE, by membership."""

import psycopg
import pytest
from psycopg import sql

from fix_sql import Logins, Ring

PUBLISH = "select tide.outbox_publish('orders', '{}')"
DEFINER = """
    create function public.place_order() returns bigint language sql security definer
      set search_path = pg_catalog, pg_temp as $$ select tide.outbox_publish('orders', '{}') $$
"""


@pytest.fixture
def admin(ring: Ring) -> psycopg.Connection:
    """The administrator's connection to a database with the outbox `orders`."""
    return ring.connection


def grant(admin: psycopg.Connection, outbox: str, role: str) -> None:
    """What an administrator does to let a role publish."""
    admin.execute("select tide.outbox_grant(%s, %s)", [outbox, role])


def run_as_admin(admin: psycopg.Connection, statement: str, *names: str) -> None:
    """A statement with `{}` for each name of a role."""
    admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def refused_for(connection: psycopg.Connection, role: str) -> None:
    """The connection may not publish, and is told that this role needs the right."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(PUBLISH)
    assert caught.value.sqlstate == "TD010"
    assert caught.value.diag.message_primary == f"role {role} may not publish to outbox 'orders'"
    assert (
        caught.value.diag.message_hint
        == f"Let an administrator run: select tide.outbox_grant('orders', '{role}');"
    )


def test_a_login_without_any_right_is_refused(ring: Ring, logins: Logins) -> None:
    """Not even the schema is open to PUBLIC."""
    stranger = logins.connect(logins.create())
    for statement in (PUBLISH, "select * from tide.outboxes", "select tide.version()"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            stranger.execute(statement)


def test_a_granted_login_publishes_and_its_right_can_be_taken(
    admin: psycopg.Connection, logins: Logins
) -> None:
    """Granted on the outbox, then taken: the next publish is refused."""
    shop = logins.create()
    connection = logins.connect(shop)
    grant(admin, "orders", shop)
    connection.execute(PUBLISH)
    admin.execute("select tide.outbox_revoke('orders', %s)", [shop])
    refused_for(connection, shop)


def test_the_owner_of_a_definer_function_counts_not_who_calls_it(
    ring: Ring, admin: psycopg.Connection, logins: Logins
) -> None:
    """A session user without any right publishes through a function of a granted owner."""
    owner, caller = logins.create(), logins.create()
    grant(admin, "orders", owner)
    admin.execute(DEFINER)
    run_as_admin(admin, "grant create on schema public to {}", owner)
    run_as_admin(admin, "alter function public.place_order() owner to {}", owner)
    connection = logins.connect(caller)
    connection.execute("select public.place_order()")
    assert ring.value("select count(*) from tide.message") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(PUBLISH)


def test_a_granted_caller_lends_no_right_to_a_definer_function(
    admin: psycopg.Connection, logins: Logins
) -> None:
    """Inside the function of an owner who may not publish here, the granted session user is refused."""
    owner, caller = logins.create(), logins.create()
    admin.execute("select tide.outbox_create('payments')")
    grant(admin, "payments", owner)
    grant(admin, "orders", caller)
    admin.execute(DEFINER)
    run_as_admin(admin, "grant create on schema public to {}", owner)
    run_as_admin(admin, "alter function public.place_order() owner to {}", owner)
    connection = logins.connect(caller)
    connection.execute(PUBLISH)
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("select public.place_order()")
    assert caught.value.sqlstate == "TD010"
    assert f"role {owner} may not publish" in str(caught.value)


def test_a_trigger_publishes_with_the_right_of_who_writes(
    ring: Ring, admin: psycopg.Connection, logins: Logins
) -> None:
    """A trigger that is no definer runs as the writer: granted, it publishes; not granted, the write fails."""
    granted, other = logins.create(), logins.create()
    admin.execute("select tide.outbox_create('payments')")
    grant(admin, "orders", granted)
    grant(admin, "payments", other)
    admin.execute(
        """
        create table public.sale (id integer);
        create function public.tell() returns trigger language plpgsql as $$
        begin
          perform tide.outbox_publish('orders', to_jsonb(new.id));
          return null;
        end $$;
        create trigger tell after insert on public.sale for each row execute function public.tell();
        grant insert on public.sale to public
        """
    )
    logins.connect(granted).execute("insert into public.sale values (1)")
    with pytest.raises(psycopg.Error) as caught:
        logins.connect(other).execute("insert into public.sale values (2)")
    assert caught.value.sqlstate == "TD010"
    assert ring.messages() == ["1"]


def test_a_member_publishes_with_the_right_of_its_group(admin: psycopg.Connection, logins: Logins) -> None:
    """Membership that inherits is enough."""
    group, member = logins.create(), logins.create()
    run_as_admin(admin, "grant {} to {}", group, member)
    grant(admin, "orders", group)
    logins.connect(member).execute(PUBLISH)


def test_set_role_decides_where_membership_does_not_inherit(
    admin: psycopg.Connection, logins: Logins
) -> None:
    """Before SET ROLE the login is itself, after it the group, after RESET ROLE itself again."""
    group, member = logins.create(), logins.create("noinherit")
    run_as_admin(admin, "grant {} to {}", group, member)
    admin.execute("select tide.outbox_create('payments')")
    grant(admin, "payments", member)
    grant(admin, "orders", group)
    connection = logins.connect(member)
    refused_for(connection, member)
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(group)))
    connection.execute(PUBLISH)
    connection.execute("reset role")
    refused_for(connection, member)


def test_a_publisher_gets_its_ids_back_and_reads_nothing(admin: psycopg.Connection, logins: Logins) -> None:
    """The id that is returned is all that it learns."""
    shop = logins.create()
    grant(admin, "orders", shop)
    connection = logins.connect(shop)
    assert connection.execute(PUBLISH).fetchone() == (1,)
    assert connection.execute("select tide.outbox_publish_batch('orders', '{1,2}')").fetchone() == ([2, 3],)
    for statement in (
        "select * from tide.message_1",
        "select xid from tide.message",
        "select config from tide.pipeline",
        "select * from tide.cursor",
        "select * from tide.outbox",
        "select * from tide.lag",
        "copy tide.message_1 to stdout",
        "copy tide.message_1 (outbox_id, slot, op) from stdin",
        "explain analyze select payload from tide.message_1_0",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_a_temporary_table_does_not_stand_in_for_ours(admin: psycopg.Connection, logins: Logins) -> None:
    """Names are looked up in pg_catalog first and in the caller's temporary schema last."""
    shop = logins.create()
    admin.execute("select tide.outbox_create('payments')")
    grant(admin, "payments", shop)
    connection = logins.connect(shop)
    connection.execute(
        "create temporary table outbox (outbox_id integer, name text, enabled boolean);"
        "create function pg_temp.has_column_privilege(name, text, text, text) returns boolean"
        " language sql as 'select true';"
        "create function pg_temp.current_setting(text) returns text language sql as 'select null::text';"
        "set search_path = pg_temp, pg_catalog, tide"
    )
    refused_for(connection, shop)


def test_messages_of_a_new_outbox_are_open_to_a_relay_granted_before(
    admin: psycopg.Connection, logins: Logins
) -> None:
    """Nobody has to think of the relay when an outbox is made."""
    relay = logins.create()
    admin.execute("select tide.role_grant('relay', %s)", [relay])
    admin.execute("select tide.outbox_create('later')")
    admin.execute("select tide.outbox_publish('later', '{}')")
    connection = logins.connect(relay)
    assert connection.execute("select count(*) from tide.message_2").fetchone() == (1,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select count(*) from tide.message")


def test_rights_end_with_drop_owned(admin: psycopg.Connection, logins: Logins) -> None:
    """They are ordinary entries of the catalogue: the role can be dropped the ordinary way."""
    shop = logins.create()
    grant(admin, "orders", shop)
    connection = logins.connect(shop)
    connection.execute(PUBLISH)
    run_as_admin(admin, "drop owned by {}", shop)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(PUBLISH)
