"""Where servers for development come from, and in which order they are looked for."""

import os
from collections.abc import Mapping
from enum import Enum

from pg_tide_dev.errors import ServerUnavailableError

FORCE_VARIABLE = "PG_TIDE_DEV_FROM"


class Source(Enum):
    """A source of servers; the order of the members is the order of the search."""

    ENV = "env"  # an address in the environment: a server that someone else runs
    DOCKER = "docker"
    LOCAL = "local"  # binaries that are installed on this machine
    PACKAGES = "packages"  # binaries from Python packages and Maven coordinates


def wanted_sources(environ: Mapping[str, str] = os.environ) -> tuple[Source, ...]:
    """Every source in order, or the one that `PG_TIDE_DEV_FROM` forces."""
    forced = environ.get(FORCE_VARIABLE, "").strip()
    if not forced:
        return tuple(Source)
    try:
        return (Source(forced),)
    except ValueError as error:
        known = ", ".join(source.value for source in Source)
        raise ServerUnavailableError(f"{FORCE_VARIABLE}={forced} is not one of {known}") from error
