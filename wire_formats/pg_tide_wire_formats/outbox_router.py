"""The record of Debezium's outbox event router, for readers of an outbox that Debezium delivered before.

The rules are those of ``io.debezium.transforms.outbox.EventRouter`` (read and run: 3.7.0) over an outbox table as
Debezium documents it: ``id`` uuid, ``aggregateid`` varchar not null, ``payload`` jsonb. The key is ``aggregateid``,
the value the payload and nothing else, the header ``id`` the event's id, as ``SimpleHeaderConverter`` writes it. Their
bytes are made by converters of Kafka Connect, after which the options are named:

- ``string``: ``StringConverter``, the text itself
- ``json``: ``JsonConverter`` with ``schemas.enable=false``, the text as a JSON string, quoted and escaped
- ``json_with_schema``: ``JsonConverter`` with ``schemas.enable=true``, its default: that string beside its schema

A payload of ``string`` is also what ``JsonConverter`` with ``schemas.enable=false`` makes behind
``table.expand.json.payload=true``, ``table.json.payload.null.behavior=optional_bytes`` and
``table.json.payload.empty.array.behavior=optional_string``: the same JSON document, though here with every digit and
PostgreSQL's spaces. The router turns numbers with a fraction into doubles; a payload that is no object, or has a list
of unlike elements, it leaves as a string or fails on. Expansion with schemas has no counterpart: each payload would
have a schema of its own.

``emit_tombstones`` is ``route.tombstone.on.empty.payload``: a payload of SQL NULL makes a record without value. Without
it the value is JSON's null, as ``JsonConverter`` writes it; ``StringConverter`` makes a tombstone in any case.

An event without an id of its own gets a UUID made of what identifies its message for good. Readers of these records
parse a UUID and drop what they have seen, and ids of messages may be used again after a fail-over.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Final, Literal
from uuid import NAMESPACE_URL

import orjson

from pg_tide_wire_formats.native import JSON_NULL

ID: Final = "id"
"""The header that says which event it is."""

Converter = Literal["string", "json", "json_with_schema"]
Convert = Callable[[bytes], bytes]
Encode = Callable[[bytes | None, bytes | None], tuple[bytes | None, bytes | None]]
"""(record key, payload) → the record's key and value. A payload of None is no payload."""
EventId = Callable[[int, int], bytes]
"""(message id, created_us) → the event's id."""

# What Debezium makes of the columns aggregateid (varchar not null) and payload (jsonb), as JsonConverter writes it.
_KEY_SCHEMA: Final = b'{"type":"string","optional":false}'
_PAYLOAD_SCHEMA: Final = b'{"type":"string","optional":true,"name":"io.debezium.data.Json","version":1}'

# Jackson writes these in a way of its own: control characters with capital digits, and beyond U+FFFF two escapes.
_ESCAPED_BY_JACKSON: Final = re.compile("[\x00-\x1f\U00010000-\U0010ffff]")
_NEEDS_ESCAPE: Final = re.compile('["\\\\\x00-\x1f\U00010000-\U0010ffff]')
_SHORT: Final = {
    '"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r",
}  # fmt: skip


def compile_outbox_router(
    key_converter: Converter, value_converter: Converter, *, emit_tombstones: bool
) -> Encode:
    """Prepare key and value of one pipeline's records. A record without a key has none with every converter."""
    key_of = _compile_converter(key_converter, _KEY_SCHEMA)
    value_of = _compile_converter(value_converter, _PAYLOAD_SCHEMA)
    empty = None if emit_tombstones else JSON_NULL
    if empty is not None and value_converter == "json_with_schema":
        empty = _with_schema(_PAYLOAD_SCHEMA, JSON_NULL)

    def encode(key: bytes | None, payload: bytes | None) -> tuple[bytes | None, bytes | None]:
        return None if key is None else key_of(key), empty if payload is None else value_of(payload)

    return encode


def compile_event_id(database: str, outbox: str) -> EventId:
    """What makes the id of an event that was published without one, the same whenever its message is sent.

    A UUID of version 5 (RFC 9562) in the namespace of URLs: of ``pg-tide:database/outbox/message id/created_us``.
    """
    begun = hashlib.sha1(
        NAMESPACE_URL.bytes + f"pg-tide:{database}/{outbox}/".encode(), usedforsecurity=False
    )

    def event_id(message_id: int, created_us: int) -> bytes:
        # As uuid.uuid5 does it, in a third of the time.
        digest = begun.copy()
        digest.update(b"%d/%d" % (message_id, created_us))
        octets = bytearray(digest.digest()[:16])
        octets[6] = octets[6] & 0x0F | 0x50
        octets[8] = octets[8] & 0x3F | 0x80
        text = octets.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()

    return event_id


def _compile_converter(converter: Converter, schema: bytes) -> Convert:
    if converter == "string":
        return lambda text: text
    if converter == "json":
        return _json_string
    return lambda text: _with_schema(schema, _json_string(text))


def _with_schema(schema: bytes, value: bytes) -> bytes:
    return b'{"schema":%b,"payload":%b}' % (schema, value)


def _json_string(text: bytes) -> bytes:
    """A text as a JSON string, byte for byte as Jackson's UTF8JsonGenerator writes it: keys decide partitions."""
    decoded = text.decode()
    if _ESCAPED_BY_JACKSON.search(decoded) is None:
        return orjson.dumps(decoded)
    return b'"%b"' % _NEEDS_ESCAPE.sub(_escape, decoded).encode()


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    short = _SHORT.get(character)
    if short is not None:
        return short
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[place : place + 2].hex().upper()}" for place in range(0, len(units), 2))
