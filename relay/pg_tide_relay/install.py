"""Installing and upgrading the schema ``tide``: one transaction, one installer at a time.

The statements are those of ``statements/install.sql``; ``pg-tide-install.sql``, for psql, is written from
the same ones.
"""

from dataclasses import dataclass
from typing import Final, Literal

import psycopg

from pg_tide_relay.connect import open_connection
from pg_tide_relay.migrations import SchemaSource, packaged_source
from pg_tide_sql.files import MigrationStep
from pg_tide_sql.statements import statement

INSTALLER_WAIT: Final = "60s"
"""How long to wait for another installer that is at work in the same database."""

LOCK_TIMEOUT: Final = "5s"
"""How long a migration step waits for a lock before it gives up: whoever comes later waits behind it."""


class NotInstalledError(Exception):
    """There is no schema tide in the database."""


class StandbyError(Exception):
    """The server is a standby; nothing can be installed or removed there."""


@dataclass(frozen=True, kw_only=True)
class InstallResult:
    """What an installation did, or would do."""

    action: Literal["installed", "upgraded", "unchanged"]
    version: int
    """Version of the schema afterwards."""
    previous: int
    """Version found; 0: there was none."""
    release: str
    steps: tuple[MigrationStep, ...]
    """Steps taken by an upgrade."""
    notices: tuple[str, ...]
    """What the server remarked, such as roles that could not be created."""


def install(
    dsn: str,
    *,
    source: SchemaSource | None = None,
    lock_timeout: str = LOCK_TIMEOUT,
    only_upgrade: bool = False,
    dry_run: bool = False,
) -> InstallResult:
    """Bring the schema ``tide`` to the version of ``source`` (this program's), or change nothing at all.

    ``only_upgrade`` raises NotInstalledError where there is no schema yet; ``dry_run`` only says what would
    be done. Raises ConnectionStringError, StandbyError, and psycopg.Error with SQLSTATE TD050 (schema newer
    than the program), TD051 (schema ``tide`` is not ours), 42501 (rights) or 55P03 (a lock is held).
    """
    with open_connection(dsn, "install") as conn:
        return install_on(
            conn,
            source=source or packaged_source(),
            lock_timeout=lock_timeout,
            only_upgrade=only_upgrade,
            dry_run=dry_run,
        )


def install_on(
    conn: psycopg.Connection,
    *,
    source: SchemaSource,
    lock_timeout: str = LOCK_TIMEOUT,
    only_upgrade: bool = False,
    dry_run: bool = False,
) -> InstallResult:
    """The same on an idle READ COMMITTED connection of the caller's."""
    notices: list[str] = []
    conn.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary or ""))
    installed = begin_exclusively(conn, source.version, lock_timeout)
    if only_upgrade and installed == 0:
        raise NotInstalledError("there is no schema tide in this database")
    steps = source.steps_from(installed) if installed else ()
    if not dry_run:
        _bring_up_to_date(conn, source, installed, steps)
        conn.commit()
    else:
        conn.rollback()
    return InstallResult(
        action="installed" if installed == 0 else "upgraded" if steps else "unchanged",
        version=source.version,
        previous=installed,
        release=source.release,
        steps=steps,
        notices=tuple(notices),
    )


def begin_exclusively(conn: psycopg.Connection, version: int, lock_timeout: str) -> int:
    """Open a transaction as the database's only installer and check that it may go on; the version found."""
    if conn.info.parameter_status("in_hot_standby") == "on":
        raise StandbyError("this server is a standby: nothing can be installed or removed here")
    conn.read_only = False
    conn.execute(statement("install_session"), {"version": str(version), "installer_wait": INSTALLER_WAIT})
    conn.execute(statement("install_lock"))
    conn.execute(statement("install_lock_timeout"), {"lock_timeout": lock_timeout})
    conn.execute(statement("install_check"))
    row = conn.execute(statement("installed_version")).fetchone()
    assert row is not None
    return int(row[0])


def _bring_up_to_date(
    conn: psycopg.Connection, source: SchemaSource, installed: int, steps: tuple[MigrationStep, ...]
) -> None:
    if installed == 0:
        for file in source.files:
            _run_file(conn, file.name, file.text)
        _record(conn, source.version, source.release)
    for step in steps:
        _run_file(conn, step.name, step.text)
        _record(conn, step.version, source.release)


def _record(conn: psycopg.Connection, version: int, release: str) -> None:
    conn.execute(statement("install_record"), {"version": version, "release": release})


def _run_file(conn: psycopg.Connection, name: str, text: str) -> None:
    """Run a whole file; an error carries a note with the file and the line it arose in."""
    try:
        conn.execute(text.encode(conn.info.encoding))
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = text.count("\n", 0, int(position) - 1) + 1 if position else None
        error.add_note(f"in {name}, line {line}" if line else f"in {name}")
        raise
