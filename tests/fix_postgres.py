"""PostgreSQL: a server per version for the whole run, a database per test."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fix_run import or_skip
from pg_tide_dev.databases import Database, create_database, drop_database
from pg_tide_dev.postgres import PostgresServer, start_postgres
from pg_tide_dev.processes import Run

VERSIONS_VARIABLE = "PG_TIDE_TEST_PG"
VERSIONS = os.environ.get(VERSIONS_VARIABLE, "15,18").split(",")
SCHEMA_FOLDER = Path(__file__).parents[1] / "sql" / "pg_tide_sql" / "schema"
TEMPLATE = "tide_template"

NewPostgres = Callable[..., PostgresServer]


@pytest.fixture(scope="session")
def pg15(dev_run: Run) -> PostgresServer:
    """PostgreSQL 15, without the schema in its databases."""
    return or_skip(lambda: start_postgres(dev_run, 15))


@pytest.fixture(scope="session")
def pg16(dev_run: Run) -> PostgresServer:
    """PostgreSQL 16; only for nightly tests."""
    return or_skip(lambda: start_postgres(dev_run, 16))


@pytest.fixture(scope="session")
def pg18(dev_run: Run) -> PostgresServer:
    """PostgreSQL 18."""
    return or_skip(lambda: start_postgres(dev_run, 18))


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"pg{version}")
def pg(request: pytest.FixtureRequest) -> PostgresServer:
    """Each version of `PG_TIDE_TEST_PG` in turn (15 and 18 unless it says otherwise)."""
    server: PostgresServer = request.getfixturevalue(f"pg{request.param}")
    return server


@pytest.fixture
def new_postgres(dev_run: Run) -> Iterator[NewPostgres]:
    """Starts servers of the test's own: `new_postgres(18, durable=True)`; stopped when the test ends.

    For tests that kill or stop a server, change its settings or need another system identifier.
    """
    servers: list[PostgresServer] = []

    def start(major: int | None = 18, **options: Any) -> PostgresServer:
        servers.append(or_skip(lambda: start_postgres(dev_run, major, own=True, **options)))
        return servers[-1]

    yield start
    for server in servers:
        server.discard()


@pytest.fixture(scope="session")
def templates() -> dict[str, Database]:
    """The template database with the schema, per server."""
    return {}


@pytest.fixture
def database(pg: PostgresServer, templates: dict[str, Database]) -> Iterator[Database]:
    """A database of the test's own in which the schema is installed."""
    yield from database_on(pg, templates)


@pytest.fixture
def database18(pg18: PostgresServer, templates: dict[str, Database]) -> Iterator[Database]:
    """The same on PostgreSQL 18 only, for tests that cost much and depend on no version."""
    yield from database_on(pg18, templates)


@pytest.fixture
def empty_database(pg: PostgresServer) -> Iterator[Database]:
    """A database of the test's own without the schema."""
    created = create_database(pg)
    yield created
    drop_database(created)


def database_on(server: PostgresServer, templates: dict[str, Database]) -> Iterator[Database]:
    """A copy of the server's template, which is made when it is first asked for."""
    key = server.dsn()
    if key not in templates:
        templates[key] = create_database(server)
        install_schema(templates[key].dsn)
    created = create_database(server, template=templates[key].name)
    yield created
    drop_database(created)


def install_schema(dsn: str) -> None:
    """Install the schema the way `pg-tide install` does."""
    if importlib.util.find_spec("pg_tide_relay.install") is not None:
        from pg_tide_relay.install import install

        install(dsn)
        return
    with psycopg.connect(dsn) as connection:
        for path in sorted(SCHEMA_FOLDER.glob("*.sql")):
            connection.execute(path.read_bytes())
