"""The page about capture: the changes it makes arrive on topics, in order, in each format, before and after."""

import json

from docs_kit import blocks, roles_of, run_sql, runnable
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from pg_tide_dev.databases import Database
from relay_kit import Record, Tide, header, records

PAGE = "docs/capture.md"
LAMP = {"sku": "A-1", "name": "Lamp", "price": 20.0}
CHEAPER = LAMP | {"price": 18.5}
RENAMED = CHEAPER | {"sku": "A-2"}
DESK = {"sku": "B-2", "name": "Desk", "price": 150.0}

CHANGES = [
    ("insert", "A-1", None, LAMP),
    ("insert", "B-2", None, DESK),
    ("update", "A-1", LAMP, CHEAPER),
    ("delete", "A-1", CHEAPER, None),
    ("insert", "A-2", None, RENAMED),
    ("delete", "B-2", DESK, None),
]
"""op, key, before, after of what the page changes."""


def read(record: Record) -> tuple[str, str, object]:
    """op, key and value of a record."""
    value = None if record.value is None else json.loads(record.value)
    return header("pg_tide_op", record).decode(), (record.key or b"").decode(), value


def test_the_changes_arrive_in_order_in_each_format(
    tide: Tide,
    database18: Database,
    make_topic: MakeTopic,
    read_topic: ReadTopic,
    start_relay: StartRelay,
) -> None:
    """Inserts, an update, a change of the key and a delete; not what was rolled back."""
    topics = {name: make_topic() for name in ("plain", "events", "router", "debezium")}
    places = {"localhost:9092": tide.bootstrap} | {
        f'"topic": "products-{name}"': f'"topic": "{real}"' for name, real in topics.items()
    }
    with roles_of(blocks(PAGE), database18):
        for block in runnable(PAGE, "sql"):
            run_sql(tide.connection, block, places)
            if "relay_set_outbox" in block.text:
                break
        start_relay(tide.dsn)
        found = {
            name: records(read_topic(topic, 8 if name == "debezium" else 6)) for name, topic in topics.items()
        }

    assert [read(record) for record in found["plain"]] == [
        (op, key, None if after is None else {"before": before, "after": after})
        for op, key, before, after in CHANGES
    ]
    assert found["plain"][2].value == (
        b'{"before":{"sku":"A-1","name":"Lamp","price":20.00},"after":{"sku":"A-1","name":"Lamp","price":18.50}}'
    )

    now = [(op, key, after) for op, key, _, after in CHANGES]
    assert [read(record) for record in found["events"]] == now
    assert [header("ce_type", record).decode() for record in found["events"]] == [
        f"products.{op}" for op, *_ in CHANGES
    ]
    assert [read(record) for record in found["router"]] == now
    assert {record.value for record in found["router"][3::2]} == {b"null"}
    assert len({header("id", record) for record in found["router"]}) == len(CHANGES)

    expected: list[tuple[str, object]] = []
    for op, key, before, after in CHANGES:
        expected.append((key, {"op": op[0].replace("i", "c"), "before": before, "after": after}))
        expected += [(key, None)] if op == "delete" else []
    assert [(key, changed(value)) for _, key, value in map(read, found["debezium"])] == expected
    source = json.loads(found["debezium"][0].value or b"")["source"]
    assert (source["name"], source["schema"], source["table"]) == ("shop", "public", "product")


def changed(value: object) -> object:
    """What a Debezium event says of the row."""
    return value and {name: value[name] for name in ("op", "before", "after")}  # type: ignore[index]
