"""Every wire format carries what `pg-tide verify` knows a message by, and makes the record that it expects."""

from typing import Any

import pytest

from avro_orders import ORDER, PAYLOAD
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from kafka.verifying import copies, verify, write
from pg_tide_dev.registry import RegistryServer
from relay_kit import FAST, Tide

ROWS = [{"name": "id", "type": "bigint"}, {"name": "state", "type": "text"}]
FORMATS: dict[str, dict[str, Any]] = {
    "native": {},
    "native-tombstones": {"wire_config": {"emit_tombstones": True}},
    "cloudevents-binary": {"wire_format": "cloudevents"},
    "cloudevents-structured": {"wire_format": "cloudevents", "wire_config": {"mode": "structured"}},
    "outbox_router": {"wire_format": "outbox_router"},
    "outbox_router-json": {
        "wire_format": "outbox_router",
        "wire_config": {"key_converter": "json", "value_converter": "json_with_schema"},
    },
    "debezium": {"wire_format": "debezium"},
    "debezium-struct-key": {
        "wire_format": "debezium",
        "wire_config": {"row_schema": ROWS, "key_strategy": "struct", "key_fields": ["id"]},
    },
    "debezium-no-tombstones": {"wire_format": "debezium", "wire_config": {"emit_tombstones": False}},
}


def published(tide: Tide) -> list[int]:
    """The life of two entities; their ids."""
    found = []
    for op, payload, old in (
        ("insert", '{"id": 1, "state": "new"}', None),
        ("update", '{"id": 1, "state": "sent"}', '{"id": 1, "state": "new"}'),
        ("delete", None, '{"id": 1, "state": "sent"}'),
    ):
        for key in ("one", "two"):
            query = "select tide.outbox_publish('orders', %s::jsonb, op => %s, old_payload => %s::jsonb, key => %s)"
            found.append(int(tide.value(query, payload, op, old, key)))
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_compared_record_by_record(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic, name: str
) -> None:
    """All there: nothing is found. Without the last record: its message is missing, and no other."""
    topic, copy = make_topic(), make_topic()
    tide.outbox()
    tide.pipeline(topic, **FORMATS[name])
    ids = published(tide)
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    relay.terminate()
    answer = verify(tide)
    assert (answer.code, answer.found, answer.report["messages"]["compared"]) == (0, {}, 6)
    records = copies(read_topic(topic))
    followed = name.startswith("debezium") and not name.endswith("no-tombstones")
    assert len(records) == (8 if followed else 6)
    assert records[-1].message_id == ids[-1]
    write(tide.bootstrap, copy, records[:-1])
    tide.pipeline(copy, **FORMATS[name])
    answer = verify(tide)
    assert (answer.code, answer.found) == (1, {"gaps": [ids[-1]]})
    note = answer.report["findings"]["gaps"]["examples"][0]["note"]
    assert (note is not None) == followed


@pytest.mark.parametrize("key", ["text", "avro"])
def test_avro_is_compared_with_the_registrys_help_and_registers_nothing(
    tide: Tide, make_topic: MakeTopic, registry: RegistryServer, start_relay: StartRelay,
    read_topic: ReadTopic, key: str,
) -> None:  # fmt: skip
    topic, copy = make_topic(), make_topic()
    avro = {
        "wire_format": "avro",
        "serialization": {"schema": ORDER, "key": key, "subject_name_strategy": "RecordNameStrategy"},
        "schema_registry": {"url": registry.url, "auto_register": True},
    }
    if key == "avro":
        avro["serialization"]["subject_name_strategy"] = "TopicNameStrategy"  # type: ignore[index]
    tide.outbox()
    tide.pipeline(topic, **avro)
    ids = [tide.publish(PAYLOAD, key=f"order-{n}") for n in range(3)]
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    relay.terminate()
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {})
    if key == "text":
        write(tide.bootstrap, copy, copies(read_topic(topic, 3))[1:])
        tide.pipeline(copy, **avro)
        assert verify(tide).found == {"gaps": [ids[0]]}
