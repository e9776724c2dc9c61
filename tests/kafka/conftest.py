"""`tide`: a database with the schema, seen through the calls users make, and the run's broker beside it.

`shared_tide` and `shared_relay` are one database and one running relay for all tests of a file, each of which makes
outboxes and pipelines of its own.
"""

from collections.abc import Iterator

import pytest

from fix_postgres import database_on
from fix_relay import Relay, relays
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from pg_tide_dev.postgres import PostgresServer
from pg_tide_dev.processes import Run
from relay_kit import Tide, tide_on


@pytest.fixture
def tide(database18: Database, kafka: KafkaServer) -> Iterator[Tide]:
    """Outboxes and pipelines of a database of the test's own; pipelines go to the run's broker."""
    with tide_on(database18, kafka.bootstrap) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_tide(pg18: PostgresServer, templates: dict[str, Database], kafka: KafkaServer) -> Iterator[Tide]:
    """The same for all tests of a file."""
    for database in database_on(pg18, templates):
        with tide_on(database, kafka.bootstrap) as opened:
            yield opened


@pytest.fixture(scope="module")
def shared_relay(shared_tide: Tide, dev_run: Run) -> Iterator[Relay]:
    """A relay on it."""
    with relays(dev_run) as start:
        yield start(shared_tide.dsn)
