"""What the tests of the SQL surface share: roles that log in, messages, and groups that deliver without a relay."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from pg_tide_dev.databases import Database

OWNER = UUID("00000000-0000-4000-8000-000000000001")
PATIENCE = "-c statement_timeout=60s"  # a wait that should not be fails its test, and soon
CONFIG = '{"sink_type": "kafka", "brokers": "kafka:9092", "topic": "order-events"}'


@dataclass
class Logins:
    """Roles of this test's own that log in with a password; dropped with all they own when the test ends."""

    database: Database
    names: list[str] = field(default_factory=list)
    opened: list[psycopg.Connection] = field(default_factory=list)

    def create(self, options: str = "", database: Database | None = None) -> str:
        """A new login role, with its name as its password."""
        name = f"test_{secrets.token_hex(6)}"
        with (database or self.database).connect(autocommit=True) as connection:
            connection.execute(
                sql.SQL("create role {} login password {} " + options).format(
                    sql.Identifier(name), sql.Literal(name)
                )
            )
        self.names.append(name)
        return name

    def connect(self, name: str, dsn: str | None = None, **arguments: Any) -> psycopg.Connection:
        """A connection as that role, in autocommit mode."""
        target = psycopg.conninfo.make_conninfo(dsn or self.database.dsn, user=name, password=name)
        connection = psycopg.connect(target, autocommit=True, **arguments)
        self.opened.append(connection)
        return connection

    def drop(self) -> None:
        """Close the connections and drop the roles."""
        for connection in self.opened:
            connection.close()
        with self.database.connect(autocommit=True) as connection:
            for name in reversed(self.names):
                connection.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(name)))
                connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture
def logins(database: Database) -> Iterator[Logins]:
    """Makes roles that log in to `database`."""
    made = Logins(database)
    yield made
    made.drop()


Connect = Callable[[], psycopg.Connection]


@pytest.fixture
def connect(database: Database) -> Iterator[Connect]:
    """Opens administrator's connections in autocommit mode; a test begins transactions by hand."""
    opened: list[psycopg.Connection] = []

    def open_one() -> psycopg.Connection:
        opened.append(psycopg.connect(database.dsn, autocommit=True, options=PATIENCE))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@dataclass(frozen=True)
class Ring:
    """The outbox `orders` with a ring of slots, seen from an administrator's connection."""

    connection: psycopg.Connection
    outbox: str = "orders"

    @property
    def number(self) -> int:
        """The outbox's number, which names its tables."""
        return int(self.value("select outbox_id from tide.outbox where name = %s", self.outbox))

    @property
    def table(self) -> sql.Identifier:
        """The outbox's own table."""
        return sql.Identifier("tide", f"message_{self.number}")

    def slot_table(self, slot: int) -> sql.Identifier:
        """The table of one slot."""
        return sql.Identifier("tide", f"message_{self.number}_{slot}")

    def value(self, query: str, *arguments: object) -> Any:
        """The first value of the first row."""
        row = self.connection.execute(query, arguments).fetchone()
        assert row is not None
        return row[0]

    def publish(self, *payloads: str, connection: psycopg.Connection | None = None) -> None:
        """Publish texts as JSON strings, each with a call of its own."""
        for payload in payloads:
            (connection or self.connection).execute(
                "select tide.outbox_publish(%s, to_jsonb(%s::text))", [self.outbox, payload]
            )

    def messages(self) -> list[str]:
        """Payloads of all messages that a reader of the outbox finds, by id."""
        rows = self.connection.execute(
            sql.SQL("select m.payload::jsonb #>> '{{}}' from {} m order by m.id").format(self.table)
        )
        return [payload for (payload,) in rows]

    def slots(self) -> dict[int, list[str]]:
        """Payloads by slot; empty slots are left out."""
        found: dict[int, list[str]] = {}
        for slot, payload in self.connection.execute(
            sql.SQL("select m.slot, m.payload::jsonb #>> '{{}}' from {} m order by m.id").format(self.table)
        ):
            found.setdefault(slot, []).append(payload)
        return found

    def group(self, name: str, start: str = "earliest", connection: psycopg.Connection | None = None) -> None:
        """Create a consumer group with a pipeline of the same name."""
        (connection or self.connection).execute(
            "select tide.relay_set_outbox(%s, %s, %s, %s::jsonb, start => %s)",
            [name, self.outbox, name, CONFIG, start],
        )

    def deliver(self, group: str) -> None:
        """Move a group to the end the way a relay does: everything committed until now is settled."""
        self.connection.execute(
            """
            select tide._cursor_settle_window(c.group_id, 0, c.owner_token, c.epoch, c.generation, c.timeline,
                     pg_current_snapshot(), null, null, 0, null)
              from tide.consumer_group g
              join tide.outbox o on o.outbox_id = g.outbox_id and o.name = %s
             cross join tide._cursor_acquire(g.group_id, 0, %s, 'test', 60000, 0) c
             where g.name = %s
            """,
            [self.outbox, OWNER, group],
        )

    def retention(
        self, hours: float = 0, connection: psycopg.Connection | None = None
    ) -> list[tuple[int, str, str | None]]:
        """(slot, action, reason) of one call of `tide.retention_run` as if so many hours had passed."""
        rows = (connection or self.connection).execute(
            "select slot, action, reason from tide.retention_run(clock_timestamp() + %s * interval '1 hour')",
            [hours],
        )
        return rows.fetchall()

    def rotate(self) -> int:
        """Let the open slot's time pass; the slot that new messages go to now."""
        self.retention(hours=24.1)
        return int(self.value("select slot from tide.outbox where name = %s", self.outbox))


@pytest.fixture
def ring(connect: Connect) -> Ring:
    """The outbox `orders`: 48 hours, four slots."""
    made = Ring(connect())
    made.connection.execute("select tide.outbox_create('orders')")
    return made


@pytest.fixture
def delivered(ring: Ring) -> Ring:
    """Slot 0 holds `old`, which group g has delivered; slot 1 is open."""
    ring.group("g")
    ring.publish("old")
    ring.rotate()
    ring.deliver("g")
    return ring
