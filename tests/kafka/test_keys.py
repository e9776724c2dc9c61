"""Every key of a pipeline's configuration has its effect, seen on the broker or on the way there."""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from fix_kafka import MakeTopic, NewKafka, ReadTopic
from fix_relay import Relay, StartRelay
from kafka_wire import Tap, record_batches
from pg_tide_dev.processes import free_port
from relay_kit import Tide, header, ids, records, tide_on
from waiting import eventually

WAITING = 60

Send = Callable[..., str]


@pytest.fixture
def outbox(shared_tide: Tide) -> str:
    """An outbox of the test's own."""
    return shared_tide.outbox(f"orders-{secrets.token_hex(4)}")


@pytest.fixture
def send(shared_tide: Tide, shared_relay: Relay, outbox: str, make_topic: MakeTopic) -> Send:
    """Delivers 60 waiting messages through a pipeline with these keys; the topic they are on."""

    def send_waiting(**keys: object) -> str:
        shared_tide.publish_many(WAITING, outbox=outbox, size=100)
        topic = make_topic()
        shared_tide.pipeline(topic, name=outbox, outbox=outbox, **keys)
        shared_tide.until_settled(outbox)
        return topic

    return send_waiting


# -- topic, message_key and headers are in test_record.py and test_brief_examples.py,
# -- topics in test_topic_creation.py


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_compression_is_the_codec_of_the_record_batches(shared_tide: Tide, send: Send, codec: str) -> None:
    topic = send(compression=codec)
    assert {batch.codec for batch in record_batches(shared_tide.bootstrap, topic)} == {codec}


def test_nothing_is_compressed_by_default(shared_tide: Tide, send: Send) -> None:
    assert {batch.codec for batch in record_batches(shared_tide.bootstrap, send())} == {"none"}


@pytest.mark.parametrize("batch_size", [1, 7, 25])
def test_batch_size_is_the_most_records_in_a_batch(shared_tide: Tide, send: Send, batch_size: int) -> None:
    """With enough linger no batch is smaller without need, either."""
    batches = record_batches(shared_tide.bootstrap, send(batch_size=batch_size, linger_ms=200))
    assert max(batch.records for batch in batches) == batch_size
    assert sum(batch.records for batch in batches) == WAITING


def test_linger_ms_is_how_long_the_producer_waits_for_company(
    shared_tide: Tide, shared_relay: Relay, outbox: str, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """From publish to the broker's own clock: at least as long as asked for, and shorter when changed to none."""
    topic = make_topic(config={"message.timestamp.type": "LogAppendTime"})

    def waited_ms(linger_ms: int, count: int) -> float:
        shared_tide.pipeline(topic, name=outbox, outbox=outbox, linger_ms=linger_ms)
        eventually(
            lambda: (
                shared_tide.pipeline_row(outbox).running_version == shared_tide.pipeline_row(outbox).version
            )
        )
        shared_tide.publish({"n": 1}, outbox=outbox)
        record = records(read_topic(topic, count))[-1]
        return record.timestamp_ms - int(header("pg_tide_ts", record)) / 1000

    assert waited_ms(1_500, 1) >= 1_500
    assert waited_ms(0, 2) < 1_500


@pytest.mark.parametrize(
    ("keys", "has_id"),
    [
        ({}, True),
        ({"idempotent": True}, True),
        ({"idempotent": False, "acks": "all"}, True),
        ({"acks": "1"}, False),
        ({"acks": "0"}, False),
    ],
)
def test_idempotence_is_on_whenever_acks_is_all(
    shared_tide: Tide, send: Send, keys: dict[str, Any], has_id: bool
) -> None:
    """The broker knows the producer's id and drops its repeats; without acks all there is none."""
    batches = record_batches(shared_tide.bootstrap, send(**keys))
    assert {batch.producer_id >= 0 for batch in batches} == {has_id}


def test_acks_0_and_1_deliver_everything_in_order(
    shared_tide: Tide, outbox: str, shared_relay: Relay, topic: str, read_topic: ReadTopic
) -> None:
    """One request in flight at a time, over several pages of one key, and a change between the two while running."""
    shared_tide.pipeline(topic, name=outbox, outbox=outbox, acks="0", batch_size=10)
    published = shared_tide.publish_many(100, outbox=outbox, key="one")
    shared_tide.until_settled(outbox)
    shared_tide.pipeline(topic, name=outbox, outbox=outbox, acks="1", batch_size=10)
    published += shared_tide.publish_many(100, outbox=outbox, key="one")
    assert ids(read_topic(topic, 200)) == published


def test_the_broker_list_needs_one_that_answers(
    shared_tide: Tide, outbox: str, shared_relay: Relay, topic: str, read_topic: ReadTopic
) -> None:
    """The first address is nobody's."""
    brokers = f"127.0.0.1:{free_port()},{shared_tide.bootstrap}"
    shared_tide.pipeline(topic, name=outbox, outbox=outbox, brokers=brokers)
    published = shared_tide.publish(outbox=outbox)
    assert ids(read_topic(topic, 1)) == [published]


@pytest.mark.parametrize(
    ("keys", "property_name"),
    [
        ({"tls_ca_cert": "/nowhere/ca.pem"}, "ssl.ca.location"),
        (
            {"tls_client_cert": "/nowhere/client.pem", "tls_client_key": "/nowhere/client.key"},
            "ssl.certificate.location",
        ),
    ],
)
def test_a_certificate_file_that_is_not_there_is_this_pipelines_error(
    shared_tide: Tide, shared_relay: Relay, outbox: str, keys: dict[str, str], property_name: str
) -> None:
    """The client reads the file that the key names."""
    shared_tide.pipeline("t", name=outbox, outbox=outbox, tls_enabled=True, **keys)
    shared_tide.publish(outbox=outbox)
    row = shared_tide.until_state("error", outbox)
    assert row.error_class == "configuration"
    assert property_name in row.error
    shared_tide.disable(outbox)


def test_tls_to_a_broker_without_tls_says_so(shared_tide: Tide, shared_relay: Relay, outbox: str) -> None:
    """tls_enabled reaches the connections: this broker does not understand them."""
    shared_tide.pipeline("t", name=outbox, outbox=outbox, tls_enabled=True)
    shared_tide.publish(outbox=outbox)
    row = shared_tide.until_state("backing_off", outbox)
    assert row.error_class == "cluster_away"
    # Which of the two ends notices first is a race: a failed handshake, or a connection closed in the midst of one.
    assert row.error is not None
    assert row.error.startswith("ssl://")
    assert "SSL handshake failed" in row.error or "SSL_HANDSHAKE" in row.error
    shared_tide.disable(outbox)


@pytest.fixture
def tap(new_kafka: NewKafka) -> Iterator[Tap]:
    """A broker of the test's own behind a listener that notes what producers ask of it."""
    made = Tap(free_port())
    broker = new_kafka(properties={"advertised.listeners": f"PLAINTEXT://127.0.0.1:{made.port}"})
    host, port = broker.bootstrap.rsplit(":", 1)
    made.broker = (host, int(port))
    yield made
    made.close()


def test_acks_and_request_timeout_ms_are_what_each_produce_request_asks(
    database18: Any, tap: Tap, start_relay: StartRelay
) -> None:
    """Read from the requests themselves; the client names its pipeline."""
    asked = {"0": 0, "1": 1, "all": -1}
    with tide_on(database18, f"127.0.0.1:{tap.port}") as tide:
        for number, acks in enumerate(asked):
            tide.outbox(acks)
            tide.pipeline(
                f"topic-{acks}", name=acks, outbox=acks, acks=acks, request_timeout_ms=21_000 + number
            )
            tide.publish(outbox=acks)
        start_relay(tide.dsn)
        tide.until_settled(*asked)
    seen = {request.client_id: (request.acks, request.timeout_ms) for request in tap.seen}
    assert seen == {
        f"pg-tide-{acks}": (number, 21_000 + place) for place, (acks, number) in enumerate(asked.items())
    }


# -- illegal values ---------------------------------------------------------------------------------------

GOOD = {"sink_type": "kafka", "brokers": "a:9092", "topic": "t"}
SASL = {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "p"}


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("sink_type", {"sink_type": "nats"}),
        ("brokers", {"brokers": "localhost"}),
        ("topic", {"topic": "orders.{nonsense}"}),
        ("sasl_mechanism", {**SASL, "sasl_mechanism": "GSSAPI"}),
        ("sasl_username", {**SASL, "sasl_username": ""}),
        ("sasl_password", {**SASL, "sasl_password": 7}),
        ("tls_enabled", {"tls_enabled": "yes"}),
        ("tls_ca_cert", {"tls_ca_cert": "/ca.pem"}),
        ("tls_client_cert", {"tls_enabled": True, "tls_client_key": "/key.pem"}),
        ("tls_client_key", {"tls_enabled": True, "tls_client_cert": "/cert.pem"}),
        ("compression", {"compression": "brotli"}),
        ("acks", {"acks": "2"}),
        ("batch_size", {"batch_size": 0}),
        ("linger_ms", {"linger_ms": -1}),
        ("idempotent", {"idempotent": True, "acks": "1"}),
        ("request_timeout_ms", {"request_timeout_ms": 1.5}),
        ("message_key", {"message_key": "{customer}"}),
        ("headers.pg_tide_id", {"headers": {"pg_tide_id": "1"}}),
        ("headers.n", {"headers": {"n": 1}}),
        ("topics.policy", {"topics": {"policy": "always"}}),
        ("topics.partitions", {"topics": {"policy": "create", "partitions": 0}}),
        ("topics.replication", {"topics": {"policy": "require", "replication": 1}}),
        ("topics.configs.retention", {"topics": {"policy": "create", "configs": {"retention": 7}}}),
        ("wire_format", {"wire_format": "protobuf"}),
        ("dlq.on_error", {"dlq": {"on_error": "ignore"}}),
    ],
)
def test_an_illegal_value_is_refused_with_its_path(
    shared_tide: Tide, outbox: str, path: str, changes: dict[str, Any]
) -> None:
    """In SQL, by the call that sets it, and nothing is stored."""
    with pytest.raises(psycopg.Error) as refused:
        set_config(shared_tide, outbox, {**GOOD, **changes})
    assert refused.value.sqlstate == "TD020"
    assert f"{path}:" in said(refused.value)
    assert shared_tide.rows("select from tide.pipelines where pipeline = %s", outbox) == []


def test_all_errors_are_said_at_once_and_an_unknown_key_gets_the_nearest(
    shared_tide: Tide, outbox: str
) -> None:
    with pytest.raises(psycopg.Error) as refused:
        set_config(shared_tide, outbox, {"sink_type": "kafka", "topic": "t", "acks": 1, "compresion": "zstd"})
    text = said(refused.value)
    assert all(part in text for part in ("brokers:", "acks:", "compresion:", "compression"))


def set_config(tide: Tide, outbox: str, config: dict[str, Any]) -> None:
    tide.value("select tide.relay_set_outbox(%s, %s, 'g', %s::jsonb)", outbox, outbox, json.dumps(config))


def said(error: psycopg.Error) -> str:
    """Message, detail and hint."""
    diag = error.diag
    return "\n".join(part for part in (diag.message_primary, diag.message_detail, diag.message_hint) if part)
