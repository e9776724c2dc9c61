"""Where servers come from."""

from pathlib import Path

import psycopg
import pytest

from pg_tide_dev.containers import docker_answers
from pg_tide_dev.errors import NotOursError, ServerUnavailableError
from pg_tide_dev.java import find_java
from pg_tide_dev.java import major_of as java_major_of
from pg_tide_dev.kafka import KafkaServer, start_kafka
from pg_tide_dev.kafka_jars import Jar, check, pinned_jars
from pg_tide_dev.postgres import PostgresServer, start_postgres
from pg_tide_dev.postgres_binaries import find_binaries
from pg_tide_dev.processes import Run
from pg_tide_dev.sources import Source, wanted_sources


def test_the_search_goes_from_an_address_over_docker_and_local_binaries_to_packages() -> None:
    """What is there already is used before anything is started or downloaded."""
    assert wanted_sources({}) == (Source.ENV, Source.DOCKER, Source.LOCAL, Source.PACKAGES)


@pytest.mark.parametrize("source", list(Source))
def test_one_source_can_be_forced(source: Source) -> None:
    """PG_TIDE_DEV_FROM leaves the others out."""
    assert wanted_sources({"PG_TIDE_DEV_FROM": source.value}) == (source,)


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    """A typing error does not silently mean every source."""
    with pytest.raises(ServerUnavailableError, match="env, docker, local, packages"):
        wanted_sources({"PG_TIDE_DEV_FROM": "dokcer"})


def test_forced_packages_ignore_installed_binaries(dev_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL 18 then comes from its wheel wherever the tests run."""
    monkeypatch.setenv("PG_TIDE_DEV_FROM", "packages")
    server = start_postgres(dev_run)
    assert (server.source, server.major) == (Source.PACKAGES, 18)
    server.kill()


def test_a_version_that_no_source_has_is_named_with_its_cure(
    dev_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message tells what was tried and what to install."""
    monkeypatch.setenv("PG_TIDE_DEV_FROM", "packages")
    with pytest.raises(
        ServerUnavailableError,
        match=r"PostgreSQL 15 not found \(tried: packages\).*apt install postgresql-15",
    ):
        start_postgres(dev_run, 15)


def test_forced_docker_without_an_engine_finds_nothing(dev_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other source takes its place."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("PG_TIDE_DEV_FROM", "docker")
    assert not docker_answers()
    with pytest.raises(ServerUnavailableError, match=r"Kafka not found \(tried: docker\)"):
        start_kafka(dev_run)


def test_the_wheel_has_18_and_16() -> None:
    """Tests of 16 need nothing that is not installed with the development extra."""
    for major in (18, 16):
        found = find_binaries(major, (Source.PACKAGES,))
        assert found is not None
        assert (found.major, found["initdb"].is_file()) == (major, True)


def test_the_packaged_java_is_new_enough_for_kafka() -> None:
    """No Java has to be installed."""
    java = find_java(Source.PACKAGES)
    assert java is not None
    assert java_major_of(java) >= 17


def test_an_address_is_used_only_for_its_own_version(
    dev_run: Run, pg18: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of another version does not make tests of that version pass."""
    monkeypatch.setenv("PG_TIDE_TEST_POSTGRES_URL", pg18.dsn())
    monkeypatch.setenv("PG_TIDE_DEV_FROM", "env")
    found = start_postgres(dev_run, 18)
    assert found.source is Source.ENV
    with psycopg.connect(found.dsn("template1")) as connection:
        assert connection.info.dbname == "template1"
    with pytest.raises(ServerUnavailableError):
        start_postgres(dev_run, 17)


def test_someone_elses_servers_are_left_alone(
    dev_run: Run, pg18: PostgresServer, kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found by its address is used, never stopped."""
    monkeypatch.setenv("PG_TIDE_TEST_POSTGRES_URL", pg18.dsn())
    monkeypatch.setenv("PG_TIDE_TEST_KAFKA", kafka.bootstrap)
    postgres_of_others, kafka_of_others = start_postgres(dev_run, 18), start_kafka(dev_run)
    for control in (
        postgres_of_others.stop,
        postgres_of_others.kill,
        kafka_of_others.stop,
        kafka_of_others.kill,
    ):
        with pytest.raises(NotOursError):
            control()


def test_every_jar_is_pinned_once_with_its_sum() -> None:
    """A resolver left alone would mix releases; a jar without a sum could be anything."""
    jars = pinned_jars()
    assert len({(jar.group, jar.artifact) for jar in jars}) == len(jars) == 47
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.3.1"}
    assert all(len(jar.sha256) == 64 for jar in jars)


def test_a_jar_with_another_sum_is_refused(tmp_path: Path) -> None:
    """One changed byte is enough."""
    jar = Jar(
        group="g",
        artifact="a",
        version="1",
        size=4,
        sha256="88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589",
    )
    good, bad = tmp_path / "good.jar", tmp_path / "bad.jar"
    good.write_bytes(b"abcd")
    bad.write_bytes(b"abce")
    assert check(jar, good) == good
    with pytest.raises(ServerUnavailableError, match=r"a-1\.jar has the SHA-256 sum"):
        check(jar, bad)
