"""Fixtures of the fault campaigns: `new_campaign`, an outbox with its pipeline, and servers to do it harm."""

import random
import secrets
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from faults.campaign import Campaign, Where
from faults.servers import NOTHING_IS_WRITTEN_THROUGH, Pair
from fix_kafka import read_records
from fix_postgres import NewPostgres, install_schema
from fix_relay import StartRelay
from fix_run import Progress
from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.kafka import create_topic
from pg_tide_dev.processes import Run

NewCampaign = Callable[..., Campaign]
READ_SECONDS = 60.0


@pytest.fixture
def new_campaign(dev_run: Run, start_relay: StartRelay) -> NewCampaign:
    """Creates topic, outbox and pipeline: `new_campaign(dsn, bootstrap, partitions=6, batch_size=100)`.

    With `outbox` the pipeline reads one that is there already, in a group of its own.
    """

    def make(
        dsn: str, bootstrap: str, *, partitions: int = 1, outbox: str | None = None, **config: object
    ) -> Campaign:
        topic = f"fire-{secrets.token_hex(4)}"
        create_topic(bootstrap, topic, partitions=partitions)
        read = partial(read_records, bootstrap, count=None, timeout_seconds=READ_SECONDS)
        where = Where(dsn=dsn, bootstrap=bootstrap, run=dev_run, start_relay=start_relay, read=read)
        return Campaign(where, topic, outbox, **config)

    return make


@pytest.fixture
def durable(new_postgres: NewPostgres) -> Database:
    """A database on a server that a test may crash, where nothing is durable that does not ask for it."""
    server = new_postgres(18, durable=True, settings=NOTHING_IS_WRITTEN_THROUGH)
    database = create_database(server)
    install_schema(database.dsn)
    return database


@pytest.fixture
def pair(new_postgres: NewPostgres) -> Iterator[Pair]:
    """A primary and a standby that streams from it."""
    primary = new_postgres(18)
    database = create_database(primary)
    install_schema(database.dsn)
    standby = primary.standby()
    yield Pair(primary, standby, database.name)
    standby.kill()


@pytest.fixture
def chance(progress: Progress) -> random.Random:
    """Where all that is random comes from; its seed is told, so that a failure can be looked at again."""
    seed = secrets.randbelow(10**6)
    progress(f"seed {seed}")
    return random.Random(seed)
