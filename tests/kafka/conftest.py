"""`tide`: a database with the schema, seen through the calls users make, and the run's broker beside it."""

from collections.abc import Iterator

import pytest

from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from relay_kit import Tide, tide_on


@pytest.fixture
def tide(database18: Database, kafka: KafkaServer) -> Iterator[Tide]:
    """Outboxes and pipelines of a database of the test's own; pipelines go to the run's broker."""
    with tide_on(database18, kafka.bootstrap) as opened:
        yield opened
