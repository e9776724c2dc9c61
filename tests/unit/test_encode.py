"""From a row to the record that is handed over."""

import pytest

from delivery_kit import CREATED_US, ORIGIN, a_config, a_row
from pg_tide_relay.encode import Record, compile_shape
from pg_tide_relay.errors import MessageError


def test_a_row_becomes_a_record() -> None:
    """Topic, key, value, headers and timestamp each come from their place."""
    config = a_config(topic="{stream_table}.{op}", message_key="{dedup_key}", headers={"env": "test"})
    row = a_row(
        12, op=b"update", dedup_key=b"order-1", payload=b'{"a": 1.10}', headers=b'{"traceparent": "00"}'
    )
    record = compile_shape(config, ORIGIN)(row)
    assert record == Record(
        topic="orders.update",
        key=b"order-1",
        value=b'{"a": 1.10}',
        headers=[
            ("pg_tide_outbox", b"orders"),
            ("pg_tide_op", b"update"),
            ("pg_tide_id", b"12"),
            ("pg_tide_dedup_key", b"order-1"),
            ("pg_tide_ts", b"%d" % (CREATED_US + 12)),
            ("traceparent", b"00"),
            ("env", b"test"),
        ],
        timestamp_ms=(CREATED_US + 12) // 1000,
    )
    assert isinstance(record, Record)


def test_headers_of_one_message_do_not_reach_the_next() -> None:
    """Each record has a list of its own."""
    shape = compile_shape(a_config(headers={"env": "test"}), ORIGIN)
    first, second = shape(a_row(1)), shape(a_row(2))
    assert first is not None
    assert second is not None
    first.headers.append(("x", b"y"))
    assert ("x", b"y") not in second.headers
    assert ("x", b"y") not in (shape(a_row(3)) or first).headers


@pytest.mark.parametrize("headers", [b"not json", b"[1]", b'{"a": 1}', b'{"a": null}'])
def test_headers_that_are_no_object_of_strings_are_the_messages_error(headers: bytes) -> None:
    """A row written past publish stops at the relay, with its id."""
    with pytest.raises(MessageError) as caught:
        compile_shape(a_config(), ORIGIN)(a_row(3, headers=headers))
    assert caught.value.message_id == 3


def test_own_headers_keep_their_order() -> None:
    """As PostgreSQL gives them."""
    record = compile_shape(a_config(), ORIGIN)(a_row(headers=b'{"b": "1", "a": "2"}'))
    assert record is not None
    assert record.headers[-2:] == [("b", b"1"), ("a", b"2")]
