"""The run that owns every server of the tests, and how tests deal with a server that is not there."""

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from pg_tide_dev.errors import ServerUnavailableError
from pg_tide_dev.processes import Run

Progress = Callable[[str], None]
T = TypeVar("T")


@pytest.fixture(scope="session")
def dev_run() -> Iterator[Run]:
    """Owns every server; ends them and removes their folder, also when the tests are killed."""
    with Run() as run:
        yield run


@pytest.fixture(scope="session")
def progress(pytestconfig: pytest.Config) -> Progress:
    """Tells a line to whoever watches, past pytest's capture: a first run downloads for a while."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", end="", flush=True)

    return tell


def or_skip(start: Callable[[], T]) -> T:
    """What `start` returns. A missing server skips the tests that need it, but fails them under CI."""
    try:
        return start()
    except ServerUnavailableError as error:
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(str(error))
        raise
