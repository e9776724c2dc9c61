"""The schema registry of the tests: a real one, from packages alone."""

import urllib.request
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from pg_tide_dev.errors import NotOursError, ServerUnavailableError
from pg_tide_dev.java import find_java, major_of
from pg_tide_dev.kafka_jars import check, pinned_jars
from pg_tide_dev.processes import Run
from pg_tide_dev.registry import OLDEST_JAVA, RegistryServer, start_registry
from pg_tide_dev.registry_program import SUMS_FILE
from pg_tide_dev.sources import Source


def test_the_packaged_java_is_new_enough_for_it() -> None:
    java = find_java(Source.PACKAGES)
    assert java is not None
    assert major_of(java) >= OLDEST_JAVA


def test_an_archive_with_another_sum_is_refused(tmp_path: Path) -> None:
    """The coordinate is Maven's: classifier and kind of file are part of the name."""
    (archive,) = pinned_jars(SUMS_FILE)
    assert archive.name == "apicurio-registry-app-3.3.3-all.tar.gz"
    file = tmp_path / archive.name
    file.write_bytes(b"another")
    with pytest.raises(ServerUnavailableError, match="it is not used"):
        check(archive, file)


def test_one_of_a_tests_own_begins_empty_and_ends_when_it_is_discarded(
    dev_run: Run, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a port of its own, whatever the environment names."""
    monkeypatch.setenv("PG_TIDE_TEST_REGISTRY", registry.url)
    own = start_registry(dev_run, own=True)
    assert own.url != registry.url
    with SchemaRegistryClient({"url": own.url}) as client:
        assert client.get_subjects() == []
    own.discard()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{own.url}/subjects", timeout=5)


def test_an_address_in_the_environment_is_used_and_left_alone(
    dev_run: Run, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_TIDE_TEST_REGISTRY", f"{registry.url}/")
    found = start_registry(dev_run)
    assert (found.source, found.url) == (Source.ENV, registry.url)
    with pytest.raises(NotOursError):
        found.discard()


def test_an_address_that_does_not_answer_is_said_and_nothing_takes_its_place(
    dev_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_TIDE_TEST_REGISTRY", "http://127.0.0.1:1/")
    with pytest.raises(ServerUnavailableError, match=r"PG_TIDE_TEST_REGISTRY=\S+ does not answer"):
        start_registry(dev_run)


def test_forced_docker_finds_none(dev_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_TIDE_DEV_FROM", "docker")
    with pytest.raises(ServerUnavailableError, match=r"schema registry not found \(tried: docker\)"):
        start_registry(dev_run)
