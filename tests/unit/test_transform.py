"""Filter and projection, from row to row."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from delivery_kit import ORIGIN, a_config, a_row
from pg_tide_relay.encode import compile_shape
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import Message, Row
from pg_tide_relay.transform import Transform, compile_transform, transforms_of


def compiled(**keys: str) -> Transform | None:
    config = a_config(transform=keys).transform
    return compile_transform(transforms_of(config), drops_null=config.on_null == "drop")


def a_transform(**keys: str) -> Callable[[Row], Row | None]:
    transform = compiled(**keys)
    assert transform is not None
    return lambda row: transform(Message(row))


def test_without_expressions_there_is_no_transform() -> None:
    """A payload that is passed through is never parsed."""
    assert compiled() is None
    assert compiled(on_null="drop") is None


@pytest.mark.parametrize(
    ("payload", "is_kept"),
    [
        (b'{"total": 11}', True),
        (b'{"total": 10}', False),
        (b'{"other": 1}', False),
        (b"[]", False),
        (b"null", False),
    ],
)
def test_a_filter_keeps_what_it_is_true_for_and_leaves_it_alone(payload: bytes, is_kept: bool) -> None:
    row = a_row(payload=payload)
    assert a_transform(filter="total > `10`")(row) == (row if is_kept else None)


def test_zero_is_true() -> None:
    """As JMESPath has it: a filter on a count of 0 keeps the message."""
    row = a_row(payload=b'{"count": 0}')
    assert a_transform(filter="count")(row) == row


def test_a_projection_keeps_numbers_and_names_metadata() -> None:
    projection = (
        "{n: total, big: big, op: _message.op, id: _message.id, key: _message.key, at: _message.created_at}"
    )
    row = a_row(7, op=b"update", key=b"k", payload=b'{"total": 1.10, "big": 9007199254740993}')
    transformed = a_transform(payload=projection)(row)
    assert transformed is not None
    value = transformed[4]
    assert value is not None
    assert value.startswith(b'{"n":1.10,"big":9007199254740993,"op":"update","id":7,"key":"k","at":"20')
    assert value.endswith(b'Z"}')
    assert (transformed[:4], transformed[5:]) == (row[:4], row[5:])


def test_a_projection_gives_both_payloads_one_shape() -> None:
    row = a_row(payload=b'{"a": 1, "b": 2}', old_payload=b'{"a": 0, "b": 2}')
    transformed = a_transform(payload="{a: a}")(row)
    assert transformed is not None
    assert transformed[4:6] == (b'{"a":1}', b'{"a":0}')


def test_metadata_is_what_the_message_has() -> None:
    row = a_row(
        3,
        op=b"delete",
        key=b"k",
        dedup_key=b"d",
        payload=b"{}",
        headers=b'{"h": "1"}',
        old_payload=b'{"a": 1.50}',
    )
    transformed = a_transform(payload="_message")(row)
    assert transformed is not None
    assert b'"old_payload":{"a":1.50}' in (transformed[4] or b"")
    found = json.loads(transformed[4] or b"")
    assert set(found) == {"id", "op", "key", "dedup_key", "headers", "created_at", "old_payload"}
    assert (found["id"], found["op"], found["key"], found["dedup_key"]) == (3, "delete", "k", "d")
    assert found["headers"] == {"h": "1"}


@pytest.mark.parametrize(
    ("old", "on_null", "is_kept"),
    [
        (b'{"total": 11}', "drop", True),
        (b'{"total": 1}', "pass", False),
        (None, "pass", True),
        (None, "drop", False),
    ],
)
def test_a_delete_without_payload_is_judged_by_its_old_one(
    old: bytes | None, on_null: str, is_kept: bool
) -> None:
    """And where there is none, by ``on_null``."""
    row = a_row(op=b"delete", payload=None, old_payload=old)
    assert a_transform(filter="total > `10`", on_null=on_null)(row) == (row if is_kept else None)


def test_a_projection_leaves_a_null_payload_null() -> None:
    transformed = a_transform(payload="{a: a}")(a_row(op=b"delete", payload=None))
    assert transformed is not None
    assert transformed[4] is None


@pytest.mark.parametrize(
    ("keys", "payload", "said"),
    [
        ({"filter": "abs(a) > `1`"}, b'{"a": "x"}', "transform.filter failed"),
        ({"filter": "a < `1`"}, b'{"a": "x"}', "transform.filter failed"),
        ({"payload": "{s: sum(a)}"}, b'{"a": [1e308, 1e308]}', "transform.payload failed"),
        ({"payload": "a"}, b"{", "payload can't be worked on"),
    ],
)
def test_what_fails_on_a_message_is_that_messages_error(
    keys: dict[str, Any], payload: bytes, said: str
) -> None:
    with pytest.raises(MessageError, match=said) as raised:
        a_transform(**keys)(a_row(42, payload=payload))
    assert raised.value.message_id == 42


@pytest.mark.parametrize("key", ["filter", "payload"])
def test_what_does_not_compile_is_the_pipelines_error(key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"transform.{key}"):
        compile_shape(a_config(transform={key: "a."}), ORIGIN)


def test_the_shape_of_a_message_that_is_filtered_is_none() -> None:
    shape = compile_shape(a_config(transform={"filter": "a", "payload": "a"}), ORIGIN)
    assert shape(a_row(payload=b'{"a": null}')) is None
    record = shape(a_row(payload=b'{"a": [1.0]}'))
    assert record is not None
    assert record.value == b"[1.0]"
