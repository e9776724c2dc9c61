"""PostgreSQL servers that a fault campaign may crash or promote."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg

from pg_tide_dev.databases import Database
from pg_tide_dev.postgres import PostgresServer
from waiting import eventually

NOTHING_IS_WRITTEN_THROUGH = {
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
    "autovacuum": "off",
}
"""Only what asks for it is flushed: a crash takes back everything else of the last ten seconds."""


def crash(database: Database) -> None:
    """What a crash of the server does; it is back when this returns."""
    database.server.kill()
    database.server.start()


@dataclass(frozen=True)
class Pair:
    """A primary, its standby, and one database on both."""

    primary: PostgresServer
    standby: PostgresServer
    name: str

    @property
    def either(self) -> str:
        """Connects to whichever accepts writes."""
        first, second = urlsplit(self.primary.dsn(self.name)), urlsplit(self.standby.dsn(self.name))
        hosts = f"{first.netloc},{second.hostname}:{second.port}"
        return urlunsplit((first.scheme, hosts, first.path, "target_session_attrs=read-write", ""))

    def cut(self) -> None:
        """From now on the standby receives nothing, and answers as if nothing had happened."""
        with psycopg.connect(self.standby.dsn(), autocommit=True) as connection:
            connection.execute("alter system set primary_conninfo = ''")
            connection.execute("select pg_reload_conf()")
            eventually(
                lambda: connection.execute("select count(*) from pg_stat_wal_receiver").fetchone() == (0,)
            )

    def fail_over(self) -> None:
        """The primary is gone; the standby takes its place, with what it has."""
        self.primary.kill()
        self.standby.promote()

    def catch_up(self) -> None:
        """Wait until the standby has everything."""
        with psycopg.connect(self.primary.dsn(), autocommit=True) as connection:
            row = connection.execute("select pg_current_wal_flush_lsn()::text").fetchone()
        with psycopg.connect(self.standby.dsn(), autocommit=True) as connection:
            eventually(
                lambda: (
                    connection.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone()
                    == (True,)
                )
            )
