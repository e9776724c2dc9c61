"""``pg-tide row-schema``."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import psycopg
import typer
from psycopg.rows import dict_row

from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.flags import DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.output import print_json, print_table, printable
from pg_tide_relay.config.nearest import nearest
from pg_tide_relay.connect import describe, open_connection
from pg_tide_sql.statements import statement

Row = dict[str, Any]

Outbox = Annotated[str, typer.Argument(metavar="OUTBOX", help="Name of the outbox.")]
Messages = Annotated[
    int,
    typer.Option(
        "--messages",
        envvar="PG_TIDE_MESSAGES",
        min=1,
        max=100_000,
        help="How many of the newest messages to look at, within 64 MiB of payload.",
    ),
]
Set = Annotated[bool, typer.Option("--set", envvar="PG_TIDE_SET", help="Store what was inferred.")]


def infer(
    database: DatabaseFlags,
    log: LogFlags,
    outbox: Outbox,
    messages: Messages = 1000,
    set_it: Set = False,
    output: Output = "table",
) -> None:
    """Propose a row schema from the newest messages of an outbox: each column, its type, and why that type.

    Looks at payloads and old payloads. A type takes every value that was seen; of numbers and strings the
    wider one is proposed, because the next message may bring a larger value. Whether a string that looks like
    a date always will is known to the publisher alone: read the proposal before it is stored.

    Nothing is stored without --set. With it what is shown is stored as a new version, or the version that has
    the same columns is named.

    Needs an administrator's rights in the database, because it reads messages.
    """
    del log
    with _connected(database.postgres_url, "admin") as conn:
        conn.add_notice_handler(_tell)
        values = {"outbox": outbox, "messages": messages}
        with conn.cursor(row_factory=dict_row) as cursor:
            columns = cursor.execute(statement("row_schema_infer"), values).fetchall()
        entries = [column.pop("entry") for column in columns]
        version = _store(conn, outbox, entries) if set_it else None
    if output == "json":
        print_json({"outbox": outbox, "version": version, "columns": columns, "row_schema": entries})
        return
    shown = [
        column | {"name": printable(column["name"]), "example": printable(column["example"] or "")}
        for column in columns
    ]
    print_table(f"Columns of outbox {outbox}", ("name", "type", "seen", "nulls", "example", "reason"), shown)
    typer.echo(_stored(outbox, version) if version is not None else _how_to_store(outbox, entries))


def show(database: DatabaseFlags, log: LogFlags, outbox: Outbox, output: Output = "table") -> None:
    """Show the row schemas that are stored for an outbox, and the pipelines whose configuration names them.

    Needs a monitor's rights in the database.
    """
    del log
    with _connected(database.postgres_url, "monitor") as conn, conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(statement("row_schema_list"), {"outbox": outbox}).fetchall()
        if not found:
            names = [row["outbox"] for row in cursor.execute(statement("row_schema_outboxes"))]
            raise _unknown(database.postgres_url, outbox, names)
    stored: list[Row] = [row for row in found if row["version"] is not None]
    if output == "json":
        print_json({"outbox": outbox, "row_schemas": stored})
        return
    shown = [
        row | {"columns": [printable(f"{c['name']} {c['type']}") for c in row["columns"]]} for row in stored
    ]
    columns = ("version", "columns", "origin", "pipelines", "created_at", "created_by", "comment")
    print_table(f"Row schemas of outbox {outbox}", columns, shown)


@contextmanager
def _connected(dsn: str, kind: str) -> Iterator[psycopg.Connection]:
    with open_connection(dsn, "row-schema") as conn:
        try:
            yield conn
        except psycopg.errors.InsufficientPrivilege as error:
            raise CommandError(
                f"{describe(dsn)}: {error.diag.message_primary}",
                cure=f"use a role with the rights of kind {kind}, or give them to this one: "
                f"select tide.role_grant('{kind}', '<role>');",
            ) from None


def _tell(notice: psycopg.errors.Diagnostic) -> None:
    typer.echo(f"{notice.message_primary}. {notice.message_hint or ''}".rstrip(), err=True)


def _store(conn: psycopg.Connection, outbox: str, entries: list[Row]) -> int:
    row = conn.execute(
        statement("row_schema_set"), {"outbox": outbox, "columns": json.dumps(entries)}
    ).fetchone()
    assert row is not None, "the function returns a version or raises"
    return int(row[0])


def _stored(outbox: str, version: int) -> str:
    return (
        f"Stored for outbox {outbox}: version {version}. A pipeline uses it by "
        f'"wire_config": {{"row_schema": {version}}} in its configuration.'
    )


def _how_to_store(outbox: str, entries: list[Row]) -> str:
    lines = ",\n".join(
        f"  {json.dumps(entry, ensure_ascii=not entry['name'].isprintable())}" for entry in entries
    )
    columns = _literal(f"[\n{lines}\n]")
    return (
        f"Nothing was stored. pg-tide row-schema infer {shlex.quote(outbox)} --set stores it; in SQL, where types can"
        " be changed:\n\n"
        f"select tide.row_schema_set({_literal(outbox)}, {columns}, origin => 'inferred');"
    )


def _literal(text: str) -> str:
    """A literal of SQL for people to paste, under standard_conforming_strings."""
    return "'" + text.replace("'", "''") + "'"


def _unknown(dsn: str, outbox: str, names: list[str]) -> CommandError:
    guess = nearest(outbox, names)
    return CommandError(
        f"{describe(dsn)}: outbox {outbox!r} does not exist",
        cure=f"did you mean {guess!r}?" if guess else "tide.outboxes lists the outboxes",
        code=ExitCode.USAGE,
    )
