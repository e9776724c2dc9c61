"""Removing the schema ``tide`` and the roles of an installation, after telling what would be lost."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from pg_tide_relay.connect import open_connection
from pg_tide_relay.install import LOCK_TIMEOUT, begin_exclusively
from pg_tide_sql.statements import statement
from pg_tide_sql.versions import SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class OutboxLoss:
    """One outbox, and one consumer group that still has to get its messages (None: it has no group)."""

    outbox: str
    consumer_group: str | None
    waiting: str
    size: str


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What an uninstallation would take away; version 0: nothing is installed."""

    version: int
    outboxes: tuple[OutboxLoss, ...] = ()
    relays: tuple[str, ...] = ()
    """Relays at work on this database."""
    dependents: tuple[str, ...] = ()
    """Objects outside of the schema that use it, and would be dropped with it."""


@dataclass(frozen=True, kw_only=True)
class RoleKept:
    """A role of an installation that was not dropped, and why."""

    role: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class UninstallResult:
    """What was removed; version 0: nothing was installed."""

    version: int
    roles_dropped: tuple[str, ...] = ()
    roles_kept: tuple[RoleKept, ...] = ()


def losses(dsn: str) -> Losses:
    """What ``uninstall`` would remove; changes nothing. Raises what ``install`` raises."""
    with open_connection(dsn, "uninstall") as conn:
        version = begin_exclusively(conn, SCHEMA_VERSION, LOCK_TIMEOUT)
        found = _losses(conn, version) if version else Losses(version=0)
        conn.rollback()
    return found


def _losses(conn: psycopg.Connection, version: int) -> Losses:
    outboxes = conn.execute(statement("uninstall_outboxes")).fetchall()
    return Losses(
        version=version,
        outboxes=tuple(
            OutboxLoss(outbox=outbox, consumer_group=group, waiting=waiting, size=size)
            for outbox, group, waiting, size in outboxes
        ),
        relays=tuple(relay for (relay,) in conn.execute(statement("uninstall_relays"))),
        dependents=tuple(name for (name,) in conn.execute(statement("uninstall_dependents"))),
    )


def uninstall(dsn: str, *, lock_timeout: str = LOCK_TIMEOUT) -> UninstallResult:
    """Drop the schema and all that is in it, and the roles that nothing else needs, in one transaction.

    Raises what ``install`` raises.
    """
    with open_connection(dsn, "uninstall") as conn:
        version = begin_exclusively(conn, SCHEMA_VERSION, lock_timeout)
        if version == 0:
            conn.rollback()
            return UninstallResult(version=0)
        conn.execute(statement("uninstall_schema"))
        dropped, kept = _drop_roles(conn)
        conn.commit()
    return UninstallResult(version=version, roles_dropped=dropped, roles_kept=kept)


def _drop_roles(conn: psycopg.Connection) -> tuple[tuple[str, ...], tuple[RoleKept, ...]]:
    dropped: list[str] = []
    kept: list[RoleKept] = []
    for role, used_elsewhere, owns in conn.execute(statement("uninstall_roles")).fetchall():
        reason = _reason_to_keep(used_elsewhere, owns) or _drop_role(conn, role)
        if reason:
            kept.append(RoleKept(role=role, reason=reason))
        else:
            dropped.append(role)
    return tuple(dropped), tuple(kept)


def _reason_to_keep(used_elsewhere: bool, owns: bool) -> str | None:
    if used_elsewhere:
        return "it has rights or objects in other databases"
    if owns:
        return "it owns objects in this database"
    return None


def _drop_role(conn: psycopg.Connection, role: str) -> str | None:
    """Drop a role that owns nothing; otherwise why it stays, and the transaction goes on as if not tried."""
    name = sql.Identifier(role)
    try:
        with conn.transaction():
            conn.execute(sql.SQL(statement("uninstall_role_rights")).format(role=name))
    except psycopg.errors.InsufficientPrivilege:
        # Whoever may drop a role may still not act as it; without rights left the drop below succeeds.
        pass
    try:
        with conn.transaction():
            conn.execute(sql.SQL(statement("uninstall_role")).format(role=name))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.DependentObjectsStillExist) as error:
        return error.diag.message_primary or "the server refused"
    return None
