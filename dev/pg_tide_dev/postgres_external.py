"""A PostgreSQL that others started, and one in a container."""

import os
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from pg_tide_dev.containers import Container, docker_answers
from pg_tide_dev.errors import NotOursError, ServerUnavailableError
from pg_tide_dev.processes import Run, attempts, free_port
from pg_tide_dev.sources import Source

ADDRESS_VARIABLE = "PG_TIDE_TEST_POSTGRES_URL"
DEFAULT_DOCKER_MAJOR = 18
READY_SECONDS = 120.0


class ExternalPostgres:
    """The server at an address: it can be used, and nothing else."""

    source = Source.ENV

    def __init__(self, url: str, major: int) -> None:
        self.major = major
        self._url = url

    def dsn(self, database: str = "postgres") -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{quote(database, safe='')}"))

    def start(self) -> None:
        raise self._not_ours()

    def stop(self) -> None:
        raise self._not_ours()

    def kill(self) -> None:
        raise self._not_ours()

    def restart(self) -> None:
        raise self._not_ours()

    def promote(self) -> None:
        raise self._not_ours()

    def standby(self) -> "ExternalPostgres":
        raise self._not_ours()

    def discard(self) -> None:
        raise self._not_ours()

    def _not_ours(self) -> NotOursError:
        return NotOursError(f"the server of {ADDRESS_VARIABLE} was started by someone else: it is left alone")


class DockerPostgres:
    """The official image in a container of this run."""

    source = Source.DOCKER

    def __init__(self, run: Run, major: int, settings: Mapping[str, str]) -> None:
        self.major = major
        self._password = run.password
        self._port = free_port()
        listen = {"listen_addresses": "*"}  # inside the container; Docker publishes it on the loopback only
        options = [
            part for name, value in {**settings, **listen}.items() for part in ("-c", f"{name}={value}")
        ]
        self._container = Container(
            f"postgres:{major}",
            command=["postgres", *options],
            ports={5432: self._port},
            env={"POSTGRES_PASSWORD": run.password, "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256"},
        )
        self._wait_ready()

    def dsn(self, database: str = "postgres") -> str:
        password = quote(self._password, safe="")
        return f"postgresql://postgres:{password}@127.0.0.1:{self._port}/{quote(database, safe='')}"

    def start(self) -> None:
        self._container.start()
        self._wait_ready()

    def stop(self) -> None:
        self._container.end("SIGINT")

    def kill(self) -> None:
        self._container.end("SIGQUIT")

    def restart(self) -> None:
        self.stop()
        self.start()

    def promote(self) -> None:
        raise self._no_standby()

    def standby(self) -> "DockerPostgres":
        raise self._no_standby()

    def discard(self) -> None:
        self._container.remove()

    def _wait_ready(self) -> None:
        for _ in attempts(READY_SECONDS, list):
            try:
                psycopg.connect(self.dsn(), connect_timeout=5).close()
            except psycopg.OperationalError:
                continue
            return

    def _no_standby(self) -> ServerUnavailableError:
        return ServerUnavailableError("standbys are made from local binaries or packages, not in containers")


def from_environment(major: int | None) -> ExternalPostgres | None:
    """The server that the environment names, if there is one and it has the wanted version."""
    url = os.environ.get(ADDRESS_VARIABLE)
    if not url:
        return None
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        raise ServerUnavailableError(f"{ADDRESS_VARIABLE}: {error}") from error
    return ExternalPostgres(url, version) if major in (None, version) else None


def from_docker(run: Run, major: int | None, settings: Mapping[str, str]) -> DockerPostgres | None:
    """A container of the official image, if a container engine answers."""
    if not docker_answers():
        return None
    return DockerPostgres(run, major or DEFAULT_DOCKER_MAJOR, settings)
