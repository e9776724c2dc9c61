"""A secured Kafka for the whole run: users, passwords and topics per test."""

import secrets
from collections.abc import Iterator

import pytest

from fix_run import Progress
from pg_tide_dev.kafka import create_topic
from pg_tide_dev.processes import Run
from secured_kafka import SecuredKafka, start_secured


@pytest.fixture(scope="session")
def secured(
    dev_run: Run, progress: Progress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredKafka]:
    """One broker with a listener for each way to prove who one is; without an ACL nobody may do anything.

    It creates no topics on demand. Never stop it.
    """
    cluster = start_secured(dev_run, tmp_path_factory.mktemp("authority"), progress)
    yield cluster
    cluster.kill()


@pytest.fixture
def user() -> str:
    """The name of a user of the test's own, unknown so far."""
    return f"user-{secrets.token_hex(4)}"


@pytest.fixture
def secured_topic(secured: SecuredKafka) -> str:
    """A topic of the test's own with one partition, on the secured broker."""
    name = f"test-{secrets.token_hex(6)}"
    create_topic(secured.bootstrap, name)
    return name
