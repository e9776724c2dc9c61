"""``pg-tide schemas``."""

import os
from typing import Annotated

import typer

from pg_tide_relay.commands.ensured import Pipeline, tell
from pg_tide_relay.commands.flags import AllowEnv, DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.stored import stored_pipelines
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT

Register = Annotated[
    bool,
    typer.Option(
        "--register",
        envvar="PG_TIDE_REGISTER",
        help="Register the schemas that are missing, where the registry finds them compatible.",
    ),
]
_THERE = ("registered", "created", "depends on messages")


def ensure_schemas(
    database: DatabaseFlags,
    log: LogFlags,
    pipeline: Pipeline = None,
    register: Register = False,
    allow_env: AllowEnv = None,
    output: Output = "table",
) -> None:
    """Say whether the schema registry has the schemas of pipelines, and register those that are missing.

    Without --register nothing is changed: for each subject it shows the schema's id, or whether the schema would be
    compatible, or why not. With it they are registered, whatever schema_registry.auto_register says.

    Looked for are the subjects that are known before there is a message; where the topic is a template that asks
    for more than outbox and op, the subject is listed as it is. Pipelines without a schema registry have none.

    Needs a relay's rights in the database. References such as ${env:SCHEMA_REGISTRY_PASSWORD} are resolved in the
    environment of this command, as the relay does it in its own.

    Exit code 0: every schema is registered; 1: one is missing, incompatible or refused; 75: a registry is away;
    78: a configuration is invalid.
    """
    del log
    stored = stored_pipelines(database.postgres_url, pipeline, "schemas")
    # Loads an HTTP client.
    from pg_tide_relay.schemas_ensure import EnsureSchemas  # noqa: PLC0415

    done = EnsureSchemas(
        register=register, environ=os.environ, allowed=(*ALLOWED_BY_DEFAULT, *(allow_env or ()))
    )
    for name, outbox, config in stored:
        done.pipeline(name, outbox, config)
    tell(
        done,
        noun="subjects",
        columns=("pipeline", "subject", "state", "schema_id", "reason"),
        there=_THERE,
        away="registry away",
        output=output,
    )
