"""``pg-tide upgrade``: installs where something is installed."""

from pg_tide_relay.commands.flags import DatabaseFlags, DryRun, LogFlags
from pg_tide_relay.commands.install import LockTimeout, report
from pg_tide_relay.install import LOCK_TIMEOUT
from pg_tide_relay.install import install as install_schema


def upgrade(
    database: DatabaseFlags, log: LogFlags, lock_timeout: LockTimeout = LOCK_TIMEOUT, dry_run: DryRun = False
) -> None:
    """Bring an installed schema tide to this program's version; refuse where there is none.

    The same as pg-tide install, for scripts that must not install into the wrong database. Each step is
    named after what it asks of running relays: pre (upgrade the schema first), post (upgrade the relays
    first), breaking (stop the relays). --dry-run lists the steps.
    """
    del log
    result = install_schema(
        database.postgres_url, lock_timeout=lock_timeout, dry_run=dry_run, only_upgrade=True
    )
    report(result, database.postgres_url, dry_run=dry_run)
