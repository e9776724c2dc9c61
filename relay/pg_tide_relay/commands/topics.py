"""``pg-tide topics``."""

import os
from typing import Annotated

import typer

from pg_tide_relay.commands.ensured import Pipeline, tell
from pg_tide_relay.commands.flags import AllowEnv, DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.stored import stored_pipelines
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT

Create = Annotated[
    bool,
    typer.Option(
        "--create",
        envvar="PG_TIDE_CREATE",
        help="Create the topics that are missing, where the pipeline's topics.policy is create.",
    ),
]
_THERE = ("exists", "created", "depends on messages")


def ensure(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Pipeline = None,
    create: Create = False,
    allow_env: AllowEnv = None,
    output: Output = "table",
) -> None:
    """Say whether the topics of pipelines exist on their clusters, and create those that are missing.

    Without --create nothing is changed. With it the relay's own way is taken: topics.partitions,
    topics.replication and topics.configs of the pipeline decide, and topics that exist are left as they are.

    Looked for are the topics that are known before there is a message: {stream_table} is filled in, {op} stands
    for three topics, and those of routing rules count too. A template that asks for more is listed as it is.

    Needs a relay's rights in the database. References such as ${env:KAFKA_PASSWORD} are resolved in the
    environment of this command, as the relay does it in its own.

    Exit code 0: every topic is there; 1: one is missing, or the cluster does not say; 75: a cluster is away;
    78: a configuration is invalid.
    """
    del log
    stored = stored_pipelines(database.postgres_url, pipeline, "topics")
    # Loads librdkafka.
    from pg_tide_relay.topics_ensure import Ensure  # noqa: PLC0415

    done = Ensure(create=create, environ=os.environ, allowed=(*ALLOWED_BY_DEFAULT, *(allow_env or ())))
    for name, outbox, config in stored:
        done.pipeline(name, outbox, config)
    tell(
        done,
        noun="topics",
        columns=("pipeline", "topic", "policy", "state", "reason"),
        there=_THERE,
        away="cluster away",
        output=output,
    )
