"""`tide`: a database with the schema, seen through the calls users make, and the run's broker beside it.

`shared_tide` and `shared_relay` are one database and one running relay for all tests of a file, each of which makes
outboxes and pipelines of its own. `new_case` gives a test a pipeline on the secured broker, driven by `secured_relay`.
"""

import secrets
from collections.abc import Iterator

import pytest

from certificates import Authority
from fix_postgres import database_on
from fix_relay import Relay, relays
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer, create_topic
from pg_tide_dev.postgres import PostgresServer
from pg_tide_dev.processes import Run
from relay_kit import Tide, tide_on
from secured_kafka import SecuredKafka
from secured_kit import MECHANISM, SCRAM_PASSWORD, Case, NewCase, environment


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


@pytest.fixture(scope="module")
def secured_relay(shared_tide: Tide, secured: SecuredKafka, dev_run: Run) -> Iterator[Relay]:
    """A relay with the variables that the page names."""
    with relays(dev_run) as start:
        yield start(shared_tide.dsn, env=environment(secured))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("strangers"), "strangers")


@pytest.fixture
def new_case(
    shared_tide: Tide, secured: SecuredKafka, secured_relay: Relay, strangers: Authority
) -> Iterator[NewCase]:
    """Makes an outbox and a topic that the way's user may write; the pipeline is dropped with the test."""
    made: list[Case] = []

    def make(way: str) -> Case:
        name = f"orders-{secrets.token_hex(4)}"
        case = Case(
            tide=shared_tide, secured=secured, strangers=strangers, way=way, name=name, topic=f"test-{name}"
        )
        create_topic(secured.bootstrap, case.topic)
        case.grant()
        if way in MECHANISM:
            case.set_password(SCRAM_PASSWORD)
        shared_tide.outbox(name)
        made.append(case)
        return case

    yield make
    for case in made:
        shared_tide.value("select tide.relay_drop(%s)", case.name)
