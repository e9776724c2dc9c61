"""``pg-tide replay``."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final

import psycopg
import typer
from typer.core import TyperGroup

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
from pg_tide_relay.commands.flags import DatabaseFlags, DryRun, LogFlags, Output
from pg_tide_relay.commands.output import print_json, print_table, printable

_WHY: Final = "a replay sends messages"

_OPEN: Final = ("waiting", "running")

Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="Name of the pipeline.")]
Ids = Annotated[
    list[int] | None,
    typer.Argument(metavar="[MESSAGE_ID]...", show_default=False, help="Only these messages."),
]


class ReplayGroup(TyperGroup):
    """``pg-tide replay PIPELINE`` is ``pg-tide replay send PIPELINE``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """What begins with no command's name is for ``send``."""
        if args and args[0] not in (*self.commands, "--help", "-h"):
            args.insert(0, "send")
        return super().parse_args(ctx, args)


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which messages; several conditions narrow the choice."""

    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            envvar="PG_TIDE_KEY",
            show_default="all",
            help="Only messages of this key; of those without a key, of this dedup key.",
        ),
    ] = None
    from_id: Annotated[
        int | None,
        typer.Option(
            "--from-id", envvar="PG_TIDE_FROM_ID", show_default="the oldest", help="Only from this id on."
        ),
    ] = None
    to_id: Annotated[
        int | None,
        typer.Option(
            "--to-id", envvar="PG_TIDE_TO_ID", show_default="the newest", help="Only up to this id."
        ),
    ] = None
    from_time: Annotated[
        str | None,
        typer.Option(
            "--from-time",
            metavar="TIME",
            envvar="PG_TIDE_FROM_TIME",
            show_default="the oldest",
            help="Only what was published then or later: '2026-03-01 08:00+01', 'yesterday', as PostgreSQL reads it.",
        ),
    ] = None
    to_time: Annotated[
        str | None,
        typer.Option(
            "--to-time",
            metavar="TIME",
            envvar="PG_TIDE_TO_TIME",
            show_default="the newest",
            help="Only what was published before.",
        ),
    ] = None
    matching: Annotated[
        str | None,
        typer.Option(
            "--matching",
            metavar="JSONPATH",
            envvar="PG_TIDE_MATCHING",
            show_default="all",
            help="Only payloads that match a path of PostgreSQL, such as '$ ? (@.total > 100)'.",
        ),
    ] = None
    everything: Annotated[
        bool, typer.Option("--all", envvar="PG_TIDE_ALL", help="Everything that the outbox holds.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class How:
    """Where to, with what, how fast, and whether in earnest."""

    to_topic: Annotated[
        str | None,
        typer.Option(
            "--to-topic",
            metavar="TOPIC",
            envvar="PG_TIDE_TO_TOPIC",
            show_default="where the pipeline sends them",
            help="Another topic, or a template of one such as 'again.{op}', instead of the pipeline's.",
        ),
    ] = None
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="NAME=VALUE",
            envvar="PG_TIDE_HEADER",
            show_default="none",
            help="A header that the records carry, in the place of others of its name; may be given several times "
            "(environment: separated by spaces).",
        ),
    ] = None
    max_messages_per_second: Annotated[
        int | None,
        typer.Option(
            "--max-messages-per-second",
            envvar="PG_TIDE_MAX_MESSAGES_PER_SECOND",
            min=1,
            show_default="the pipeline's limit",
            help="Send no more than so many a second; the pipeline's own limit counts, too.",
        ),
    ] = None
    dry_run: DryRun = False
    yes: Annotated[
        bool, typer.Option("--yes", "-y", envvar="PG_TIDE_YES", help="Do not ask before messages are sent.")
    ] = False
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", envvar="PG_TIDE_WAIT", help="Wait until the relay has sent them."),
    ] = True


def send(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Pipeline,
    which: Which,
    how: How,
    ids: Ids = None,
    output: Output = "table",
) -> None:
    """Send messages again beside the cursor, which stays where it is: the pipeline's relay does, in order within a key.

    Every record carries the replay's id in the header pg_tide_replay. Messages that were not delivered yet are left
    out; those that can't be delivered are counted, and the command ends with exit code 1.

    Says first what would be sent, and asks. Ctrl-C ends the waiting, not the replay: pg-tide replay cancel does.
    """
    del log
    values = asdict(which) | {
        "pipeline": pipeline,
        "ids": ids or None,
        "to_topic": how.to_topic,
        "headers": _headers(how.header),
        "max_messages_per_second": how.max_messages_per_second,
    }
    with connected(database.postgres_url, "replay", _WHY) as conn:
        asked = _ask(conn, values | {"dry_run": True})
        if output == "table":
            typer.echo(_said(asked))
        if not how.dry_run:
            count = asked["selected"] - asked["left_out"] - asked["gone"]
            if not how.yes and count:
                where = f" to {how.to_topic}" if how.to_topic else ""
                typer.confirm(
                    f"Send {count} messages of pipeline {pipeline!r} again{where}?", abort=True, err=True
                )
            asked = _ask(conn, values | {"dry_run": False})
        ended = _wait(conn, asked["replay_id"]) if how.wait and not how.dry_run else None
    if output == "json":
        print_json({"replay": asked | (ended or {}), "dry_run": how.dry_run})
    elif how.dry_run:
        typer.echo("Nothing was done.")
    else:
        typer.echo(_told(asked["replay_id"], ended))
    if ended is not None and (ended["state"] != "done" or ended["failed"]):
        raise typer.Exit(ExitCode.FAILURE)


def list_replays(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Annotated[
        str | None,
        typer.Argument(metavar="[PIPELINE]", show_default="all pipelines", help="Name of a pipeline."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", envvar="PG_TIDE_LIMIT", min=1, max=100_000, help="Most rows to show.")
    ] = 20,
    output: Output = "table",
) -> None:
    """List replays, the newest first: how far each is, what stands in its way, and who asked for it.

    Those at their end are kept for 30 days.
    """
    del log
    with connected(database.postgres_url, "replay", _WHY) as conn:
        if pipeline is not None:
            check_pipeline(conn, database.postgres_url, pipeline)
        found = rows_of(conn, "replay_list", pipeline=pipeline, limit=limit)
    if output == "json":
        print_json({"replays": found})
        return
    counts = ("selected", "sent", "failed", "left_out", "gone")
    columns = ("replay_id", "pipeline", "state", *counts, "error", "requested_by", "requested_at")
    rows = [row | {"error": row["error"] or row["first_error"]} for row in found]
    print_table("Replays", columns, map(printable_row, rows))


def cancel(
    database: DatabaseFlags,
    log: LogFlags,
    replay_id: Annotated[int, typer.Argument(metavar="REPLAY_ID", help="Id of the replay.")],
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason", envvar="PG_TIDE_REASON", show_default="none", help="Why; it is kept with the replay."
        ),
    ] = None,
) -> None:
    """End a replay that waits or runs: nothing more of it is sent within a second. What was sent stays sent."""
    del log
    with connected(database.postgres_url, "replay", _WHY) as conn:
        rows_of(conn, "replay_cancel", replay_id=replay_id, reason=reason)
    typer.echo(f"Replay {replay_id} is cancelled.")


def _headers(given: Sequence[str] | None) -> str | None:
    named = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals:
            raise CommandError(
                f"--header {one!r} has no value",
                cure="write --header NAME=VALUE",
                code=ExitCode.USAGE,
            )
        named[name] = value
    return json.dumps(named) if named else None


def _ask(conn: psycopg.Connection, values: Row) -> Row:
    try:
        (row,) = rows_of(conn, "replay_ask", **values)
    except (psycopg.errors.DataError, psycopg.errors.SyntaxError) as error:
        if (error.sqlstate or "").startswith("TD"):
            raise
        raise CommandError(
            f"PostgreSQL can't read what was given: {error.diag.message_primary}",
            cure="times are written '2026-03-01 08:00+01', paths '$ ? (@.total > 100)'",
            code=ExitCode.USAGE,
        ) from None
    return row


def _said(asked: Row) -> str:
    """What would be sent."""
    count = asked["selected"] - asked["left_out"] - asked["gone"]
    lines = [f"Messages to send again: {count}"]
    if asked["oldest_id"] is not None:
        lines.append(f"  from id {asked['oldest_id']}, published {asked['oldest_at']:%Y-%m-%d %H:%M:%S%z}")
        lines.append(f"  to id {asked['newest_id']}, published {asked['newest_at']:%Y-%m-%d %H:%M:%S%z}")
    if asked["left_out"]:
        lines.append(f"Left out, because they were not delivered yet: {asked['left_out']}")
    if asked["gone"]:
        lines.append(f"Not in the outbox: {asked['gone']}")
    return "\n".join(lines)


def _told(replay_id: int, ended: Row | None) -> str:
    """What became of it."""
    if ended is None:
        return f"Replay {replay_id} is stored: pg-tide replay list shows how far it is."
    names = ("sent", "filtered", "failed", "left_out", "gone")
    counts = ", ".join(
        f"{ended[name]} {name.replace('_', ' ')}" for name in names if ended[name] or name == "sent"
    )
    lines = [f"Replay {replay_id} is {ended['state']}: {counts}."]
    if ended["first_error"]:
        lines.append(f"The first that failed is message {ended['first_failed_id']}: {ended['first_error']}")
    lines += [str(ended[name]) for name in ("error", "cure", "reason") if ended[name]]
    return "\n".join(map(printable, lines))


def _wait(conn: psycopg.Connection, replay_id: int) -> Row:
    """Show progress until it is at its end."""
    (row,) = rows_of(conn, "replay_progress", replay_id=replay_id)
    try:
        with Waiting("sent again", row["selected"]) as waiting:
            while row["state"] in _OPEN:
                done = sum(row[name] for name in ("sent", "filtered", "failed", "left_out", "gone"))
                waiting.show(done, printable(row["error"] or ""))
                time.sleep(LOOK_EVERY_S)
                (row,) = rows_of(conn, "replay_progress", replay_id=replay_id)
    except KeyboardInterrupt:
        typer.echo(f"Replay {replay_id} goes on; pg-tide replay cancel {replay_id} ends it.", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    return row
