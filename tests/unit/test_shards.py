"""Which shard a message falls to: as Java's client hashes, the same for everybody, and exactly one."""

import json
from typing import Any

import pytest

from pg_tide_relay.config.load import load_record_config
from pg_tide_relay.encode import compile_shape
from pg_tide_relay.message import Row
from pg_tide_relay.schemas import Schemas
from pg_tide_relay.shards import compile_mine, compile_record_key, shard_of
from pg_tide_relay.wire_types import Origin

ORIGIN = Origin("orders", "shop")

# org.apache.kafka.common.utils.UtilsTest: murmur2 of these, with its sign.
GOLDEN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def row(
    message_id: int = 1,
    *,
    key: str | None = None,
    dedup_key: str | None = None,
    payload: Any = None,
    op: bytes = b"insert",
) -> Row:
    text = None if payload is None else json.dumps(payload).encode()
    return (
        message_id, op, key and key.encode(), dedup_key and dedup_key.encode(), text, None, None, 0,
    )  # type: ignore[return-value]  # fmt: skip


def config(**keys: Any) -> Any:
    stored = {"sink_type": "kafka", "brokers": "localhost:9092", "topic": "t", **keys}
    return load_record_config(stored, {})


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 64])
@pytest.mark.parametrize("key", GOLDEN)
def test_a_key_falls_where_javas_murmur2_puts_it(key: bytes, shards: int) -> None:
    assert shard_of(key, 17, shards) == (GOLDEN[key] & 0x7FFFFFFF) % shards


def test_a_message_without_key_falls_by_its_id() -> None:
    assert [shard_of(None, number, 4) for number in range(1, 6)] == [1, 2, 3, 0, 1]


FORMATS: dict[str, dict[str, Any]] = {
    "native": {},
    "template": {"message_key": "{stream_table}-{key}"},
    "member": {"message_key": "{payload.customer}"},
    "rules": {
        "routing": {
            "rules": [{"when": "customer == 'b'", "topic": "other", "message_key": "{payload.customer}"}]
        }
    },
    "cloudevents": {"wire_format": "cloudevents"},
    "outbox_router": {"wire_format": "outbox_router"},
    "change events": {"wire_format": "debezium"},
    "change events by struct": {
        "wire_format": "debezium",
        "wire_config": {
            "key_strategy": "struct",
            "key_fields": ["customer"],
            "row_schema": [{"name": "customer", "type": "text"}, {"name": "total", "type": "int4"}],
        },
    },
}


@pytest.mark.parametrize("keys", FORMATS.values(), ids=FORMATS)
def test_what_decides_the_shard_is_the_records_key(keys: dict[str, Any]) -> None:
    """Equal keys of records, equal shards; and never another one for what the key does not tell."""
    wanted = config(**keys)
    shape, key_of = compile_shape(wanted, ORIGIN, Schemas()), compile_record_key(wanted, ORIGIN)
    rows = [
        row(number, key=f"k{number % 3}", payload={"customer": "abc"[number % 2], "total": number})
        for number in range(1, 13)
    ]
    by_record: dict[bytes | None, set[bytes | None]] = {}
    for one in rows:
        record = shape(one)
        assert record is not None
        by_record.setdefault(record.key, set()).add(key_of(one))
    assert all(len(found) == 1 for found in by_record.values()), by_record
    assert len(set.union(*by_record.values())) == len(by_record) > 1


BAD = {
    "no such member": row(5, key="k5", payload={"total": 1}),
    "no payload": row(6, key="k6"),
    "no key of its own either": row(7),
    "no JSON": (8, b"insert", b"k8", None, b"{", None, None, 0),
}


@pytest.mark.parametrize("keys", FORMATS.values(), ids=FORMATS)
def test_every_message_falls_to_exactly_one_shard_also_one_that_can_t_be_shaped(keys: dict[str, Any]) -> None:
    wanted = config(**keys)
    rows: list[Any] = [
        row(number, key=f"k{number % 7}", payload={"customer": "abc"[number % 3], "total": number})
        for number in range(100, 130)
    ]
    rows += BAD.values()
    parts = [compile_mine(wanted, ORIGIN, shard, 4) for shard in range(4)]
    taken = [one for mine in parts for one in mine(rows)]
    assert sorted(one[0] for one in taken) == sorted(one[0] for one in rows)


def test_one_shard_picks_nothing() -> None:
    """A pipeline without shards pays nothing for them."""
    rows = [row(1, key="k")]
    assert compile_mine(config(), ORIGIN, 0, 1)(rows) is rows
