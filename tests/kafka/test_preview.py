"""`pg-tide preview` shows what then arrives, byte for byte, and a running relay does not notice it."""

import json
import subprocess
from typing import Any

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import PG_TIDE, StartRelay, clean_environment
from relay_kit import Record, Tide, records

CURSOR = (
    "select c.xmin::text, c.xmax::text, c.ctid::text, c.epoch, c.generation, c.last_id, c.prev::text, c.lease_until"
    " from tide.cursor c"
)


def preview(tide: Tide, *arguments: str) -> list[dict[str, Any]]:
    """The messages that the program shows, in an environment without a word of Kafka."""
    done = subprocess.run(
        [*PG_TIDE, "preview", "orders-to-kafka", "--postgres-url", tide.dsn, "-o", "json", *arguments],
        env=clean_environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    shown: list[dict[str, Any]] = json.loads(done.stdout)["messages"]
    return shown


def as_record(shown: dict[str, Any]) -> Record:
    """A record of the preview as a consumer would see it; all texts here are UTF-8."""
    record = shown["record"]
    return Record(
        topic=record["topic"],
        key=None if record["key"] is None else record["key"].encode(),
        value=None if record["value"] is None else record["value"].encode(),
        headers=[(header["name"], header["value"].encode()) for header in record["headers"]],
        timestamp_ms=record["timestamp_ms"],
    )


def test_what_is_shown_is_byte_for_byte_what_arrives(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Topic, key, headers, value and time of each record, over filter, projection, rules and templates."""
    topics = [make_topic(), make_topic()]
    tide.outbox()
    tide.pipeline(
        topics[0],
        message_key="{payload.id}/{op}",
        headers={"team": "shop", "own": "hidden by a message's own"},
        transform={"filter": "id != `3`", "payload": "{id: id, total: total, name: name, op: _message.op}"},
        routing={"rules": [{"when": "total > `100`", "topic": topics[1], "headers": {"why": "лarge"}}]},
    )
    tide.publish({"id": 1, "total": 1, "name": "ä\u2028\U0001f40c\t"}, key="k")
    tide.publish({"id": 2, "total": 1000}, dedup_key="d", headers=json.dumps({"own": "värde", "empty": ""}))
    tide.publish({"id": 3})
    exact = '{"id": 9007199254740993, "total": 1.10, "name": 0.10000000000000000555}'
    tide.value("select tide.outbox_publish('orders', %s::jsonb, op => 'update')", exact)
    delete = "select tide.outbox_publish('orders', null, op => 'delete', old_payload => '{\"id\": 5, \"total\": 500}')"
    tide.value(delete)
    shown = preview(tide, "--limit", "100")
    assert [message["outcome"] for message in shown] == ["sent", "sent", "filtered", "sent", "sent"]
    expected = [as_record(message) for message in shown if message["outcome"] == "sent"]
    assert [record.topic for record in expected] == [topics[0], topics[1], topics[0], topics[1]]
    start_relay(tide.dsn)
    tide.until_settled()
    for topic in topics:
        assert records(read_topic(topic, 2)) == [record for record in expected if record.topic == topic]


def test_without_any_shaping_it_shows_what_arrives_too(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """No key is no key, an empty payload is JSON's null."""
    tide.outbox()
    tide.pipeline(topic)
    tide.publish({"b": 1.50, "a": None})
    tide.publish({}, key="")
    tide.value("select tide.outbox_publish('orders', null, op => 'delete', key => 'gone')")
    expected = [as_record(message) for message in preview(tide)]
    start_relay(tide.dsn)
    arrived = sorted(records(read_topic(topic, 3)), key=lambda record: record.message_id)
    assert arrived == expected


def test_a_running_relay_does_not_notice_it(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The cursor's row is the same version of the row afterwards, the owner the same; then it goes on delivering."""
    tide.outbox()
    tide.pipeline(topic)
    published = tide.publish_many(10, key="one")
    # Prolongs its lease every 20 seconds: nothing but a settle writes the cursor meanwhile.
    relay = start_relay(tide.dsn, "--lease-ms", "60000")
    tide.until_settled()
    before = tide.rows(CURSOR)
    for _ in range(3):
        assert [message["id"] for message in preview(tide, "--from", str(published[7]))] == published[7:]
        assert preview(tide) == []
    assert tide.rows(CURSOR) == before
    last = tide.publish({}, key="one")
    tide.until_settled()
    assert [record.message_id for record in records(read_topic(topic, 11))] == [*published, last]
    assert tide.rows(CURSOR)[0].epoch == before[0].epoch
    assert [line for line in relay.lines() if line["level"] != "info"] == []
