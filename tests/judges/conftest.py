"""Fixtures of the judges: `judges` runs them, `cases` counts what they judged; and the table at the end of the run.

A judge that can't be had fails its tests: whoever asks for judges wants their verdict.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fix_postgres import database_on
from fix_relay import Relay, relays
from fix_run import Progress
from judges.table import Verdict, table
from judges.tools import Judges, pinned
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from pg_tide_dev.postgres import PostgresServer
from pg_tide_dev.processes import Run
from relay_kit import Tide, tide_on

Cases = Callable[[int], None]
SECONDS = 2400  # the first test that asks a judge waits for its download
VERDICT = pytest.StashKey[Verdict]()
VERDICTS = pytest.StashKey[list[Verdict]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--judges-table", type=Path, help="file that the table of the judges is written to")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[VERDICTS] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def judges(progress: Progress) -> Judges:
    """Runs their programs."""
    return Judges(progress)


@pytest.fixture(autouse=True)
def verdict(request: pytest.FixtureRequest) -> Verdict:
    """What the test's marker `judge(reader, package, format)` says: the package names the pinned version."""
    marker = request.node.get_closest_marker("judge")
    assert marker, f"{request.node.name} names no judge"
    reader, package, wire_format = marker.args
    made = Verdict(reader=reader, version=pinned(package), wire_format=wire_format, test=request.node.name)
    request.node.stash[VERDICT] = made
    return made


@pytest.fixture
def cases(verdict: Verdict) -> Iterator[Cases]:
    """Counts records that the reader has read and the test has compared."""

    def count(number: int) -> None:
        verdict.cases += number

    yield count
    assert verdict.cases or verdict.fault, "nothing was judged"


@pytest.fixture(scope="module")
def tide(pg18: PostgresServer, templates: dict[str, Database], kafka: KafkaServer) -> Iterator[Tide]:
    """One database for all tests of a file, each of which makes outboxes and pipelines of its own."""
    for database in database_on(pg18, templates):
        with tide_on(database, kafka.bootstrap) as opened:
            yield opened


@pytest.fixture(scope="module")
def relay(tide: Tide, dev_run: Run) -> Iterator[Relay]:
    """A relay on it."""
    with relays(dev_run) as start:
        yield start(tide.dsn)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    verdict = item.stash.get(VERDICT, None)
    if verdict is not None:
        known = item.config.stash[VERDICTS]
        if verdict not in known:
            known.append(verdict)
        if not report.passed and not verdict.fault:
            verdict.fault = "not run" if report.skipped or report.when == "setup" else "DISAGREES"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(VERDICTS, [])
    if found:
        text = table(found)
        terminalreporter.section("judges")
        terminalreporter.write(text)
        file = config.getoption("--judges-table", default=None)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
