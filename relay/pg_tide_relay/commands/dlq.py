"""``pg-tide dlq``."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, cast

import psycopg
import typer
from psycopg.rows import dict_row
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.flags import DatabaseFlags, DryRun, LogFlags, Output, Yes
from pg_tide_relay.commands.output import print_json, print_table, printable
from pg_tide_relay.config.nearest import nearest
from pg_tide_relay.connect import describe, open_connection
from pg_tide_sql.statements import statement

_LOOK_EVERY_S: Final = 0.2
_SAY_EVERY_S: Final = 5.0  # where there is no terminal to draw a bar on

Row = dict[str, Any]

Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="Name of the pipeline.")]
Ids = Annotated[
    list[int] | None, typer.Argument(metavar="[MESSAGE_ID]...", show_default=False, help="Ids of messages.")
]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which dead letters, and whether in earnest."""

    key: Annotated[
        str | None,
        typer.Option(
            "--key", envvar="PG_TIDE_KEY", show_default="all", help="Those of this message or record key."
        ),
    ] = None
    error_class: Annotated[
        str | None,
        typer.Option(
            "--error-class",
            envvar="PG_TIDE_ERROR_CLASS",
            show_default="all",
            help="Those of this class of error.",
        ),
    ] = None
    error_code: Annotated[
        str | None,
        typer.Option(
            "--error-code",
            envvar="PG_TIDE_ERROR_CODE",
            show_default="all",
            help="Those with this code, such as MSG_SIZE_TOO_LARGE.",
        ),
    ] = None
    matching: Annotated[
        str | None,
        typer.Option(
            "--matching",
            metavar="JSONPATH",
            envvar="PG_TIDE_MATCHING",
            show_default="all",
            help="Those whose payload matches a path of PostgreSQL, such as '$ ? (@.total > 100)'.",
        ),
    ] = None
    everything: Annotated[bool, typer.Option("--all", envvar="PG_TIDE_ALL", help="All of the pipeline.")] = (
        False
    )
    dry_run: DryRun = False


def list_letters(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Annotated[
        str | None,
        typer.Argument(metavar="[PIPELINE]", show_default="all pipelines", help="Name of a pipeline."),
    ] = None,
    closed: Annotated[
        bool,
        typer.Option("--closed", envvar="PG_TIDE_CLOSED", help="Those too that were redriven or discarded."),
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", envvar="PG_TIDE_LIMIT", min=1, max=100_000, help="Most rows to show.")
    ] = 100,
    output: Output = "table",
) -> None:
    """List dead letters: messages that can't be delivered (dead) and those that wait behind them (parked).

    Payloads are not shown; pg-tide dlq show PIPELINE MESSAGE_ID shows one whole.
    """
    del log
    states = ["dead", "parked", "redriving", *(["redriven", "discarded"] if closed else [])]
    with _connected(database.postgres_url) as conn:
        if pipeline is not None:
            _check_pipeline(conn, database.postgres_url, pipeline)
        found = _rows(conn, "dlq_list", pipeline=pipeline, states=states, limit=limit + 1)
    shown = found[:limit]
    if output == "json":
        print_json({"dead_letters": shown, "complete": len(found) <= limit})
        return
    columns = (
        "pipeline",
        "message_id",
        "state",
        "ordering_key",
        "error_code",
        "error",
        "attempts",
        "died_at",
    )
    print_table("Dead letters", columns, map(_printable, shown))
    if len(found) > limit:
        typer.echo(f"There are more: --limit {limit} shows the first {limit}.", err=True)


def show_letter(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Pipeline,
    message_id: Annotated[int, typer.Argument(metavar="MESSAGE_ID", help="Id of the message.")],
    output: Output = "table",
) -> None:
    """Show one dead letter whole: the message, what happened to it, and who did what about it."""
    del log
    with _connected(database.postgres_url) as conn:
        _check_pipeline(conn, database.postgres_url, pipeline)
        found = _rows(conn, "dlq_show", pipeline=pipeline, message_id=message_id)
    if not found:
        raise CommandError(
            f"pipeline {pipeline!r} has no dead letter of message {message_id}",
            cure=f"pg-tide dlq list {pipeline} shows those that it has",
        )
    if output == "json":
        print_json({"dead_letters": found})
        return
    for letter in found:
        rows = [{"name": name, "value": value} for name, value in _printable(letter).items()]
        print_table(f"Message {message_id}", ("name", "value"), rows)


def redrive(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Pipeline,
    choice: Choice,
    ids: Ids = None,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", envvar="PG_TIDE_WAIT", help="Wait until the relay has sent them."),
    ] = True,
    output: Output = "table",
) -> None:
    """Send dead letters again: the pipeline's relay does, in order within a key, with the configuration of now.

    Messages that are parked behind them follow. One that fails again is dead again, with one attempt more, and the
    command ends with exit code 1. Several conditions narrow the choice.
    """
    del log
    with _connected(database.postgres_url) as conn:
        planned = _rows(conn, "dlq_redrive", pipeline=pipeline, ids=ids or None, **asdict(choice))
        sent = [row["message_id"] for row in planned if not row["action"].startswith("waits")]
        failed = 0
        if output == "table":
            _tell(planned)
        if wait and sent and not choice.dry_run:
            failed = _wait(conn, pipeline, sent)
    if output == "json":
        print_json({"dead_letters": planned, "dry_run": choice.dry_run, "failed_again": failed})
    elif choice.dry_run:
        typer.echo("Nothing was done.")
    if failed:
        typer.echo(f"{failed} of {len(sent)} were not delivered: pg-tide dlq list {pipeline}", err=True)
        raise typer.Exit(ExitCode.FAILURE)


def discard(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Pipeline,
    reason: Annotated[
        str, typer.Option("--reason", envvar="PG_TIDE_REASON", help="Why; it is kept with the dead letter.")
    ],
    choice: Choice,
    ids: Ids = None,
    yes: Yes = False,
    output: Output = "table",
) -> None:
    """Give dead letters up. They are not sent any more; messages parked behind them are.

    They are kept, with the reason, until dlq.retention_days are over.
    """
    del log
    values = asdict(choice) | {"pipeline": pipeline, "reason": reason, "ids": ids or None}
    with _connected(database.postgres_url) as conn:
        # Asked between two transactions: a relay must not wait for rows while somebody thinks.
        planned = _rows(conn, "dlq_discard", **values | {"dry_run": True})
        if output == "table":
            _tell(planned)
        if planned and not choice.dry_run:
            if not yes:
                typer.confirm(
                    f"Discard {len(planned)} dead letters of pipeline {pipeline!r}?", abort=True, err=True
                )
            planned = _rows(conn, "dlq_discard", **values)
    if output == "json":
        print_json({"dead_letters": planned, "dry_run": choice.dry_run})
    else:
        typer.echo("Nothing was done." if choice.dry_run else f"Discarded: {len(planned)}.")


def _tell(planned: Sequence[Row]) -> None:
    columns = ("message_id", "action", "ordering_key", "code", "error", "attempts")
    print_table("Dead letters", columns, map(_printable, planned))


def _wait(conn: psycopg.Connection, pipeline: str, ids: Sequence[int]) -> int:
    """Show progress until none is to be sent any more; how many were not delivered."""
    is_terminal = sys.stderr.isatty()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    said = 0.0
    with Progress(*columns, console=console, disable=not is_terminal, transient=True) as progress:
        task = progress.add_task("sending again", total=len(ids))
        while True:
            ((left, redriven, owner),) = conn.execute(
                statement("dlq_progress"), {"pipeline": pipeline, "ids": list(ids)}
            ).fetchall()
            nobody = "" if owner else ": no relay runs the pipeline"
            progress.update(task, completed=len(ids) - left, description=f"sending again{nobody}")
            if left == 0:
                return len(ids) - cast(int, redriven)
            if not is_terminal and time.monotonic() - said > _SAY_EVERY_S:
                said = time.monotonic()
                typer.echo(f"{len(ids) - left} of {len(ids)} sent again{nobody}", err=True)
            time.sleep(_LOOK_EVERY_S)


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection]:
    with open_connection(dsn, "dlq") as conn:
        conn.autocommit = True  # what is asked for has to be seen by the relay while it is waited for
        conn.add_notice_handler(lambda notice: typer.echo(notice.message_primary, err=True))
        try:
            yield conn
        except psycopg.errors.InsufficientPrivilege as error:
            raise CommandError(
                f"{describe(dsn)}: {error.diag.message_primary}",
                cure="use a role with the rights of kind admin, because dead letters hold payloads: "
                "select tide.role_grant('admin', '<role>');",
            ) from None


def _rows(conn: psycopg.Connection, name: str, **values: object) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement(name), values).fetchall()


def _check_pipeline(conn: psycopg.Connection, dsn: str, pipeline: str) -> None:
    names = [row["pipeline"] for row in _rows(conn, "dlq_pipelines")]
    if pipeline not in names:
        guess = nearest(pipeline, names)
        raise CommandError(
            f"{describe(dsn)}: pipeline {pipeline!r} does not exist",
            cure=f"did you mean {guess!r}?" if guess else "tide.pipelines lists the pipelines",
            code=ExitCode.USAGE,
        )


def _printable(row: Row) -> Row:
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}
