"""CloudEvents as the SDK for Java reads them: a second implementation, beside the one for Python in tests/kafka."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer

from fix_kafka import MakeTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.publishing import published
from judges.tools import Judges
from pg_tide_dev.kafka import KafkaServer
from relay_kit import Tide

FORMAT = "cloudevents"
PAYLOAD = {"id": 12345, "name": "Größe 🌊", "lines": [{"sku": "A-1"}], "none": None, "big": 2**53 + 1}


@pytest.mark.nightly
@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.judge("CloudEvents SDK for Java", "cloudevents-kafka", FORMAT)
def test_an_event_says_what_the_message_says(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, cases: Cases, mode: str
) -> None:
    """Insert, update and delete, each attribute and the data, field by field."""
    topic = make_topic()
    tide.outbox(mode)
    tide.pipeline(
        topic,
        name=mode,
        outbox=mode,
        wire_format=FORMAT,
        wire_config={"mode": mode, "source": "https://shop.example/{stream_table}", "type": "shop.{op}"},
    )
    for op in ("insert", "update"):
        tide.publish(PAYLOAD, outbox=mode, op=op, key="ключ-1")
    tide.value("select tide.outbox_publish(%s, null, op => 'delete', key => 'ключ-1')", mode)
    tide.publish({"keyless": True}, outbox=mode)
    sent = published(tide, mode)
    lines = judges.java("EventJudge", tide.bootstrap, topic, len(sent))
    assert len(lines) == len(sent) == 4
    for line, row in zip(lines, sent, strict=True):
        assert_event(line, row, mode)
    cases(len(lines))


def assert_event(line: dict[str, Any], row: Any, mode: str) -> None:
    """An answer of the judge against the message's row."""
    assert "error" not in line, line
    assert line["mode"] == mode.upper()
    assert line["key"] == row.key
    attributes = dict(line["attributes"])
    assert datetime.fromisoformat(attributes.pop("time")) == row.created_at.astimezone(UTC)
    has_data = row.payload is not None
    assert attributes == {
        "specversion": "1.0",
        "id": str(row.id),
        "source": f"https://shop.example/{mode}",
        "type": f"shop.{row.op}",
        **({"subject": row.key} if row.key else {}),
        **({"datacontenttype": "application/json"} if has_data else {}),
    }
    assert line["extensions"] == {}, "no header of ours is taken for an extension"
    if mode == "binary":
        assert line["data"] == row.payload, "the text of the payload, untouched"
    else:  # the SDK renders data anew that stood within a document
        assert (line["data"] and json.loads(line["data"])) == (row.payload and json.loads(row.payload))
    assert line["tombstone"] == (mode == "binary" and not has_data)


@pytest.mark.nightly
@pytest.mark.judge("CloudEvents SDK for Java", "cloudevents-kafka", FORMAT)
def test_the_judge_refuses_what_is_no_event(
    judges: Judges, kafka: KafkaServer, make_topic: MakeTopic, cases: Cases
) -> None:
    """Without a source, and with a time that is none: the SDK's silence about the relay's events says something."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    good = {"ce_specversion": "1.0", "ce_id": "1", "ce_type": "t", "ce_source": "/s"}
    for headers in (good, {**good, "ce_source": None}, {**good, "ce_time": "yesterday"}):
        kept = [(name, value.encode()) for name, value in headers.items() if value is not None]
        producer.produce(topic, value=b"{}", headers=kept)
    assert producer.flush(30) == 0
    lines = judges.java("EventJudge", kafka.bootstrap, topic, 3)
    assert ["error" in line for line in lines] == [False, True, True]
    cases(3)
