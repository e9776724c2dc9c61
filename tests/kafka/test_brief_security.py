"""The page's secured configurations are taken as printed and reach the Kafka client as they must."""

from typing import Any

import pytest

import brief_page
from pg_tide_relay.config.load import load_pipeline_config
from pg_tide_relay.config.problems import ConfigError
from pg_tide_relay.kafka_config import producer_properties
from relay_kit import Tide

ENVIRON = {
    "KAFKA_BROKERS": "kafka-1:9093,kafka-2:9093",
    "KAFKA_USERNAME": "anna",
    "KAFKA_PASSWORD": "p4ss ${env:KAFKA_USERNAME}",
    "KAFKA_USER": "bert",
    "KAFKA_PASS": "p4ss",
    "CONFLUENT_BOOTSTRAP_SERVERS": "pkc-1.example:9092",
    "CONFLUENT_API_KEY": "key",
    "CONFLUENT_API_SECRET": "secret",
}

PRODUCTION = {
    "bootstrap.servers": "kafka-1:9093,kafka-2:9093",
    "security.protocol": "sasl_ssl",
    "sasl.mechanism": "SCRAM-SHA-256",
    "sasl.username": "anna",
    "sasl.password": "p4ss ${env:KAFKA_USERNAME}",
    "compression.type": "zstd",
    "acks": "all",
    "enable.idempotence": True,
    "batch.num.messages": 500,
    "linger.ms": 50,
    "request.timeout.ms": 30_000,
    "message.timeout.ms": 0,
}
NO_AUTHENTICATION = {"bootstrap.servers": "localhost:9092", "security.protocol": "plaintext"}
CONFLUENT_CLOUD = {
    "bootstrap.servers": "pkc-1.example:9092",
    "security.protocol": "sasl_ssl",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "key",
    "sasl.password": "secret",
}
SCRAM = {
    "bootstrap.servers": "kafka-1:9093,kafka-2:9093,kafka-3:9093",
    "security.protocol": "sasl_ssl",
    "sasl.mechanism": "SCRAM-SHA-256",
    "sasl.username": "bert",
    "sasl.password": "p4ss",
}
MTLS = {
    "bootstrap.servers": "kafka-1:9093,kafka-2:9093",
    "security.protocol": "ssl",
    "ssl.ca.location": "/etc/certs/ca.pem",
    "ssl.certificate.location": "/etc/certs/client.pem",
    "ssl.key.location": "/etc/certs/client-key.pem",
}
SECURITY_PROPERTIES = {"sasl.mechanism", "sasl.username", "sasl.password"} | {
    name for name in MTLS if name.startswith("ssl.")
}


def stored(tide: Tide) -> dict[str, Any]:
    """The one pipeline's configuration, as it is stored."""
    config: dict[str, Any] = tide.value("select config from tide.pipeline")
    return config


def set_printed(tide: Tide, printed: str) -> None:
    tide.outbox("orders")
    tide.value("select tide.relay_set_outbox('orders-to-kafka', 'orders', 'kafka-relay', %s::jsonb)", printed)


def test_the_production_example_is_stored_with_its_references_and_reaches_the_client(tide: Tide) -> None:
    """References stay references in the database; the relay's environment gives the values, taken literally."""
    tide.outbox("orders")
    tide.connection.execute(brief_page.sql_in(brief_page.section(*brief_page.PRODUCTION)).encode())
    assert stored(tide)["sasl_password"] == "${env:KAFKA_PASSWORD}"
    properties = producer_properties(load_pipeline_config(stored(tide), ENVIRON), "orders-to-kafka")
    assert {name: properties.get(name) for name in PRODUCTION} == PRODUCTION


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (brief_page.NO_AUTHENTICATION, NO_AUTHENTICATION),
        (brief_page.CONFLUENT_CLOUD, CONFLUENT_CLOUD),
        (brief_page.SCRAM, SCRAM),
        (brief_page.MTLS, MTLS),
    ],
    ids=["no authentication", "Confluent Cloud", "SCRAM-SHA-256", "mTLS"],
)
def test_a_printed_authentication_reaches_the_client(
    tide: Tide, place: tuple[str, str], expected: dict[str, Any]
) -> None:
    """Each of the page's four ways to authenticate sets exactly its own properties."""
    set_printed(tide, brief_page.json_in(brief_page.section(*place)))
    properties = producer_properties(load_pipeline_config(stored(tide), ENVIRON), "orders-to-kafka")
    assert {name: properties.get(name) for name in expected} == expected
    assert SECURITY_PROPERTIES & set(properties) == SECURITY_PROPERTIES & set(expected)


def test_an_unset_variable_of_a_printed_example_is_an_error_that_names_it(tide: Tide) -> None:
    """Never an empty user name: each missing variable is named with its path."""
    set_printed(tide, brief_page.json_in(brief_page.section(*brief_page.CONFLUENT_CLOUD)))
    environ = {"CONFLUENT_BOOTSTRAP_SERVERS": "a:1"}
    with pytest.raises(ConfigError) as refused:
        load_pipeline_config(stored(tide), environ)
    named = {problem.path: problem.message for problem in refused.value.problems}
    assert set(named) == {"sasl_username", "sasl_password"}
    assert "CONFLUENT_API_KEY" in named["sasl_username"]
    assert "CONFLUENT_API_SECRET" in named["sasl_password"]
