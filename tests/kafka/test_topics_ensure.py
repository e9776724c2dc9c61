"""`pg-tide topics ensure`: tells which topics are there, makes missing ones when it is asked to, and nothing else."""

import json
import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from fix_kafka import MakeTopic
from pg_tide_dev.kafka import KafkaServer, delete_topic
from pg_tide_relay import cli
from relay_kit import Tide


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches the command, and it leaves the logs as they are."""
    for name in list(os.environ):
        if name.startswith(("PG", "DATABASE_URL", "KAFKA_", "TIDE_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr("pg_tide_relay.logs.configure", lambda *_given: None)


@pytest.fixture
def prefix(kafka: KafkaServer) -> Iterator[str]:
    """What the names of the test's topics begin with; they are deleted when it ends."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    for topic in topics_with(kafka, name):
        delete_topic(kafka.bootstrap, topic)


def topics_with(kafka: KafkaServer, prefix: str) -> dict[str, int]:
    """The topics that begin so, and how many partitions each has."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    found = admin.list_topics(timeout=10).topics.values()
    return {one.topic: len(one.partitions) for one in found if one.topic.startswith(prefix)}


def ensure(tide: Tide, *arguments: str, **env: str) -> Result:
    result = CliRunner().invoke(
        cli.build(), ["topics", "ensure", "--postgres-url", tide.dsn, *arguments], env=env
    )
    assert "Traceback" not in result.output
    assert str(tide.connection.info.password) not in result.output
    return result


def answered(tide: Tide, *arguments: str, **env: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and what the command says as JSON."""
    result = ensure(tide, "-o", "json", *arguments, **env)
    return result.exit_code, json.loads(result.stdout)


def states(answer: dict[str, Any]) -> dict[str, str]:
    return {finding["topic"]: finding["state"] for finding in answer["topics"]}


def test_a_dry_run_tells_what_is_missing_and_creates_nothing(
    tide: Tide, kafka: KafkaServer, prefix: str, make_topic: MakeTopic
) -> None:
    """Also on a broker that makes a topic of everything that is asked for."""
    there = make_topic()
    tide.outbox()
    tide.pipeline(there, name="there")
    tide.pipeline(f"{prefix}-a", name="create", topics={"policy": "create"})
    tide.pipeline(f"{prefix}-b", name="broker")
    tide.pipeline(f"{prefix}-c", name="require", topics={"policy": "require"})
    code, answer = answered(tide)
    assert (code, answer["complete"], answer["faults"]) == (1, False, [])
    assert states(answer) == {
        there: "exists",
        f"{prefix}-a": "missing",
        f"{prefix}-b": "missing",
        f"{prefix}-c": "missing",
    }
    assert topics_with(kafka, prefix) == {}
    assert answered(tide, "there")[0] == 0


def test_with_create_what_is_missing_is_made_where_the_policy_says_so(
    tide: Tide, kafka: KafkaServer, prefix: str
) -> None:
    tide.outbox()
    tide.pipeline(f"{prefix}-a", name="create", topics={"policy": "create", "partitions": 7})
    tide.pipeline(f"{prefix}-b", name="broker")
    tide.pipeline(f"{prefix}-c", name="require", topics={"policy": "require"})
    code, answer = answered(tide, "--create")
    assert (code, set(states(answer).values())) == (1, {"created", "missing"})
    assert topics_with(kafka, prefix) == {f"{prefix}-a": 7}
    code, answer = answered(tide, "create", "--create")
    assert (code, states(answer), answer["complete"]) == (0, {f"{prefix}-a": "exists"}, True)


def test_topics_of_templates_and_rules_are_told_as_far_as_they_are_known_without_a_message(
    tide: Tide, kafka: KafkaServer, prefix: str
) -> None:
    rules = [
        {"when": "a", "topic": f"{prefix}-of-{{stream_table}}"},
        {"when": "b", "topic": f"{prefix}-of-orders"},
        {"when": "c", "topic": f"{prefix}-{{payload.country}}"},
    ]
    tide.outbox()
    tide.pipeline(f"{prefix}-{{op}}", routing={"rules": rules}, topics={"policy": "create"})
    code, answer = answered(tide, "--create")
    assert code == 0
    assert states(answer) == {
        f"{prefix}-insert": "created",
        f"{prefix}-update": "created",
        f"{prefix}-delete": "created",
        f"{prefix}-of-orders": "created",
        f"{prefix}-{{payload.country}}": "depends on messages",
    }
    assert len(answer["topics"]) == 5
    assert len(topics_with(kafka, prefix)) == 4


def test_a_refused_creation_is_told_with_its_cause_and_cure(
    tide: Tide, kafka: KafkaServer, prefix: str
) -> None:
    tide.outbox()
    tide.pipeline(prefix, topics={"policy": "create", "replication": 3})
    code, answer = answered(tide, "--create")
    (finding,) = answer["topics"]
    assert (code, finding["state"]) == (1, "refused")
    assert "INVALID_REPLICATION_FACTOR" in finding["reason"]
    assert "topics.replication" in finding["reason"]
    assert topics_with(kafka, prefix) == {}


def test_references_are_resolved_here_by_the_rule_of_the_relay(tide: Tide, prefix: str) -> None:
    """A variable that is not allowed or not set is an invalid configuration; the others are told all the same."""
    tide.outbox()
    tide.pipeline(f"${{env:APP_STAGE}}{prefix}", name="app", topics={"policy": "create"})
    tide.pipeline(prefix, name="plain", brokers="${env:KAFKA_BROKERS}", topics={"policy": "create"})
    code, answer = answered(tide, "--create", KAFKA_BROKERS=tide.bootstrap, APP_STAGE="x")
    assert (code, states(answer)) == (78, {prefix: "created"})
    ((pipeline, path),) = [(fault["pipeline"], fault["path"]) for fault in answer["faults"]]
    assert (pipeline, path) == ("app", "topic")
    allowed = {"KAFKA_BROKERS": tide.bootstrap, "APP_STAGE": ""}
    assert answered(tide, "--allow-env", "APP_*", **allowed)[0] == 0
    assert answered(tide, "--allow-env", "APP_*", "plain")[0] == 78


def test_a_cluster_that_is_away_is_temporary_and_hides_no_other(tide: Tide, make_topic: MakeTopic) -> None:
    topic = make_topic()
    tide.outbox()
    tide.pipeline(f"{topic}-{{op}}", name="away", brokers="127.0.0.1:1")
    tide.pipeline(topic, name="there")
    code, answer = answered(tide, "--create")
    assert code == 75
    found = states(answer)
    assert found.pop(topic) == "exists"
    assert set(found.values()) == {"cluster away"}


def test_an_unknown_pipeline_is_wrong_usage(tide: Tide) -> None:
    result = ensure(tide, "nobody")
    assert result.exit_code == 2
    assert "no pipeline is named 'nobody'" in result.stderr


def test_a_table_for_people(tide: Tide, prefix: str) -> None:
    tide.outbox()
    tide.pipeline(prefix, topics={"policy": "create"})
    result = ensure(tide)
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if prefix in line]
    assert line.split()[:4] == ["orders-to-kafka", prefix, "create", "missing"]
    assert "--create" in line
