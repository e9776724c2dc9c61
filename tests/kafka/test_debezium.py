"""Debezium's change events on a real topic."""

import json
from typing import Any

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, records

ROW_SCHEMA = [{"name": "id", "type": "bigint"}, {"name": "total", "type": "numeric(10,2)"}]


def test_an_entitys_life_is_created_updated_deleted_and_forgotten(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Over several partitions, beginning with their first records: c, u, d and a tombstone per key, once, in order."""
    topic = make_topic(partitions=3)
    tide.outbox()
    tide.pipeline(topic, wire_format="debezium", batch_size=7)
    keys = [f"order-{number}" for number in range(40)]
    for op, payload, old in (
        ("insert", {"v": 1}, None),
        ("update", {"v": 2}, {"v": 1}),
        ("delete", None, {"v": 2}),
    ):
        for key in keys:
            tide.value(
                "select tide.outbox_publish('orders', %s::jsonb, op => %s, old_payload => %s::jsonb, key => %s)",
                None if payload is None else json.dumps(payload),
                op,
                None if old is None else json.dumps(old),
                key,
            )
    start_relay(tide.dsn)
    lives: dict[str, list[Any]] = {key: [] for key in keys}
    for record in records(read_topic(topic, 4 * len(keys))):
        event = None if record.value is None else json.loads(record.value)
        assert record.key is not None
        lives[record.key.decode()].append(event and (event["op"], event["before"], event["after"]))
    life = [("c", None, {"v": 1}), ("u", {"v": 1}, {"v": 2}), ("d", {"v": 2}, None), None]
    assert set(map(str, lives.values())) == {str(life)}


def test_a_tombstone_has_the_topic_partition_and_headers_of_its_delete(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Directly behind it, where the key is a struct, too."""
    topic = make_topic(partitions=3)
    tide.outbox()
    wire_config = {
        "row_schema": ROW_SCHEMA,
        "schemas_enable": True,
        "key_strategy": "struct",
        "key_fields": ["id"],
        "key_schemas_enable": True,
    }
    tide.pipeline(topic, wire_format="debezium", wire_config=wire_config)
    tide.value(
        """select tide.outbox_publish('orders', null, op => 'delete', old_payload => '{"id": 7, "total": 1.10}')"""
    )
    start_relay(tide.dsn)
    read = read_topic(topic, 2)
    event, tombstone = records(read)
    assert read[0].partition() == read[1].partition()
    assert tombstone == event._replace(value=None)
    assert json.loads(event.key or b"")["payload"] == {"id": 7}
    assert json.loads(event.value or b"")["payload"]["before"] == {"id": 7, "total": "bg=="}


def test_the_source_is_the_database_and_the_time_of_the_publish(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    tide.outbox()
    tide.pipeline(topic, wire_format="debezium")
    message_id = tide.publish({"id": 1}, key="k")
    created_us = tide.value(
        "select (extract(epoch from created_at) * 1000000)::bigint from tide.message where id = %s",
        message_id,
    )
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    event = json.loads(record.value or b"")
    assert event["source"]["db"] == tide.value("select current_database()")
    assert event["source"]["ts_us"] == created_us
    assert event["source"]["ts_ms"] == created_us // 1000
    assert created_us <= event["ts_us"] < created_us + 60_000_000
