"""Pipelines as they are stored, for commands that look into their configurations."""

from typing import Any

from psycopg.errors import InsufficientPrivilege

from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.connect import describe, open_connection
from pg_tide_sql.statements import statement


def stored_pipelines(dsn: str, pipeline: str | None, command: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, outbox and configuration of one pipeline, or of all; raises CommandError. ``command`` is who asks."""
    with open_connection(dsn, command) as conn:
        try:
            stored = list(conn.execute(statement("topics_pipelines"), {"pipeline": pipeline}))
        except InsufficientPrivilege:
            raise CommandError(
                f"{describe(dsn)} may not read the configurations of pipelines",
                cure="use the role of a relay, or give this one its rights: "
                "select tide.role_grant('relay', '<role>');",
            ) from None
    if pipeline is not None and not stored:
        raise CommandError(
            f"{describe(dsn)}: no pipeline is named {pipeline!r}",
            cure="pg-tide status lists the pipelines",
            code=ExitCode.USAGE,
        )
    return stored
