"""Opening a connection for a command, and speaking of it without its password."""

import os
import re
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict

CONNECT_TIMEOUT_S: Final = 10
"""For commands that a person waits for; connect_timeout in the string or PGCONNECT_TIMEOUT wins."""


class ConnectionStringError(ValueError):
    """The connection string can't be read by libpq; the text never quotes it."""


def open_connection(dsn: str, purpose: str) -> psycopg.Connection:
    """A READ COMMITTED connection that shows ``pg-tide <purpose>`` to the server unless told otherwise.

    Raises ConnectionStringError, or psycopg.OperationalError when the server can't be reached.
    """
    given = _parse(dsn)
    arguments: dict[str, Any] = {
        "fallback_application_name": f"pg-tide {purpose}",
        "client_encoding": "utf8",
    }
    if "connect_timeout" not in given and not os.environ.get("PGCONNECT_TIMEOUT"):
        arguments["connect_timeout"] = CONNECT_TIMEOUT_S
    conn = psycopg.connect(dsn, **arguments)
    conn.isolation_level = IsolationLevel.READ_COMMITTED
    return conn


def check_connection_string(dsn: str) -> None:
    """Raises ConnectionStringError when libpq could not read it; connects to nothing."""
    _parse(dsn)


def describe(dsn: str) -> str:
    """User, host, port and database that libpq would use, for people; never the password."""
    values = {option.keyword.decode(): option.val for option in psycopg.pq.Conninfo.get_defaults()}
    parts = {key: value.decode() if value else "" for key, value in values.items()} | _parse(dsn)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    user, port, dbname = parts.get("user"), parts.get("port"), parts.get("dbname")
    service = f" (service {parts['service']})" if parts.get("service") else ""
    return f"database {dbname or user} on {host}:{port or 5432} as {user or 'the current user'}{service}"


def _parse(dsn: str) -> dict[str, str]:
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError as error:
        # libpq quotes the part it stumbled over, which may hold the password.
        reason = re.sub(r'".*"', '"…"', str(error).strip(), flags=re.DOTALL)
        raise ConnectionStringError(f"the connection string can't be read: {reason}") from None
    if _password_spilled(dsn, parts):
        raise ConnectionStringError(
            "the connection string can't be read: an @ stands behind the user and password; "
            "characters such as @ / : ? # in a password must be written as %40 %2F %3A %3F %23"
        )
    return parts


def _password_spilled(dsn: str, parts: dict[str, str]) -> bool:
    """Whether a password with unescaped characters would be taken for a host, port or database name.

    Errors of libpq then quote half of the password.
    """
    if "://" not in dsn or "%40" in dsn:
        return False
    return any("@" in parts.get(key, "") for key in ("host", "port", "dbname"))
