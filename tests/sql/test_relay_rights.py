"""The rights that tide.role_grant gives suffice for the statements that our programs run with them."""

from importlib.resources import files
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from fix_sql import Logins, Ring
from pg_tide_relay import cli
from pg_tide_sql.statements import statement

ROW_SCHEMA = """select tide.row_schema_set('orders', '[{"name": "id", "type": "bigint"}]')"""
RELAY_FILES = ("poll.sql", "relay.sql", "topics.sql", "preview.sql", "verify.sql")
VALUES = {
    "alive_ms": 1000,
    "serves": [1],
    "cur": "10:10:",
    "epoch": 1,
    "first_id": 1,
    "generation": 1,
    "group_id": 1,
    "host": "host",
    "last_id": 0,
    "lease_ms": 1000,
    "lsn": "0/1",
    "outbox": "orders",
    "pid": 1,
    "pipeline_id": 1,
    "prev": "1:1:",
    "release": "0.1.0",
    "relay_id": "relay-1",
    "replay_from": 1,
    "replay_last": 1,
    "running": ["3"],
    "size": 10,
    "state": "running",
    "takeover_ms": 0,
    "timeline": 1,
    "version": 1,
}


def names_in(*names: str) -> list[str]:
    """Names of the statements in these files."""
    folder = files("pg_tide_sql") / "statements"
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    return [line.split()[2] for text in texts for line in text.splitlines() if line.startswith("-- name:")]


class Values(dict[str, object]):
    """A value for each placeholder; those that have none in the table are null."""

    def __missing__(self, key: str) -> object:
        return uuid4() if key.endswith("token") or key == "token" else None


def may_run(connection: psycopg.Connection, name: str) -> None:
    """Run the statement with made-up values; only the want of a right fails."""
    query = sql.SQL(statement(name))
    if "{table}" in statement(name):
        query = query.format(table=sql.Identifier("tide", "message_1"))  # type: ignore[assignment]
    connection.execute(query, Values(VALUES))


@pytest.mark.parametrize("name", names_in(*RELAY_FILES))
def test_a_relay_may_run_its_statements(ring: Ring, logins: Logins, name: str) -> None:
    """Each statement of the relay, on a connection that has a relay's rights and no more."""
    ring.group("g")
    ring.connection.execute(ROW_SCHEMA)
    role = logins.create()
    ring.connection.execute("select tide.role_grant('relay', %s)", [role])
    may_run(logins.connect(role), name)


@pytest.mark.parametrize("name", names_in("status.sql"))
def test_a_monitor_may_run_the_statements_of_status(ring: Ring, logins: Logins, name: str) -> None:
    """`pg-tide status` and `pg-tide validate` need a monitor's rights and no more."""
    ring.group("g")
    role = logins.create()
    ring.connection.execute("select tide.role_grant('monitor', %s)", [role])
    may_run(logins.connect(role), name)


def test_topics_ensure_asks_for_a_relays_rights_by_name(
    ring: Ring, logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole configurations hold secrets, so a monitor's rights do not do."""
    monkeypatch.setattr("pg_tide_relay.logs.configure", lambda *_given: None)
    role = logins.create()
    dsn = psycopg.conninfo.make_conninfo(logins.database.dsn, user=role, password=role)
    command = ["topics", "ensure", "--postgres-url", dsn]
    ring.connection.execute("select tide.role_grant('monitor', %s)", [role])
    refused = CliRunner().invoke(cli.build(), command)
    assert refused.exit_code == 1
    assert "tide.role_grant('relay', '<role>')" in refused.stderr
    ring.connection.execute("select tide.role_grant('relay', %s)", [role])
    assert CliRunner().invoke(cli.build(), command).exit_code == 0
