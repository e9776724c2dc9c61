"""Fixtures of the tests that drive a relay's own jobs against a database; see `reading`."""

from collections.abc import Iterator

import pytest

from database.reading import Scene
from fix_postgres import database_on
from fix_sql import logins
from pg_tide_dev.databases import Database
from pg_tide_dev.postgres import PostgresServer

__all__ = ["logins", "quiet_logs", "scene", "shared_database"]


@pytest.fixture
def quiet_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are called in this process leave its logs as they are."""
    monkeypatch.setattr("pg_tide_relay.logs.configure", lambda *_given: None)


@pytest.fixture(scope="module")
def shared_database(pg: PostgresServer, templates: dict[str, Database]) -> Iterator[Database]:
    """A database for all scenes of a file: making one takes longer than most of their tests."""
    yield from database_on(pg, templates)


@pytest.fixture
def scene(shared_database: Database) -> Iterator[Scene]:
    """An outbox `orders` with a group `g` that starts at the beginning; nothing else is there."""
    with Scene(shared_database.dsn) as opened:
        yield opened
    Scene.clear(shared_database.dsn)
