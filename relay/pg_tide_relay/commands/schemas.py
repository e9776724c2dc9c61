"""``pg-tide schemas``."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pg_tide_relay.commands.failure import ExitCode
from pg_tide_relay.commands.flags import AllowEnv, DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.output import print_json, print_table
from pg_tide_relay.commands.stored import stored_pipelines
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT

if TYPE_CHECKING:
    from pg_tide_relay.schemas_ensure import EnsureSchemas

Pipeline = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE", show_default="all pipelines stored in the database", help="Name of a pipeline."
    ),
]
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
    code = _code(done)
    if output == "json":
        subjects, faults = map(asdict, done.findings), map(asdict, done.faults)
        print_json({"complete": code == ExitCode.OK, "subjects": list(subjects), "faults": list(faults)})
    else:
        _print(done)
    if code != ExitCode.OK:
        raise typer.Exit(code)


def _code(done: "EnsureSchemas") -> ExitCode:
    if done.faults:
        return ExitCode.CONFIGURATION
    states = {finding.state for finding in done.findings}
    if "registry away" in states:
        return ExitCode.TEMPORARY
    return ExitCode.OK if states.issubset(_THERE) else ExitCode.FAILURE


def _print(done: "EnsureSchemas") -> None:
    for fault in done.faults:
        hint = f" ({fault.hint})" if fault.hint else ""
        typer.echo(f"{fault.pipeline}: error: {fault.path}: {fault.message}{hint}")
    columns = ("pipeline", "subject", "state", "schema_id", "reason")
    print_table("Schemas", columns, map(asdict, done.findings))
