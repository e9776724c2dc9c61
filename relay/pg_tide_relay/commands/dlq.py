"""``pg-tide dlq``."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final, cast

import psycopg
import typer

from pg_tide_relay.commands.administering import (
    LOOK_EVERY_S,
    Row,
    Waiting,
    check_pipeline,
    connected,
    printable_row,
    rows_of,
)
from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.flags import DatabaseFlags, DryRun, LogFlags, Output, Yes
from pg_tide_relay.commands.output import print_json, print_table
from pg_tide_sql.statements import statement

_WHY: Final = "dead letters hold payloads"

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
    with connected(database.postgres_url, "dlq", _WHY) as conn:
        if pipeline is not None:
            check_pipeline(conn, database.postgres_url, pipeline)
        found = rows_of(conn, "dlq_list", pipeline=pipeline, states=states, limit=limit + 1)
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
    print_table("Dead letters", columns, map(printable_row, shown))
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
    with connected(database.postgres_url, "dlq", _WHY) as conn:
        check_pipeline(conn, database.postgres_url, pipeline)
        found = rows_of(conn, "dlq_show", pipeline=pipeline, message_id=message_id)
    if not found:
        raise CommandError(
            f"pipeline {pipeline!r} has no dead letter of message {message_id}",
            cure=f"pg-tide dlq list {pipeline} shows those that it has",
        )
    if output == "json":
        print_json({"dead_letters": found})
        return
    for letter in found:
        rows = [{"name": name, "value": value} for name, value in printable_row(letter).items()]
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
    with connected(database.postgres_url, "dlq", _WHY) as conn:
        planned = rows_of(conn, "dlq_redrive", pipeline=pipeline, ids=ids or None, **asdict(choice))
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
    with connected(database.postgres_url, "dlq", _WHY) as conn:
        # Asked between two transactions: a relay must not wait for rows while somebody thinks.
        planned = rows_of(conn, "dlq_discard", **values | {"dry_run": True})
        if output == "table":
            _tell(planned)
        if planned and not choice.dry_run:
            if not yes:
                typer.confirm(
                    f"Discard {len(planned)} dead letters of pipeline {pipeline!r}?", abort=True, err=True
                )
            planned = rows_of(conn, "dlq_discard", **values)
    if output == "json":
        print_json({"dead_letters": planned, "dry_run": choice.dry_run})
    else:
        typer.echo("Nothing was done." if choice.dry_run else f"Discarded: {len(planned)}.")


def _tell(planned: Sequence[Row]) -> None:
    columns = ("message_id", "action", "ordering_key", "code", "error", "attempts")
    print_table("Dead letters", columns, map(printable_row, planned))


def _wait(conn: psycopg.Connection, pipeline: str, ids: Sequence[int]) -> int:
    """Show progress until none is to be sent any more; how many were not delivered."""
    with Waiting("sent again", len(ids)) as waiting:
        while True:
            ((left, redriven, owner),) = conn.execute(
                statement("dlq_progress"), {"pipeline": pipeline, "ids": list(ids)}
            ).fetchall()
            if left == 0:
                return len(ids) - cast(int, redriven)
            waiting.show(len(ids) - left, "" if owner else "no relay runs the pipeline")
            time.sleep(LOOK_EVERY_S)
