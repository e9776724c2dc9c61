"""``pg-tide uninstall``."""

import typer

from pg_tide_relay import uninstall as removal
from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.flags import DatabaseFlags, DryRun, LogFlags, Yes
from pg_tide_relay.commands.install import LockTimeout
from pg_tide_relay.connect import describe
from pg_tide_relay.install import LOCK_TIMEOUT


def uninstall(
    database: DatabaseFlags,
    log: LogFlags,
    lock_timeout: LockTimeout = LOCK_TIMEOUT,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove everything that pg-tide keeps in the database: outboxes, messages, pipelines, cursors, roles.

    Shows what will be lost and asks before it begins; --yes does not ask, --dry-run only shows. The roles
    tide_publisher, tide_relay, tide_admin and tide_monitor are dropped unless they own something or are
    used in another database. Topics on Kafka are not touched.
    """
    del log
    place = describe(database.postgres_url)
    found = removal.losses(database.postgres_url)
    if found.version == 0:
        typer.echo(f"pg-tide is not installed in {place}: nothing to do.")
        return
    _show(found, place)
    if dry_run:
        return
    if not yes:
        _ask()
    result = removal.uninstall(database.postgres_url, lock_timeout=lock_timeout)
    if result.roles_dropped:
        typer.echo(f"Dropped roles: {', '.join(result.roles_dropped)}.")
    for kept in result.roles_kept:
        typer.echo(f"Kept role {kept.role}: {kept.reason}.")
    typer.echo(f"pg-tide is removed from {place}.")


def _show(found: removal.Losses, place: str) -> None:
    typer.echo(f"Schema tide, version {found.version}, in {place} will be lost, with")
    for loss in found.outboxes:
        waiting = (
            f"{loss.waiting} waiting for group {loss.consumer_group}" if loss.consumer_group else "no group"
        )
        typer.echo(f"  outbox {loss.outbox}: {waiting}, {loss.size}")
    if not found.outboxes:
        typer.echo("  no outbox")
    for relay in found.relays:
        typer.echo(f"  relay {relay}, which is at work: stop it first")
    for name in found.dependents:
        typer.echo(f"  {name}, which uses the schema")


def _ask() -> None:
    try:
        agreed = typer.confirm("Remove all of it?", default=False)
    except typer.Abort:
        typer.echo(err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not agreed:
        raise CommandError("nothing was removed", cure="answer y, or use --yes, to remove it")
