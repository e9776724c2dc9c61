"""A schema registry: one for the whole run, subjects per test; and fronts before it, that count and fail."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from fix_run import Progress, or_skip
from pg_tide_dev.processes import Run
from pg_tide_dev.registry import RegistryServer, start_registry
from registry_front import Front, front_of

NewFront = Callable[..., Front]


@pytest.fixture(scope="session")
def registry(dev_run: Run, progress: Progress) -> RegistryServer:
    """One registry for the whole run, which knows no compatibility until a test sets one. Never end it."""
    return or_skip(lambda: start_registry(dev_run, progress=progress))


@pytest.fixture
def schemas(registry: RegistryServer) -> Iterator[SchemaRegistryClient]:
    """The registry as its other users see it."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


@pytest.fixture
def new_front(registry: RegistryServer) -> Iterator[NewFront]:
    """Starts fronts before the registry: `new_front(basic="user:password")`; ended with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(front_of(registry.url, **options))


@pytest.fixture
def front(new_front: NewFront) -> Front:
    """One that lets everybody in."""
    return new_front()
