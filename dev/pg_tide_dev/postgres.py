"""Starts, stops and kills PostgreSQL: a cluster of its own, on a free port of the loopback interface.

`start_postgres` is the way in. What it returns is one of three kinds with one interface: `LocalPostgres`,
processes of this run, or, in `postgres_external`, a server at an address or in a container.
"""

import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import psycopg

from pg_tide_dev import postgres_external
from pg_tide_dev.errors import ServerFailedError
from pg_tide_dev.postgres_binaries import Binaries, find_binaries, missing
from pg_tide_dev.processes import Process, Run, attempts, free_port
from pg_tide_dev.sources import Source, wanted_sources

ADMINISTRATOR = "postgres"
READY_SECONDS = 60.0
PORT_TRIES = 3
BASE_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # in the data directory: a killed server leaves nothing in /dev/shm
    "max_connections": "200",
    "max_prepared_transactions": "50",
    "shared_buffers": "64MB",
}
# A crash of PostgreSQL loses nothing with these, a crash of the machine everything.
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}


class PostgresServer(Protocol):
    """A running PostgreSQL, whoever started it."""

    @property
    def major(self) -> int:
        """The major version, as 18."""

    @property
    def source(self) -> Source:
        """Where the server came from."""

    def dsn(self, database: str = "postgres") -> str:
        """Connection URL of the administrator; the password is in it."""

    def start(self) -> None:
        """Start the server again after `stop` or `kill`, on the same port; returns when it answers."""

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, sessions are closed."""

    def kill(self) -> None:
        """Immediate shutdown: what a crash of the server does."""

    def restart(self) -> None:
        """Fast shutdown and start."""

    def promote(self) -> None:
        """Make a standby a primary; returns when it accepts writes."""

    def standby(self) -> "PostgresServer":
        """A new server that streams from this one and answers reads."""

    def discard(self) -> None:
        """Kill the server and its standbys and remove what they stored: nobody needs them any more."""


class LocalPostgres:
    """A cluster of this run: a data directory and, while it runs, a postmaster."""

    def __init__(self, run: Run, binaries: Binaries, data: Path, settings: Mapping[str, str]) -> None:
        self.data = data
        self.port = free_port()
        self._run = run
        self._binaries = binaries
        self._settings = dict(settings)
        self._process: Process | None = None
        self._standbys: list[LocalPostgres] = []

    @property
    def major(self) -> int:
        return self._binaries.major

    @property
    def source(self) -> Source:
        return self._binaries.source

    @property
    def binaries(self) -> Binaries:
        """The programs of the same version: psql, pg_dump and others."""
        return self._binaries

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None while the server is stopped."""
        return self._process.pid if self._process else None

    def dsn(self, database: str = "postgres") -> str:
        password = quote(self._run.password, safe="")
        return f"postgresql://{ADMINISTRATOR}:{password}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def start(self) -> None:
        if self._process is not None:
            return
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [
            self._binaries["postgres"],
            "-D",
            self.data,
            "-p",
            str(self.port),
            *options,
        ]
        # QUIT makes the postmaster remove its shared memory; KILL would leave it behind
        process = self._run.start(command, log=self.data.parent / "postgres.log", end=signal.SIGQUIT)
        wait_ready(self.dsn(), process)
        self._process = process

    def start_on_a_free_port(self) -> None:
        """The first start: the port may have been taken since it was found free."""
        for tries_left in reversed(range(PORT_TRIES)):
            try:
                return self.start()
            except ServerFailedError as error:
                if tries_left == 0 or "could not bind" not in str(error):
                    raise
                self.port = free_port()
        return None

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def kill(self) -> None:
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def promote(self) -> None:
        self._run.call([self._binaries["pg_ctl"], "promote", "-w", "-D", self.data])

    def standby(self) -> "LocalPostgres":
        data = self._run.make_folder(f"postgres-{self.major}-standby") / "data"
        target: list[str | Path] = ["-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-U", ADMINISTRATOR]
        command: list[str | Path] = [
            self._binaries["pg_basebackup"],
            *target,
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
        ]
        self._run.call(command, env={"PGPASSWORD": self._run.password})
        server = LocalPostgres(self._run, self._binaries, data, self._settings)
        self._standbys.append(server)
        server.start_on_a_free_port()
        return server

    def discard(self) -> None:
        for standby in self._standbys:
            standby.discard()
        self.kill()
        shutil.rmtree(self.data.parent, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(number)
            self._process = None


def start_postgres(
    run: Run,
    major: int | None = None,
    *,
    own: bool = False,
    durable: bool = False,
    own_identity: bool = False,
    settings: Mapping[str, str] | None = None,
) -> PostgresServer:
    """Start PostgreSQL, or find the one that the environment names; returns when it answers.

    `major` None takes what the first source has. `durable` writes through to disk. Clusters of one version
    are copies of one template and share its system identifier; `own_identity` makes one that does not.
    These, `settings` and `own` need a server of this run: an address in the environment is passed over.
    """
    sources = wanted_sources()
    own = own or durable or own_identity or bool(settings)
    chosen = {**BASE_SETTINGS, **({} if durable else FAST_SETTINGS), **(settings or {})}
    for source in sources:
        if source is Source.ENV and not own:
            external: PostgresServer | None = postgres_external.from_environment(major)
        elif source is Source.DOCKER:
            external = postgres_external.from_docker(run, major, chosen)
        else:
            continue
        if external is not None:
            return external
    binaries = find_binaries(major, sources)
    if binaries is None:
        raise missing(major, sources)
    data = new_data_directory(run, binaries, own_identity=own_identity)
    server = LocalPostgres(run, binaries, data, chosen)
    server.start_on_a_free_port()
    return server


def new_data_directory(run: Run, binaries: Binaries, *, own_identity: bool) -> Path:
    """A data directory for a new cluster: a copy of the run's template, or one made for it."""
    data = run.make_folder(f"postgres-{binaries.major}") / "data"
    if own_identity:
        initialise(run, binaries, data)
        return data
    template = run.folder / f"postgres-{binaries.major}-{binaries.source.value}-template" / "data"
    if not template.exists():
        made = run.make_folder("template")
        initialise(run, binaries, made / "data")
        made.rename(template.parent)
    run.call(["cp", "-a", template, data])
    return data


def initialise(run: Run, binaries: Binaries, data: Path) -> None:
    """`initdb` with the run's password; nobody gets in without it, not even a user of this machine."""
    password_file = data.parent / f"password-{secrets.token_hex(4)}"
    password_file.write_text(run.password, encoding="ascii")
    password_file.chmod(0o644)  # its folder is the server user's alone
    options: list[str | Path] = [
        "-U",
        ADMINISTRATOR,
        "-A",
        "scram-sha-256",
        "--pwfile",
        password_file,
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]
    run.call([binaries["initdb"], "-D", data, "-N", *options])
    password_file.unlink()


def wait_ready(dsn: str, process: Process) -> None:
    """Wait until the server lets the administrator in."""
    for _ in attempts(READY_SECONDS, lambda: [process]):
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            continue
        return
