"""A database per test, and the template that it is copied from."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pg_tide_dev.postgres import PostgresServer


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database of its own on a server."""

    server: PostgresServer
    name: str

    @property
    def dsn(self) -> str:
        """Connection URL of the server's administrator."""
        return self.server.dsn(self.name)

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.server.major

    def connect(self, **arguments: Any) -> psycopg.Connection:
        """A new connection of the administrator; `autocommit` and others as psycopg takes them."""
        return psycopg.connect(self.dsn, **arguments)


def create_database(
    server: PostgresServer, name: str | None = None, *, template: str = "template1"
) -> Database:
    """Create a database as a copy of `template`, to which nobody may be connected."""
    chosen = name or f"test_{secrets.token_hex(6)}"
    statement = sql.SQL("create database {} template {}").format(
        sql.Identifier(chosen), sql.Identifier(template)
    )
    with administrator(server) as connection:
        connection.execute(statement)
    return Database(server=server, name=chosen)


def drop_database(database: Database) -> None:
    """Drop a database with its sessions and prepared transactions, which would hold it."""
    with administrator(database.server) as connection:
        held = connection.execute(
            "select gid from pg_prepared_xacts where database = %s", [database.name]
        ).fetchall()
    if held:
        with database.connect(autocommit=True) as connection:
            for (gid,) in held:
                connection.execute(sql.SQL("rollback prepared {}").format(sql.Literal(gid)))
    with administrator(database.server) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database.name)))


@contextmanager
def administrator(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode to the server's own database."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        yield connection
