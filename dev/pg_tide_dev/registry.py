"""Starts a schema registry, Apicurio with Confluent's API: `start_registry` is the way in."""

import http.client
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol

from pg_tide_dev.errors import NotOursError, ServerFailedError, ServerUnavailableError
from pg_tide_dev.java import find_java
from pg_tide_dev.kafka_jars import Progress
from pg_tide_dev.processes import Process, Run, attempts, free_port
from pg_tide_dev.registry_program import PROGRAM, registry_program
from pg_tide_dev.sources import Source, wanted_sources

ADDRESS_VARIABLE = "PG_TIDE_TEST_REGISTRY"
HOME_VARIABLE = "APICURIO_HOME"
OLDEST_JAVA = 21  # its class files are of version 65
API = "/apis/ccompat/v7"
READY_SECONDS = 90.0
ANSWER_SECONDS = 5.0
PORT_TRIES = 3
# Ready in 5 s instead of 11, with 250 MB: the first compiler only, one garbage collector, two connections to H2.
JAVA_FLAGS = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
SETTINGS = {
    "QUARKUS_HTTP_HOST": "127.0.0.1",
    "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
    "QUARKUS_OTEL_SDK_DISABLED": "true",
    "QUARKUS_LOG_LEVEL": "WARN",
    "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
    "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "2",
    "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "2",
    "APICURIO_REST_ARTIFACT_DELETION_ENABLED": "true",  # DELETE /subjects/...
}


class RegistryServer(Protocol):
    """A running schema registry, whoever started it."""

    @property
    def url(self) -> str:
        """Where Confluent's API begins."""

    @property
    def source(self) -> Source:
        """Where the server came from."""

    def discard(self) -> None:
        """End it; what was registered is gone."""


class ExternalRegistry:
    """The registry at an address: it can be used, and nothing else."""

    source = Source.ENV

    def __init__(self, url: str) -> None:
        self.url = url

    def discard(self) -> None:
        raise NotOursError(f"the registry of {ADDRESS_VARIABLE} is someone else's: no control")


class LocalRegistry:
    """A registry of this run: one process, everything in its memory."""

    def __init__(self, run: Run, java: Path, program: Path, source: Source) -> None:
        self.source = source
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{API}"
        folder = run.make_folder("registry")
        self._process: Process = run.start(
            [java, *JAVA_FLAGS, f"-Djava.io.tmpdir={folder}", "-jar", program / PROGRAM],
            log=folder / "registry.log",
            env={
                **SETTINGS,
                "HOME": str(folder),
                "QUARKUS_HTTP_PORT": str(self.port),
                "QUARKUS_MANAGEMENT_PORT": str(free_port()),
            },
        )

    def wait_ready(self) -> None:
        """Return when it answers."""
        for _ in attempts(READY_SECONDS, lambda: [self._process]):
            if answers(self.url):
                return

    def discard(self) -> None:
        self._process.end(signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether a registry answers there."""
    try:
        with urllib.request.urlopen(f"{url}/subjects", timeout=ANSWER_SECONDS) as answer:
            return bool(answer.status == http.client.OK)
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False


def start_registry(run: Run, *, own: bool = False, progress: Progress = print) -> RegistryServer:
    """Start a schema registry, or find the one that the environment names; returns when it answers.

    `own` needs one of this run: an address in the environment is passed over.
    """
    sources = wanted_sources()
    for source in sources:
        if source is Source.ENV:
            if not own and (found := from_environment()):
                return found
            continue
        place = find_program(source, progress)
        if place is not None:
            return start_local(run, *place, source)
    tried = ", ".join(source.value for source in sources)
    raise ServerUnavailableError(
        f"schema registry not found (tried: {tried}). Cure: pip install pg-tide[dev]"
    )


def from_environment() -> ExternalRegistry | None:
    """The registry that the environment names, if it names one."""
    url = os.environ.get(ADDRESS_VARIABLE)
    if not url:
        return None
    if not answers(url.rstrip("/")):
        raise ServerUnavailableError(f"{ADDRESS_VARIABLE}={url} does not answer")
    return ExternalRegistry(url.rstrip("/"))


def find_program(source: Source, progress: Progress) -> tuple[Path, Path] | None:
    """A Java runtime and the program: `APICURIO_HOME` and an installed Java, or both from packages."""
    home = os.environ.get(HOME_VARIABLE)
    if source is Source.DOCKER or (source is Source.LOCAL and not home):
        return None
    java = find_java(source, OLDEST_JAVA)
    if java is None:
        return None
    return java, Path(home) if source is Source.LOCAL and home else registry_program(progress)


def start_local(run: Run, java: Path, program: Path, source: Source) -> LocalRegistry:
    """Start one of this run; with another port when one was taken since it was found free."""
    for tries_left in reversed(range(PORT_TRIES)):
        registry = LocalRegistry(run, java, program, source)
        try:
            registry.wait_ready()
        except ServerFailedError as error:
            registry.discard()
            if tries_left == 0 or "already bound" not in str(error):
                raise
        else:
            break
    return registry
