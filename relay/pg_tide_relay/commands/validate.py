"""``pg-tide validate``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pg_tide_relay.commands.config_file import read_config
from pg_tide_relay.commands.failure import ExitCode
from pg_tide_relay.commands.flags import DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.output import print_json
from pg_tide_relay.connect import open_connection
from pg_tide_relay.preview import problems_of
from pg_tide_sql.statements import statement

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        show_default="all pipelines stored in the database",
        help="A JSON file with the configuration of one pipeline; - reads stdin.",
    ),
]


def validate(database: DatabaseFlags, log: LogFlags, file: File = None, output: Output = "table") -> None:
    """Check configurations of pipelines: a file without any database, or all that are stored in one.

    The rules are those of tide.relay_set_outbox, and expressions are compiled, which only the relay can;
    everything that is wrong is told at once, each with its path. References such as ${env:KAFKA_PASSWORD}
    are checked for their form only: their values are the relay's. Exit code 78 when something is wrong;
    warnings alone are no error.
    """
    del log
    configurations = _stored(database.postgres_url) if file is None else [(str(file), read_config(file))]
    findings = [
        {
            "source": name,
            "path": problem.path,
            "severity": problem.severity,
            "message": problem.message,
            "hint": problem.hint,
        }
        for name, configuration in configurations
        for problem in problems_of(configuration)
    ]
    errors = sum(finding["severity"] == "error" for finding in findings)
    if output == "json":
        print_json(
            {"checked": [name for name, _ in configurations], "valid": errors == 0, "findings": findings}
        )
    else:
        _print(len(configurations), errors, findings)
    if errors:
        raise typer.Exit(ExitCode.CONFIGURATION)


def _print(checked: int, errors: int, findings: list[dict[str, Any]]) -> None:
    for finding in findings:
        hint = f" ({finding['hint']})" if finding["hint"] else ""
        typer.echo(
            f"{finding['source']}: {finding['severity']}: {finding['path']}: {finding['message']}{hint}"
        )
    warnings = len(findings) - errors
    typer.echo(f"Configurations checked: {checked}; errors: {errors}; warnings: {warnings}.")


def _stored(dsn: str) -> list[tuple[str, Any]]:
    with open_connection(dsn, "validate") as conn:
        return list(conn.execute(statement("validate_pipelines")))
