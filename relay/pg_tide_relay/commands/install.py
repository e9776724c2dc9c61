"""``pg-tide install`` and what ``upgrade`` shares with it."""

from typing import Annotated

import typer

from pg_tide_relay.commands.flags import DatabaseFlags, DryRun, LogFlags
from pg_tide_relay.connect import describe
from pg_tide_relay.install import LOCK_TIMEOUT, InstallResult
from pg_tide_relay.install import install as install_schema

LockTimeout = Annotated[
    str,
    typer.Option(
        "--lock-timeout",
        envvar="PG_TIDE_LOCK_TIMEOUT",
        metavar="DURATION",
        help="How long to wait for a lock, as PostgreSQL writes durations (500ms, 5s): others queue up.",
    ),
]


def install(
    database: DatabaseFlags, log: LogFlags, lock_timeout: LockTimeout = LOCK_TIMEOUT, dry_run: DryRun = False
) -> None:
    """Install the schema tide, or bring it to this program's version.

    One transaction: all or nothing. Running it again changes nothing, and several at once end as one. Needs
    a role that may create schemas in the database, such as its owner; no superuser, no extension, no
    restart.

    The roles tide_publisher, tide_relay, tide_admin and tide_monitor are made where the role may create
    roles; elsewhere tide.role_grant gives their rights to roles that exist. DBAs without Python run
    pg-tide-install.sql with psql instead; both give the same schema.
    """
    del log
    result = install_schema(database.postgres_url, lock_timeout=lock_timeout, dry_run=dry_run)
    report(result, database.postgres_url, dry_run=dry_run)


def report(result: InstallResult, dsn: str, *, dry_run: bool) -> None:
    """What an installation did, or would do, in a few lines on stdout."""
    for notice in result.notices:
        typer.echo(f"Note: {notice}", err=True)
    for step in result.steps:
        typer.echo(f"{'would run' if dry_run else 'ran'} {step.name} ({step.kind})")
    typer.echo(f"{_sentence(result, dry_run)} in {describe(dsn)}.")


def _sentence(result: InstallResult, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    match result.action:
        case "installed":
            return f"pg-tide {result.release}: schema tide {would}installed, version {result.version},"
        case "upgraded":
            return (
                f"pg-tide {result.release}: schema tide {would}upgraded from version {result.previous} "
                f"to version {result.version}"
            )
        case "unchanged":
            return (
                f"pg-tide {result.release}: schema tide has version {result.version} already: nothing to do"
            )
