"""``pg-tide status``."""

from typing import Any

import typer
from psycopg.rows import dict_row

from pg_tide_relay.commands.flags import DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.output import print_json, print_table
from pg_tide_relay.connect import describe, open_connection
from pg_tide_sql.statements import statement
from pg_tide_sql.versions import RELEASE, SCHEMA_VERSION

Row = dict[str, Any]


def status(database: DatabaseFlags, log: LogFlags, output: Output = "table") -> None:
    """Show the schema version, the pipelines with their states and errors, their lag, and the relays.

    Reads what the role tide_monitor may read. Pending messages are counted exactly up to 100,000.
    """
    del log
    found = _read(database.postgres_url)
    if output == "json":
        print_json(found)
    else:
        _print(found, describe(database.postgres_url))


def _read(dsn: str) -> dict[str, Any]:
    with open_connection(dsn, "status") as conn, conn.cursor(row_factory=dict_row) as cursor:
        schema = cursor.execute(statement("status_schema")).fetchone() or {}
        return {
            "program": {"release": RELEASE, "schema_version": SCHEMA_VERSION},
            "schema": schema,
            "pipelines": cursor.execute(statement("status_pipelines")).fetchall(),
            "lag": cursor.execute(statement("status_lag")).fetchall(),
            "relays": cursor.execute(statement("status_relays")).fetchall(),
        }


def _print(found: dict[str, Any], place: str) -> None:
    schema, program = found["schema"], found["program"]
    typer.echo(
        f"Schema tide has version {schema.get('version')} (release {schema.get('release')}) in {place}; "
        f"this program brings version {program['schema_version']} (release {program['release']}).\n"
    )
    columns = ("pipeline", "outbox", "consumer_group", "state", "owner", "since")
    print_table("Pipelines", columns, found["pipelines"])
    _print_errors(found["pipelines"])
    lag: list[Row] = [row | {"pending": row["pending_text"]} for row in found["lag"]]
    print_table("Lag", ("outbox", "consumer_group", "pipeline", "pending", "oldest_age", "settled_at"), lag)
    print_table(
        "Relays", ("relay_id", "host", "pid", "release", "state", "seen_at", "pipelines"), found["relays"]
    )


def _print_errors(pipelines: list[Row]) -> None:
    for row in pipelines:
        if row["resharding"] is not None:
            typer.echo(f"{row['pipeline']}: its shards change, {row['resharding']}; see tide.shards\n")
        if row["throttled_ms"] is not None:
            typer.echo(
                f"{row['pipeline']}: a quota of the cluster makes it wait, up to {row['throttled_ms']} ms\n"
            )
        if row["error"] is None:
            continue
        about = f", message {row['message_id']}" if row["message_id"] is not None else ""
        typer.echo(f"{row['pipeline']} ({row['error_class']}{about}): {row['error']}")
        if row["cure"]:
            typer.echo(f"  what to do: {row['cure']}")
        if row["next_attempt_at"] is not None:
            again_at = row["next_attempt_at"].isoformat(sep=" ", timespec="seconds")
            typer.echo(f"  attempts that failed: {row['attempts']}; the next one is at {again_at}")
        typer.echo()
