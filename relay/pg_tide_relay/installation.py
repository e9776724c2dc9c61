"""The installation's name: a relay works only on the database that it is meant for, not on a clone of it."""

from functools import partial
from hashlib import sha256
from uuid import UUID, uuid4

from psycopg.sql import SQL

from pg_tide_relay.postgres import Connection
from pg_tide_relay.readiness import NotReadyError
from pg_tide_sql.statements import statement


def owner_token(installation: str) -> UUID:
    """A random token that shows which name this relay was given; ``tide._installation_admits`` reads it."""
    token = uuid4()
    if not installation:
        return token
    return UUID(sha256(installation.encode()).hexdigest()[:8] + token.hex[8:])


def check_installation(conn: Connection, installation: str) -> None:
    """Raises NotReadyError when the database has another name than this relay was given; empty: none."""
    row = conn.execute(SQL(statement("installation"))).fetchone()
    found = row[0] if row is not None else None
    if found == (installation or None):
        return
    refuse = partial(NotReadyError, final=True)
    if found is None:
        quoted = installation.replace("'", "''")
        raise refuse(
            f"this relay was started for installation {installation!r}, and this database has no name",
            cure="Connect to the right database, or name this one: "
            f"select tide.installation_set('{quoted}');",
        )
    given = f"for installation {installation!r}" if installation else "without --installation"
    raise refuse(
        f"this relay was started {given}, and this database is installation {found!r}",
        cure="Connect to the right database; if this is the right one, start the relay with "
        f"--installation {found!r}.",
    )
