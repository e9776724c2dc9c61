"""Runs the tests of the SQL surface that are written in SQL, with pgTAP.

Each file of `pgtap/` is one transaction that is rolled back. `pg_prove` runs the same files, once pgTAP and
`support.sql` are in the database.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import ExecStatus

from fix_postgres import database_on
from pg_tide_dev.databases import Database
from pg_tide_dev.postgres import PostgresServer

HERE = Path(__file__).parent
FILES = sorted((HERE / "pgtap").glob("*.sql"))
PREPARATION = (HERE / "vendor" / "pgtap" / "pgtap--1.2.0.sql", HERE / "support.sql")
ERROR = "!! "


@pytest.fixture(scope="module")
def prepared(pg: PostgresServer, templates: dict[str, Database]) -> Iterator[Database]:
    """A database with the schema, pgTAP and what the files share."""
    for database in database_on(pg, templates):
        with database.connect(autocommit=True, options="-c client_min_messages=error") as connection:
            for path in PREPARATION:
                connection.execute(path.read_bytes())
        yield database


@pytest.mark.parametrize("file", FILES, ids=[path.stem for path in FILES])
def test_the_sql_surface_keeps_its_promises(prepared: Database, file: Path) -> None:
    """Every line of TAP that the file promises in its plan says ok."""
    with prepared.connect(autocommit=True) as connection:
        lines = run(connection, file.read_text(encoding="utf-8"))
    assert failures(lines) == []


def test_a_pgtap_file_that_fails_dies_or_stops_early_is_noticed(prepared: Database) -> None:
    """The reader of TAP sees a failed test, an error, a short plan and a missing plan."""
    with prepared.connect(autocommit=True) as connection:

        def said(script: str) -> list[str]:
            return failures(run(connection, f"begin; {script} rollback;"))

        assert said("select plan(1); select pass('a'); select * from finish();") == []
        assert said("select plan(2); select pass('a'); select fail('b'); select * from finish();")[0] == (
            "not ok 2 - b"
        )
        assert said("select plan(2); select pass('a'); select 1/0;")[0].startswith(ERROR + "ERROR: 22012")
        connection.execute("rollback")
        assert said("select plan(2); select pass('a');") == ["1 test ran, the plan says 2"]
        assert said("select pass('a');")[0].startswith(ERROR)


def run(connection: psycopg.Connection, script: str) -> list[str]:
    """All lines that the statements of a script return, up to the first error, which becomes the last line."""
    lines: list[str] = []
    low_level = connection.pgconn
    low_level.send_query(script.encode())
    while (result := low_level.get_result()) is not None:
        if result.status == ExecStatus.FATAL_ERROR:
            lines.append(ERROR + described(connection, psycopg.errors.error_from_result(result), script))
        elif result.status == ExecStatus.TUPLES_OK:
            values = (result.get_value(row, 0) for row in range(result.ntuples))
            lines += [line for value in values if value for line in value.decode().splitlines()]
    return lines


def described(connection: psycopg.Connection, error: psycopg.Error, script: str) -> str:
    """An error of the server with the line of the script that it points at."""
    position = int(error.diag.statement_position or 0)
    line = script.count("\n", 0, position) + 1
    return f"ERROR: {error.sqlstate} {error.diag.message_primary} (line {line}; {error.diag.context})"


def failures(lines: list[str]) -> list[str]:
    """What is wrong with a run: failed tests with what they said, errors, and too few tests for the plan."""
    wrong: list[str] = []
    failed = False
    for line in lines:
        failed = line.startswith(("not ok", ERROR)) or (failed and line.startswith("#"))
        if failed:
            wrong.append(line)
    plan = next((int(match[1]) for line in lines if (match := re.fullmatch(r"1\.\.(\d+)", line))), None)
    ran = sum(1 for line in lines if re.match(r"(not )?ok \d+", line))
    if not wrong and ran != plan:
        wrong.append(f"{ran} test{'s' if ran != 1 else ''} ran, the plan says {plan}")
    return wrong
