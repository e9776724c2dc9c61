"""What happens to PostgreSQL and to sessions."""

import psycopg

from torture.kinds import Fault


class _OfPostgres(Fault):
    place = "postgres"


class Crashed(_OfPostgres):
    kind = "postgres: immediate stop, crash recovery"
    holds_s = (0.0, 1.5)

    def begin(self) -> None:
        self.scene.servers.postgres.kill()

    def end(self) -> None:
        self.scene.servers.postgres.start()


class Restarted(Crashed):
    kind = "postgres: fast stop and start"

    def begin(self) -> None:
        self.scene.servers.postgres.stop()


class Terminated(_OfPostgres):
    kind = "postgres: pg_terminate_backend of all sessions"

    def begin(self) -> None:
        self.scene.ask(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


class LongTransaction(_OfPostgres):
    kind = "postgres: long transaction that publishes at both ends"
    steps = 5
    holds_s = (0.0, 0.5)
    _publish = "select tide.outbox_publish(%s, '{\"long\": true}', key => %s)"

    def begin(self) -> None:
        self._key = f"long {self.chance.random()}"
        self._connection = psycopg.connect(self.scene.servers.database.dsn)
        self._connection.execute(self._publish, [self.scene.steady.outbox, self._key])

    def end(self) -> None:
        try:
            self._connection.execute(self._publish, [self.scene.steady.outbox, self._key])
            self._connection.commit()
        except psycopg.OperationalError:
            pass  # another fault has ended the session: its messages never were
        finally:
            self._connection.close()
