"""``pg-tide preview``."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from pg_tide_relay.commands.config_file import read_config
from pg_tide_relay.commands.failure import ExitCode
from pg_tide_relay.commands.flags import AllowEnv, DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.looking import looking_into, shaping
from pg_tide_relay.commands.output import print_json
from pg_tide_relay.commands.preview_output import as_json, as_text
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT
from pg_tide_relay.connect import open_connection
from pg_tide_relay.peek import Peek, Tried, peek
from pg_tide_relay.preview import Previewed, compile_stored, problems_of
from pg_tide_relay.preview import preview as preview_rows
from pg_tide_relay.wire_types import Origin

_LIMIT_MAX: Final = 1_000

Pipeline = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="Name of the pipeline, as in tide.pipelines.")
]
Limit = Annotated[
    int,
    typer.Option(
        "--limit", envvar="PG_TIDE_LIMIT", min=1, max=_LIMIT_MAX, help="How many messages to show at most."
    ),
]
From = Annotated[
    int | None,
    typer.Option(
        "--from",
        envvar="PG_TIDE_FROM",
        metavar="ID",
        min=0,
        max=2**63 - 1,
        show_default="where the cursor of the pipeline's group stands",
        help="Start at this message, or the next one there is, whether or not it was sent already.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="PG_TIDE_CONFIG",
        metavar="FILE",
        show_default="the one stored in the database",
        help="A JSON file with the configuration to try; - reads stdin.",
    ),
]


def preview(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Pipeline,
    limit: Limit = 5,
    from_id: From = None,
    config: Config = None,
    allow_env: AllowEnv = None,
    output: Output = "table",
) -> None:
    """Show what a pipeline would send next: each message, and the record that it becomes. Nothing is sent.

    Begins where the cursor of the pipeline's group stands, or at --from; for each message it shows topic, key,
    headers and value byte for byte as the relay would produce them, or that the message is filtered, or the
    error that would stop the pipeline there. Only ts_ms, ts_us and ts_ns of a Debezium event are the preview's
    own. Neither moves nor locks anything, needs no Kafka, and may be used while relays run: what they have sent
    and not settled yet is shown, too. Whether Kafka would take a record (its size, the topic) is not asked.

    Where the wire format needs a schema registry, that is asked, with the pipeline's own user, and nothing is
    registered there.

    --config FILE tries another configuration on the same messages, before tide.relay_set_outbox stores it.

    Needs the rights of a relay: select tide.role_grant('relay', '<role>'). References such as
    ${env:TIDE_REGION} are looked up in this environment where a record depends on them; passwords and
    addresses are not needed.

    Exit code 1 when a message is in error, 75 when the schema registry is away, 78 when the configuration can't
    be used.
    """
    del log
    tried = None if config is None else Tried(read_config(config))
    found = _peek(database.postgres_url, pipeline, limit, from_id, tried)
    source = f"pipeline {pipeline!r}" if config is None else str(config)
    messages = _shaped(source, found, (*ALLOWED_BY_DEFAULT, *(allow_env or ())))
    if output == "json":
        print_json(as_json(pipeline, found, from_id, messages))
    else:
        typer.echo(as_text(pipeline, found, from_id, messages))
    if any(message.outcome == "error" for message in messages):
        raise typer.Exit(ExitCode.FAILURE)


def _shaped(source: str, found: Peek, allowed: tuple[str, ...]) -> list[Previewed]:
    for problem in problems_of(found.config):
        if problem.severity == "warning":
            typer.echo(f"{source}: warning: {problem}", err=True)
    with shaping(source):
        compiled = compile_stored(found.config, Origin(found.outbox, found.database), os.environ, allowed)
        return preview_rows(compiled, found.rows)


def _peek(dsn: str, pipeline: str, limit: int, from_id: int | None, tried: Tried | None) -> Peek:
    with looking_into(dsn, pipeline), open_connection(dsn, "preview") as conn:
        return peek(conn, pipeline, limit, from_id, tried)
