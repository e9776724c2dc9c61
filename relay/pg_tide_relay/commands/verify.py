"""``pg-tide verify``."""

import os
from typing import Annotated

import typer

from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.flags import AllowEnv, DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.looking import looking_into, shaping
from pg_tide_relay.commands.output import print_json
from pg_tide_relay.commands.verify_output import Progress, as_json, as_text
from pg_tide_relay.config.load import load_pipeline_config
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT
from pg_tide_relay.connect import open_connection
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.preview import compile_stored
from pg_tide_relay.verify.findings import Report
from pg_tide_relay.wire_types import Origin

Pipeline = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="Name of the pipeline, as in tide.pipelines.")
]
From = Annotated[
    int | None,
    typer.Option(
        "--from",
        envvar="PG_TIDE_FROM",
        metavar="ID",
        min=0,
        max=2**63 - 1,
        show_default="the oldest that the outbox holds",
        help="Compare from this message on.",
    ),
]
To = Annotated[
    int | None,
    typer.Option(
        "--to",
        envvar="PG_TIDE_TO",
        metavar="ID",
        min=0,
        max=2**63 - 1,
        show_default="the newest",
        help="Compare up to this message.",
    ),
]
Limit = Annotated[
    int,
    typer.Option(
        "--limit",
        envvar="PG_TIDE_LIMIT",
        min=1,
        max=1_000_000_000,
        help="Compare at most so many of the newest messages; each million takes about 50 MB of memory.",
    ),
]


def verify(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Pipeline,
    from_id: From = None,
    to_id: To = None,
    limit: Limit = 1_000_000,
    allow_env: AllowEnv = None,
    output: Output = "table",
) -> None:
    """Compare what an outbox holds with what the topics of a pipeline hold: is anything lost, repeated, out of order?

    Every message that the cursor has settled, and that the filter lets through, must have a record on the topic
    that the pipeline's configuration, as it is now, leads it to. Told are gaps, records of a key out of order,
    duplicates, phantoms (records of messages that the database does not know, as an asynchronous fail-over
    leaves them), and records that this configuration would not send there. Only what both sides still hold is
    compared; the answer says which messages that are.

    Nothing is changed: the database is read in one read-only transaction, topics by a consumer that commits
    nothing. It may be run while relays run. It reads the topics whole, so it takes its time.

    Needs the rights of a relay in the database, and on Kafka the pipeline's user must be allowed to read (READ and
    DESCRIBE on the topics; DESCRIBE_CONFIGS to know whether they are compacted). References such as
    ${env:KAFKA_PASSWORD} are resolved in the environment of this command.

    Exit code 0: nothing is missing or out of order, also with duplicates and phantoms; 1: something is; 75:
    the database, the cluster or the schema registry is away; 78: the configuration can't be used.
    """
    del log
    progress = Progress()
    try:
        report = _compared(
            database.postgres_url, pipeline, from_id, to_id, limit, tuple(allow_env or ()), progress
        )
    finally:
        progress.end()
    if output == "json":
        print_json(as_json(report))
    else:
        typer.echo(as_text(report))
    if not report.findings.is_clean:
        raise typer.Exit(ExitCode.FAILURE)


def _compared(
    dsn: str,
    pipeline: str,
    from_id: int | None,
    to_id: int | None,
    limit: int,
    allow_env: tuple[str, ...],
    progress: Progress,
) -> Report:
    # Loads librdkafka, which most commands do not need.
    from confluent_kafka import KafkaException  # noqa: PLC0415

    from pg_tide_relay.kafka_errors import classify  # noqa: PLC0415
    from pg_tide_relay.verify.compare import Asked, Comparison  # noqa: PLC0415
    from pg_tide_relay.verify.outbox import OutboxReader  # noqa: PLC0415

    allowed = (*ALLOWED_BY_DEFAULT, *allow_env)
    with looking_into(dsn, pipeline), open_connection(dsn, "verify") as conn:
        outbox = OutboxReader(conn, pipeline)
        found = outbox.found
        with shaping(f"pipeline {pipeline!r}"):
            shape = compile_stored(
                found.config, Origin(found.outbox, found.database), os.environ, allowed
            ).shape
            config = load_pipeline_config(found.config, os.environ, allowed)
            asked = Asked(pipeline=pipeline, from_id=from_id, to_id=to_id, limit=limit)
            try:
                return Comparison(asked, outbox, shape, config, progress.tell).run()
            except KafkaException as unread:
                error = unread.args[0]
                is_away = classify(error) is ErrorClass.CLUSTER_AWAY
                raise CommandError(
                    f"the topics of pipeline {pipeline!r} on {config.brokers} can't be read: "
                    f"{error.str()} ({error.name()})",
                    cure="try again when the cluster answers"
                    if is_away
                    else "give the pipeline's user the rights to describe and to read them",
                    code=ExitCode.TEMPORARY if is_away else ExitCode.FAILURE,
                ) from None
