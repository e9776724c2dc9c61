"""Whether the database that answers is one this relay can work on."""

from psycopg.sql import SQL

from pg_tide_relay.postgres import Connection
from pg_tide_sql.statements import statement
from pg_tide_sql.versions import SCHEMA_VERSION

_OLDEST_SERVER = 140_000


class NotReadyError(Exception):
    """This database can't be worked on: for good (``final``), or until somebody does something about it."""

    def __init__(self, what: str, *, cure: str, final: bool) -> None:
        """Say what is wrong and what to do."""
        super().__init__(what)
        self.cure = cure
        self.final = final


def check_schema(conn: Connection) -> None:
    """Raises NotReadyError when the server is too old or a standby, or the schema is missing, older or newer."""
    row = conn.execute(SQL(statement("session_ready"))).fetchone()
    installed, in_recovery, server = row or (False, False, 0)
    if server < _OLDEST_SERVER:
        raise NotReadyError(
            f"PostgreSQL {server // 10_000} is too old", cure="Use PostgreSQL 14 or later.", final=True
        )
    if in_recovery:
        raise NotReadyError(
            "the server is a standby",
            cure="Connect to the primary; it is tried again every second.",
            final=False,
        )
    if not installed:
        raise NotReadyError(
            "pg-tide is not installed in this database",
            cure="Run: pg-tide install --postgres-url ...",
            final=True,
        )
    (version,) = conn.execute(SQL(statement("schema_version"))).fetchone() or (None,)
    if version > SCHEMA_VERSION:
        raise NotReadyError(
            f"the schema has version {version}, this relay knows {SCHEMA_VERSION}",
            cure="Run a relay of the release that installed it.",
            final=True,
        )
    if version < SCHEMA_VERSION:
        raise NotReadyError(
            f"the schema has version {version}, this relay needs {SCHEMA_VERSION}",
            cure="Run: pg-tide install --postgres-url ...",
            final=True,
        )
