"""What a preview needs of a configuration, and what it makes of bytes, without a database."""

from typing import Any

import pytest

from delivery_kit import ORIGIN
from pg_tide_relay.commands.preview_output import as_json, as_text
from pg_tide_relay.config.load import RECORD_KEYS, load_record_config
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.problems import ConfigError
from pg_tide_relay.encode import Record
from pg_tide_relay.message import Row
from pg_tide_relay.peek import Peek
from pg_tide_relay.preview import Previewed, compile_stored, preview, problems_of

CONFIG: dict[str, Any] = {"sink_type": "kafka", "brokers": "localhost:9092", "topic": "t"}
FOUND = Peek(outbox="orders", database="shop", consumer_group="g", config=CONFIG, rows=[])


def row(message_id: int = 1, payload: bytes | None = b"{}", key: bytes | None = b"k") -> Row:
    return (message_id, b"insert", key, None, payload, None, None, 0)


def previewed(value: bytes, key: bytes | None = b"k") -> Previewed:
    return Previewed(row=row(), record=Record("t", key, value, [("pg_tide_id", b"1")], 0))


def test_each_key_of_a_configuration_makes_records_or_is_about_their_delivery() -> None:
    """A new key has to be put on one side: left out by mistake it would not be in the preview."""
    of_delivery = {
        "brokers", "sasl_mechanism", "sasl_username", "sasl_password", "tls_enabled", "tls_ca_cert",
        "tls_client_cert", "tls_client_key", "compression", "acks", "batch_size", "linger_ms", "idempotent",
        "request_timeout_ms", "topics", "dlq", "retry", "rate_limit",
        "delivery", "transactions", "shards",
    }  # fmt: skip
    assert set(PipelineConfig.model_fields) == RECORD_KEYS | of_delivery
    assert not RECORD_KEYS & of_delivery


def test_a_configuration_for_records_has_no_word_of_kafka_in_it() -> None:
    """Nor does it read a variable that only the relay needs, also where it is set."""
    stored = CONFIG | {
        "brokers": "${env:KAFKA_BROKERS}",
        "headers": {"place": "${env:TIDE_PLACE}"},
        "acks": "1",
    }
    config = load_record_config(stored, {"TIDE_PLACE": "north", "KAFKA_BROKERS": "no address"})
    assert config.headers == {"place": "north"}
    assert (config.topic, config.acks) == ("t", "all")


def test_keys_that_no_record_depends_on_are_checked_all_the_same() -> None:
    with pytest.raises(ConfigError, match="acks"):
        load_record_config(CONFIG | {"acks": "2"}, {})


def test_a_message_in_error_does_not_hide_the_next() -> None:
    shape = compile_stored(CONFIG | {"message_key": "{key}"}, ORIGIN, {}, ())
    first, second = preview(shape, [row(key=None), row(2)])
    assert (first.outcome, second.outcome) == ("error", "sent")
    assert first.error == "message_key asks for {key}, which this message does not have"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (b'{"a": "\xc3\xa4"}', '{"a": "ä"}'),
        (b"", ""),
        (b"\xff\x00", {"base64": "/wA="}),
    ],
)
def test_bytes_are_text_in_json_or_else_base64(given: bytes, shown: object) -> None:
    (message,) = as_json("p", FOUND, None, [previewed(given)])["messages"]
    assert message["record"]["value"] == shown
    assert message["record"]["value_bytes"] == len(given)


def test_no_key_and_an_empty_key_are_told_apart() -> None:
    without, empty = as_json("p", FOUND, None, [previewed(b"", None), previewed(b"", b"")])["messages"]
    assert (without["record"]["key"], empty["record"]["key"]) == (None, "")
    assert "record key   (none)\n" in as_text("p", FOUND, None, [previewed(b"", None)])
    assert "record key   (empty)\n" in as_text("p", FOUND, None, [previewed(b"", b"")])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"x" * 300, "x" * 300 + "\n"),
        (b"x" * 301, "x" * 300 + "… (301 bytes)\n"),
        ("ä".encode() * 1000, "ä" * 300 + "… (2,000 bytes)\n"),
        (b"a\x1b[2Jb\xc2\x9b", "a\\x1b[2Jb\\x9b\n"),
        (b"\xff", "base64 /w==\n"),
    ],
)
def test_people_see_printable_texts_of_a_length_that_can_be_read(value: bytes, expected: str) -> None:
    assert f"  value        {expected}" in as_text("p", FOUND, None, [previewed(value)])


def test_an_error_is_told_whole_and_printable() -> None:
    text = as_text("p", FOUND, None, [Previewed(row=row(), error="x" * 1000 + "\x1b")])
    assert "  outcome      error\n  error        " + "x" * 1000 + "\\x1b\n" in text


def test_the_last_line_counts_what_becomes_of_the_messages() -> None:
    stored = CONFIG | {"transform": {"filter": "n != `1`"}, "message_key": "{key}"}
    rows = [row(1, b'{"n": 1}'), row(2, b'{"n": 2}'), row(3, b"{}", None)]
    text = as_text("p", FOUND, 1, preview(compile_stored(stored, ORIGIN, {}, ()), rows))
    assert text.startswith("Pipeline p, outbox orders, group g, from id 1 on. Nothing is sent.\n")
    assert text.endswith("Messages: 3; 1 would be sent, 1 filtered, 1 in error.")


def test_a_row_schema_that_is_none_is_told_before_it_runs() -> None:
    """Without any database; what is no column at all the rules of the configuration tell."""
    wire_config = {"row_schema": [{"name": "id", "type": "serial"}, {"name": 1, "type": "text"}]}
    found = problems_of(CONFIG | {"wire_format": "debezium", "wire_config": wire_config})
    assert [(problem.path, problem.message) for problem in found] == [
        ("wire_config.row_schema[1].name", "must be a string, not a number"),
        ("wire_config.row_schema", "column 'id': 'serial' is no type that a row schema knows"),
    ]


def test_what_the_projection_makes_is_shown_between_row_and_record() -> None:
    """Of both payloads, whatever the wire format; nothing where there is no projection, or no record."""
    stored = CONFIG | {
        "wire_format": "debezium",
        "transform": {"filter": "n != `2`", "payload": "{m: n}"},
    }
    rows = [row(1, b'{"n": 1.10}'), row(2, b'{"n": 2}')]
    shown, filtered = preview(compile_stored(stored, ORIGIN, {}, ()), rows)
    assert (shown.transformed, filtered.transformed) == ((b'{"m":1.10}', None), None)
    text = as_text("p", FOUND, None, [shown])
    assert '  transformed  {"m":1.10}\n  outcome      sent\n' in text
    (message,) = as_json("p", FOUND, None, [shown])["messages"]
    assert message["transformed"] == {"payload": '{"m":1.10}', "old_payload": None}
    without = preview(compile_stored(CONFIG, ORIGIN, {}, ()), rows[:1])
    assert "transformed " not in as_text("p", FOUND, None, without)
