"""What commands for administrators share: a connection, rows, a pipeline that must exist, a bar while they wait."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import typer
from psycopg.rows import dict_row
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.output import printable
from pg_tide_relay.config.nearest import nearest
from pg_tide_relay.connect import describe, open_connection
from pg_tide_sql.statements import statement

LOOK_EVERY_S: Final = 0.2
_SAY_EVERY_S: Final = 5.0  # where there is no terminal to draw a bar on

Row = dict[str, Any]


@contextmanager
def connected(dsn: str, command: str, why: str) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode; ``why`` its role needs an administrator's rights."""
    with open_connection(dsn, command) as conn:
        conn.autocommit = True  # what is asked for has to be seen by the relay while it is waited for
        conn.add_notice_handler(lambda notice: typer.echo(notice.message_primary, err=True))
        try:
            yield conn
        except psycopg.errors.InsufficientPrivilege as error:
            raise CommandError(
                f"{describe(dsn)}: {error.diag.message_primary}",
                cure=f"use a role with the rights of kind admin, because {why}: "
                "select tide.role_grant('admin', '<role>');",
            ) from None


def rows_of(conn: psycopg.Connection, name: str, **values: object) -> list[Row]:
    """The rows of a named statement."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement(name), values).fetchall()


def check_pipeline(conn: psycopg.Connection, dsn: str, pipeline: str) -> None:
    """CommandError, with the nearest name, when there is no such pipeline."""
    names = [row["pipeline"] for row in rows_of(conn, "dlq_pipelines")]
    if pipeline not in names:
        guess = nearest(pipeline, names)
        raise CommandError(
            f"{describe(dsn)}: pipeline {pipeline!r} does not exist",
            cure=f"did you mean {guess!r}?" if guess else "tide.pipelines lists the pipelines",
            code=ExitCode.USAGE,
        )


def printable_row(row: Row) -> Row:
    """Its texts as a terminal may show them."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


class Waiting:
    """A bar on a terminal, else a line every five seconds; both on stderr."""

    def __init__(self, what: str, total: int) -> None:
        """So much there is to do. Use it as a context."""
        self._what = what
        self._total = total
        self._is_terminal = sys.stderr.isatty()
        self._said = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=Console(stderr=True), disable=not self._is_terminal, transient=True
        )
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> "Waiting":
        """Draw it."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bar.stop()

    def show(self, done: int, note: str = "") -> None:
        """So much is done; ``note``: what stands in the way."""
        after = f": {note}" if note else ""
        self._bar.update(self._task, completed=done, description=f"{self._what}{after}")
        if not self._is_terminal and time.monotonic() - self._said > _SAY_EVERY_S:
            self._said = time.monotonic()
            typer.echo(f"{done} of {self._total} {self._what}{after}", err=True)
