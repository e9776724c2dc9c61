"""Every key of a pipeline has its effect on the producer: read from librdkafka's own list of what is in force."""

import re
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer

from delivery_kit import RecordedLog, a_config
from pg_tide_relay.kafka_config import admin_properties, producer_properties, redacted
from pg_tide_relay.produce import RecordProducer

SASL = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "anna", "sasl_password": "s3cret-word"}


def in_force(**keys: Any) -> dict[str, str]:
    """The properties that a producer of this configuration says are in force; defaults are not said."""
    log = RecordedLog()
    producer = RecordProducer({**producer_properties(a_config(**keys), "shop"), "debug": "conf"}, log)
    producer.poll(0.2)
    producer.close()
    lines = [str(fields["line"]) for _, _, fields in log.lines]
    found = [re.search(r"\]:   (\S+) = (.*)$", line) for line in lines]
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize(
    ("keys", "property_name", "value"),
    [
        (
            {"brokers": "a.example:9092,b.example:9093"},
            "metadata.broker.list",
            "a.example:9092,b.example:9093",
        ),
        (SASL, "sasl.mechanisms", "SCRAM-SHA-512"),
        ({**SASL, "sasl_mechanism": "PLAIN"}, "sasl.mechanisms", "PLAIN"),
        ({**SASL, "sasl_mechanism": "SCRAM-SHA-256"}, "sasl.mechanisms", "SCRAM-SHA-256"),
        (SASL, "sasl.username", "[redacted]"),
        ({}, "security.protocol", "plaintext"),
        ({"tls_enabled": True}, "security.protocol", "ssl"),
        (SASL, "security.protocol", "sasl_plaintext"),
        ({**SASL, "tls_enabled": True}, "security.protocol", "sasl_ssl"),
        ({"compression": "none"}, "compression.codec", "none"),
        ({"compression": "gzip"}, "compression.codec", "gzip"),
        ({"compression": "snappy"}, "compression.codec", "snappy"),
        ({"compression": "lz4"}, "compression.codec", "lz4"),
        ({"compression": "zstd"}, "compression.codec", "zstd"),
        ({"acks": "all"}, "request.required.acks", "-1"),
        ({"acks": "1"}, "request.required.acks", "1"),
        ({"acks": "0"}, "request.required.acks", "0"),
        ({"batch_size": 777}, "batch.num.messages", "777"),
        ({}, "batch.num.messages", "100"),
        ({"linger_ms": 77}, "queue.buffering.max.ms", "77"),
        ({}, "queue.buffering.max.ms", "10"),
        ({"request_timeout_ms": 7_777}, "request.timeout.ms", "7777"),
        ({}, "request.timeout.ms", "30000"),
        ({"request_timeout_ms": 120_000}, "socket.timeout.ms", "121000"),
        ({"topics": {"policy": "require"}}, "allow.auto.create.topics", "false"),
        ({"topics": {"policy": "broker"}}, "allow.auto.create.topics", "true"),
        ({"topics": {"policy": "create"}}, "allow.auto.create.topics", "false"),
        ({}, "message.timeout.ms", "0"),
        ({}, "partitioner", "murmur2_random"),
        ({}, "client.id", "pg-tide-shop"),
        ({}, "socket.keepalive.enable", "true"),
        ({}, "queue.buffering.max.kbytes", "32768"),
        ({"idempotent": True}, "enable.idempotence", "true"),
    ],
)
def test_a_key_is_in_force_in_the_producer(keys: dict[str, Any], property_name: str, value: str) -> None:
    """Not only passed on: librdkafka itself says so."""
    assert in_force(**keys)[property_name] == value


@pytest.mark.parametrize("idempotent", [False, True])
def test_with_acks_all_the_producer_is_idempotent_and_gapless(idempotent: bool) -> None:
    """Whatever `idempotent` says: order per key does not survive one retried request without it."""
    properties = in_force(acks="all", idempotent=idempotent)
    assert properties["enable.idempotence"] == "true"
    assert properties["enable.gapless.guarantee"] == "true"
    assert properties["max.in.flight.requests.per.connection"] == "5"


@pytest.mark.parametrize("acks", ["0", "1"])
def test_without_acks_all_one_request_is_in_flight(acks: str) -> None:
    """There is nothing else that keeps the order of a key."""
    properties = in_force(acks=acks)
    assert properties["max.in.flight.requests.per.connection"] == "1"
    assert properties["enable.idempotence"] == "false"
    assert "enable.gapless.guarantee" not in properties


@pytest.mark.parametrize(
    ("key", "text"),
    [("tls_ca_cert", "ssl.ca.location"), ("tls_client_cert", "ssl.certificate.location")],
)
def test_certificate_files_are_read_by_the_client(key: str, text: str, tmp_path: Any) -> None:
    """A file that is not there is refused, by the property it was meant for."""
    keys = {"tls_enabled": True, key: str(tmp_path / "missing.pem")}
    if key == "tls_client_cert":
        keys["tls_client_key"] = str(tmp_path / "missing.key")
    properties = producer_properties(a_config(**keys), "shop")
    with pytest.raises(KafkaException, match=re.escape(text)):
        Producer(properties, logger=_Quiet())


def test_the_client_key_is_read_by_the_client(tmp_path: Any) -> None:
    """The path of the key reaches the property of the key."""
    config = a_config(tls_enabled=True, tls_client_cert="/c.pem", tls_client_key="/k.pem")
    assert producer_properties(config, "shop")["ssl.key.location"] == "/k.pem"


def test_an_admin_client_goes_the_producers_way_to_the_cluster_and_makes_no_broker_create_topics() -> None:
    """What belongs to producers alone is not given to it: the client would complain of it."""
    config = a_config(**SASL, tls_enabled=True, tls_ca_cert="/ca.pem", request_timeout_ms=120_000)
    admin, producer = admin_properties(config, "shop"), producer_properties(config, "shop")
    own = {"log_level", "allow.auto.create.topics"}
    assert {key: producer[key] for key in admin.keys() - own} == {
        key: admin[key] for key in admin.keys() - own
    }
    assert admin["allow.auto.create.topics"] is False
    assert admin["socket.timeout.ms"] == 121_000
    assert {"security.protocol", "sasl.password", "ssl.ca.location"} <= admin.keys()
    assert not {"acks", "enable.idempotence", "linger.ms", "partitioner", "message.timeout.ms"} & admin.keys()


def test_the_password_reaches_the_client_and_no_log() -> None:
    """In the properties it is plain, in what is logged it is not, also not when the whole is printed."""
    properties = producer_properties(a_config(**SASL), "shop")
    assert properties["sasl.username"] == "anna"
    assert properties["sasl.password"] == "s3cret-word"
    assert in_force(**SASL)["sasl.password"] == "[redacted]"
    assert "s3cret-word" not in str(redacted(properties))
    assert redacted(properties)["sasl.password"] == "***"
    assert "s3cret-word" not in str(in_force(**SASL))


def test_what_is_logged_has_no_functions() -> None:
    """Callbacks say nothing to a reader."""
    assert redacted({"error_cb": print, "acks": "all"}) == {"acks": "all"}


def test_librdkafka_writes_nothing_to_stderr_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """Its lines go to the relay's log: a refused connection, a warning about a property."""
    log = RecordedLog()
    producer = RecordProducer(producer_properties(a_config(), "shop"), log)
    while not log.lines or not producer.take_events():
        producer.poll(0.1)
    producer.close()
    assert capfd.readouterr().err == ""
    assert log.events("debug")


class _Quiet:
    def log(self, *_: object) -> None:
        """Nothing."""
