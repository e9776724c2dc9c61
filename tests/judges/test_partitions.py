"""Each key lands on the partition that Java's own producer would choose."""

import base64
import random
from collections import Counter

import pytest
from confluent_kafka import Producer

from fix_kafka import MakeTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.tools import Judges
from pg_tide_dev.kafka import KafkaServer
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.kafka_config import producer_properties
from relay_kit import Tide

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.judge("Java producer's partitioner", "kafka-clients", "keys"),
]
PARTITIONS = 7
CYRILLIC = ("ключ", "Заказ №17", "ё", "Ж" * 200)


def differences(judges: Judges, bootstrap: str, topic: str, other: str, count: int) -> list[bytes]:
    """The keys whose partitions differ."""
    lines = judges.java("PartitionJudge", bootstrap, topic, other, count)
    assert len(lines) == count
    assert len(Counter(line["java"] for line in lines)) == PARTITIONS, "the keys are spread"
    return [base64.b64decode(line["key"]) for line in lines if line["partition"] != line["java"]]


def test_a_thousand_keys_of_any_bytes(
    judges: Judges, kafka: KafkaServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """A producer with the relay's properties; the empty key and Cyrillic among random bytes."""
    topic, other = make_topic(partitions=PARTITIONS), make_topic(partitions=PARTITIONS)
    config = PipelineConfig.model_validate(
        {"sink_type": "kafka", "brokers": kafka.bootstrap, "topic": topic, "linger_ms": 5}
    )
    source = random.Random(20260131)
    keys = [b"", *(text.encode() for text in CYRILLIC)]
    keys += [source.randbytes(source.randrange(1, 65)) for _ in range(1000 - len(keys))]
    producer = Producer(producer_properties(config, "judged"))
    for key in keys:
        producer.produce(topic, key=key, value=b"{}")
    assert producer.flush(30) == 0
    assert differences(judges, kafka.bootstrap, topic, other, len(keys)) == []
    cases(len(keys))


def test_keys_of_published_messages(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases
) -> None:
    """The same through outbox and relay."""
    topic, other = make_topic(partitions=PARTITIONS), make_topic(partitions=PARTITIONS)
    tide.outbox()
    tide.pipeline(topic)
    keys = [*CYRILLIC, "🌊", *(f"order-{n}" for n in range(200))]
    for key in keys:
        tide.publish({}, key=key)
    assert differences(judges, tide.bootstrap, topic, other, len(keys)) == []
    cases(len(keys))
