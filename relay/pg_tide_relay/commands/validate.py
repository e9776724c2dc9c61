"""``pg-tide validate``."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.flags import DatabaseFlags, LogFlags, Output
from pg_tide_relay.commands.output import print_json
from pg_tide_relay.config.load import validate_stored
from pg_tide_relay.connect import open_connection
from pg_tide_relay.transform import expression_problems
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
    configurations = _stored(database.postgres_url) if file is None else [(str(file), _from_file(file))]
    findings = [
        {
            "source": name,
            "path": problem.path,
            "severity": problem.severity,
            "message": problem.message,
            "hint": problem.hint,
        }
        for name, configuration in configurations
        for problem in (*validate_stored(configuration), *expression_problems(configuration))
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


def _from_file(file: Path) -> Any:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(
            f"{file} can't be read: {reason}", cure="name a JSON file", code=ExitCode.USAGE
        ) from None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise CommandError(
            f"{file} is no JSON: {error}",
            cure="write one JSON object, as in tide.relay_set_outbox",
            code=ExitCode.CONFIGURATION,
        ) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value in JSON")
