"""Native records as a consumer of another making and as Kafka's own command line see them."""

import base64
import json
from typing import Any

import pytest
from confluent_kafka import Producer
from psycopg.types.json import Jsonb

from fix_kafka import MakeTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.publishing import published
from judges.tools import Judges
from pg_tide_dev.kafka import KafkaServer
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.kafka_config import producer_properties
from relay_kit import Tide

PAYLOADS: list[dict[str, Any]] = [
    {"id": 1, "name": "Größe 🌊", "lines": [{"sku": "A-1"}], "none": None},
    {"big": 2**53 + 1, "empty": {}, "quote": '"\\\n'},
    {"text": "x" * 20_000},
]


def decoded(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)


@pytest.mark.nightly
@pytest.mark.judge("kafkajs", "kafkajs", "native")
def test_kafkajs_sees_keys_headers_values_and_tombstones(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases
) -> None:
    """Value for value what was published; the text of a payload is PostgreSQL's own."""
    topic = make_topic()
    tide.outbox("plain")
    tide.pipeline(
        topic, name="plain", outbox="plain", wire_config={"emit_tombstones": True}, headers={"region": "eu-Ω"}
    )
    for n, payload in enumerate(PAYLOADS):
        tide.publish(payload, outbox="plain", key=f"ключ-{n}", headers=Jsonb({"empty": "", "a": "ä"}))
    tide.publish({"keyless": True}, outbox="plain")
    tide.value("select tide.outbox_publish('plain', null, op => 'delete', key => 'ключ-0')")
    sent = published(tide, "plain")
    lines = judges.node("read_topic.js", tide.bootstrap, topic, len(sent))
    assert len(lines) == len(sent) == 5
    for line, row in zip(lines, sent, strict=True):
        key, value = decoded(line["key"]), decoded(line["value"])
        assert key == (None if row.key is None else row.key.encode())
        assert value == (None if row.payload is None else row.payload.encode())
        assert int(line["timestamp"]) == row.us // 1000
        headers = {name: decoded(value) for name, value in line["headers"].items()}
        own = {"empty": b"", "a": "ä".encode()} if row.id in {one.id for one in sent[:3]} else {}
        assert headers == {
            "pg_tide_outbox": b"plain",
            "pg_tide_op": row.op.encode(),
            "pg_tide_id": str(row.id).encode(),
            "pg_tide_ts": str(row.us).encode(),
            "region": "eu-Ω".encode(),
            **own,
        }
    cases(len(lines))


@pytest.mark.nightly
@pytest.mark.judge("kafkajs", "kafkajs", "native")
def test_kafkajs_tells_repeated_null_and_empty_headers_apart(
    judges: Judges, kafka: KafkaServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """A producer with the relay's properties keeps what a record may hold, so that the judge would see a loss."""
    topic = make_topic()
    config = PipelineConfig.model_validate({"sink_type": "kafka", "brokers": kafka.bootstrap, "topic": topic})
    producer = Producer(producer_properties(config, "judged"))
    headers = [("twice", b"1"), ("null", None), ("empty", b""), ("twice", b"2"), ("bytes", b"\xff\x00")]
    producer.produce(topic, key=b"", value=b"", headers=headers)
    producer.produce(topic, key=None, value=None)
    assert producer.flush(30) == 0
    first, second = judges.node("read_topic.js", kafka.bootstrap, topic, 2)
    assert (decoded(first["key"]), decoded(first["value"])) == (b"", b"")
    assert (second["key"], second["value"], second["headers"]) == (None, None, {})
    seen = {
        name: [decoded(one) for one in value] if isinstance(value, list) else decoded(value)
        for name, value in first["headers"].items()
    }
    assert seen == {"twice": [b"1", b"2"], "null": None, "empty": b"", "bytes": b"\xff\x00"}
    cases(2)


@pytest.mark.judge("kafka-console-consumer", "kafka-clients", "native")
def test_kafkas_console_consumer_prints_payloads_as_json(
    tide: Tide, relay: Relay, kafka: KafkaServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """The command line of Kafka's distribution: `--bootstrap-server … --topic … --from-beginning`."""
    topic = make_topic()
    tide.outbox("printed")
    tide.pipeline(topic, name="printed", outbox="printed")
    for payload in PAYLOADS:
        tide.publish(payload, outbox="printed")
    lines = kafka.console_consumer(topic, len(PAYLOADS))
    assert [json.loads(line) for line in lines] == PAYLOADS
    cases(len(PAYLOADS))
