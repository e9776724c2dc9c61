"""A stored configuration becomes a model: resolved, checked again, and silent about secrets."""

import logging
from typing import Any

import pytest
from pydantic import ValidationError

from pg_tide_relay.config.load import load_pipeline_config
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.problems import ConfigError, Problem
from pg_tide_relay.config.registry_models import SerializationConfig
from pg_tide_relay.config.wire_models import WireConfig

BASE = {"sink_type": "kafka", "brokers": "localhost:9092", "topic": "order-events"}
SECRET = "hunter2-correct-horse"


def problems_of(
    config: dict[str, Any], environ: dict[str, str] | None = None, **options: Any
) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_pipeline_config(config, environ or {}, **options)
    return caught.value.problems


def test_defaults_are_those_of_the_reference() -> None:
    """A minimal configuration has the documented default of every other key."""
    config = load_pipeline_config(BASE, {})
    assert config.model_dump() == BASE | {
        "sasl_mechanism": None,
        "sasl_username": None,
        "sasl_password": None,
        "tls_enabled": False,
        "tls_ca_cert": None,
        "tls_client_cert": None,
        "tls_client_key": None,
        "compression": "none",
        "acks": "all",
        "shards": 1,
        "batch_size": 100,
        "linger_ms": 10,
        "idempotent": False,
        "request_timeout_ms": 30000,
        "message_key": None,
        "headers": None,
        "wire_format": "native",
        "wire_config": dict.fromkeys(WireConfig.model_fields),
        "serialization": dict.fromkeys(SerializationConfig.model_fields),
        "schema_registry": {
            "url": None,
            "username": None,
            "password": None,
            "bearer_token": None,
            "tls_ca_cert": None,
            "tls_client_cert": None,
            "tls_client_key": None,
            "timeout_ms": 5000,
            "auto_register": False,
        },
        "transform": {"filter": None, "payload": None, "on_null": "pass"},
        "routing": {"rules": []},
        "topics": {"policy": "broker", "partitions": None, "replication": None, "configs": None},
        "dlq": {
            "on_error": "continue",
            "max_parked_keys": 10_000,
            "max_in_a_row": 1000,
            "retention_days": 14,
        },
        "retry": {"backoff_ms": 500, "backoff_max_ms": 30000},
        "rate_limit": {"max_messages_per_second": None, "burst_size": None},
        "delivery": "at_least_once",
        "transactions": {
            "cursor_topic": "pg_tide_cursors",
            "commit_interval_ms": 100,
            "timeout_ms": 60_000,
        },
    }


def test_references_are_resolved_everywhere_and_the_stored_form_stays() -> None:
    """Whole strings, parts of strings and nested strings; the caller's object is not changed."""
    stored = BASE | {
        "brokers": "${env:KAFKA_A}:9092,b:${env:KAFKA_PORT}",
        "topic": "${env:TIDE_STAGE}.{stream_table}",
        "headers": {"stage": "<${env:TIDE_STAGE}>"},
        "topics": {"policy": "${env:TIDE_POLICY}"},
    }
    before = repr(stored)
    environ = {"KAFKA_A": "a", "KAFKA_PORT": "1", "TIDE_STAGE": "prod", "TIDE_POLICY": "require"}
    config = load_pipeline_config(stored, environ)
    assert config.brokers == "a:9092,b:1"
    assert config.topic == "prod.{stream_table}"
    assert config.headers == {"stage": "<prod>"}
    assert config.topics.policy == "require"
    assert repr(stored) == before


def test_spaces_around_brokers_do_not_reach_the_client() -> None:
    """A list of brokers may be written with spaces; the model has it without."""
    assert load_pipeline_config(BASE | {"brokers": " a:1 , b:2"}, {}).brokers == "a:1,b:2"


def test_numbers_with_a_zero_fraction_become_integers() -> None:
    """JSON's 1e2 is the integer 100."""
    batch_size = load_pipeline_config(BASE | {"batch_size": 1e2}, {}).batch_size
    assert (batch_size, type(batch_size)) == (100, int)


def test_errors_of_the_stored_form_come_before_the_environment() -> None:
    """All errors are raised together; unset variables are not searched for in a broken configuration."""
    found = problems_of(BASE | {"brokers": "${env:KAFKA_BROKERS}", "acks": "2", "batch_size": 0})
    assert [problem.path for problem in found] == ["acks", "batch_size"]


def test_warnings_do_not_stop_a_pipeline() -> None:
    """`{op}` in a topic is a warning; the pipeline runs."""
    assert load_pipeline_config(BASE | {"topic": "t.{op}"}, {}).topic == "t.{op}"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("brokers", SECRET, "with ${env:KAFKA_X} resolved: must be a comma-separated list of host:port"),
        ("topic", "{" + SECRET + "}", "with ${env:KAFKA_X} resolved: must be a topic template"),
        ("compression", SECRET, "with ${env:KAFKA_X} resolved: must be one of"),
        (
            "wire_format",
            "protobuf",
            'with ${env:KAFKA_X} resolved: must be one of "native", "debezium", "avro"',
        ),
        ("message_key", "", "with ${env:KAFKA_X} resolved: must be a record key template"),
    ],
)
def test_a_resolved_value_is_checked_in_full_and_never_shown(key: str, value: str, expected: str) -> None:
    """The message names the variable and what the key takes, not what the variable holds."""
    (problem,) = problems_of(BASE | {key: "${env:KAFKA_X}"}, {"KAFKA_X": value})
    assert problem.path == key
    assert problem.message.startswith(expected)
    assert not value or value not in str(problem)


def test_relations_hold_for_resolved_values() -> None:
    """What can't be known while it is stored is known when the pipeline starts."""
    stored = BASE | {"acks": "${env:KAFKA_ACKS}", "idempotent": True}
    assert load_pipeline_config(stored, {"KAFKA_ACKS": "all"}).acks == "all"
    (problem,) = problems_of(stored, {"KAFKA_ACKS": "1"})
    assert problem.path == "idempotent"


def test_an_empty_variable_is_no_password() -> None:
    """A variable that is set to nothing is an error at the key that needs something."""
    stored = BASE | {
        "sasl_mechanism": "PLAIN",
        "sasl_username": "u",
        "sasl_password": "${env:KAFKA_PASSWORD}",
    }
    (problem,) = problems_of(stored, {"KAFKA_PASSWORD": ""})
    assert (problem.path, "KAFKA_PASSWORD" in problem.message) == ("sasl_password", True)


def test_the_password_is_in_no_text_of_the_model(caplog: pytest.LogCaptureFixture) -> None:
    """Neither repr nor str, dump as text nor log shows it; who asks for it gets it."""
    stored = BASE | {
        "sasl_mechanism": "PLAIN",
        "sasl_username": "u",
        "sasl_password": "${env:KAFKA_PASSWORD}",
    }
    config = load_pipeline_config(stored, {"KAFKA_PASSWORD": SECRET})
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r", config, config)
    assert SECRET not in caplog.text + repr(config) + str(config.model_dump()) + config.model_dump_json()
    assert config.sasl_password is not None
    assert config.sasl_password.get_secret_value() == SECRET


@pytest.mark.parametrize(
    "bad", [{"sasl_password": [SECRET]}, {"topic": SECRET + " "}, {"acks": SECRET}, {"batch_size": SECRET}]
)
def test_errors_of_the_model_itself_show_no_value(bad: dict[str, Any]) -> None:
    """Also where a model is made directly, what it was given is not in the error."""
    with pytest.raises(ValidationError) as caught:
        PipelineConfig.model_validate(BASE | {"sasl_username": SECRET, "sasl_password": SECRET} | bad)
    assert SECRET not in str(caught.value)


def test_errors_of_the_model_itself_say_what_is_wrong() -> None:
    """Relations and templates are told in the same words as by the check."""
    with pytest.raises(ValidationError, match=r"did you mean \{op\}"):
        PipelineConfig.model_validate(BASE | {"topic": "{opp}"})
    with pytest.raises(ValidationError, match="tls_ca_cert: has no effect unless tls_enabled is true"):
        PipelineConfig.model_validate(BASE | {"tls_ca_cert": "/a"})


def test_a_model_can_not_be_changed() -> None:
    """What was validated stays as it was."""
    config = load_pipeline_config(BASE, {})
    with pytest.raises(ValidationError):
        config.topic = "other"  # type: ignore[misc]
