"""What the tests of the SQL surface share: roles that log in, messages, and groups that deliver without a relay."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from pg_tide_dev.databases import Database

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
                sql.SQL("create role {} login password {} " + options).format(  # type: ignore[arg-type]
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


@pytest.fixture
def connect(database: Database) -> Iterator[Callable[..., psycopg.Connection]]:
    """Opens administrator's connections in autocommit mode; a test begins transactions by hand."""
    opened: list[psycopg.Connection] = []

    def open_one() -> psycopg.Connection:
        opened.append(psycopg.connect(database.dsn, autocommit=True))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()
