"""CloudEvents 1.0 in the Kafka protocol binding, binary and structured content mode.

The rules are those of the specification's ``kafka-protocol-binding`` and ``json-format``. Attributes: ``id`` is the
message's id, ``source`` and ``type`` are the pipeline's, ``subject`` is the record's key, ``time`` is when the
message was published. The payload is data as it is: never parsed, in structured mode put between the attributes.
"""

from collections.abc import Callable, Mapping
from typing import Final

import orjson

from pg_tide_wire_formats.headers import Header
from pg_tide_wire_formats.times import rfc3339

BINARY: Final = "binary"
STRUCTURED: Final = "structured"

_SPECVERSION: Final = b"1.0"
_JSON: Final = b"application/json"
_STRUCTURED_TYPE: Final = b"application/cloudevents+json; charset=UTF-8"
_CONTENT_TYPE: Final = "content-type"
_PREFIX: Final = "ce_"

Encoded = tuple[bytes | None, list[Header]]
Encode = Callable[[int, bytes, bytes | None, int, bytes | None], Encoded]
"""(message id, op, record key, created_us, payload) → value and headers. A payload of None is no data."""


def is_ours(header: str) -> bool:
    """Whether a header of this name would be read as part of the event."""
    name = header.lower()
    return name.startswith(_PREFIX) or name == _CONTENT_TYPE


def compile_binary(source: str, types: Mapping[bytes, str]) -> Encode:
    """Attributes are headers, the value is the data. ``types``: the event's type by op.

    No data is a value of null, on Kafka a tombstone: so the binding has it.
    """
    fixed: list[Header] = [("ce_specversion", _SPECVERSION), ("ce_source", source.encode())]
    type_headers = {op: ("ce_type", name.encode()) for op, name in types.items()}

    def encode(
        message_id: int, op: bytes, key: bytes | None, created_us: int, payload: bytes | None
    ) -> Encoded:
        headers = [*fixed, type_headers[op], ("ce_id", b"%d" % message_id), ("ce_time", rfc3339(created_us))]
        if key:
            headers.append(("ce_subject", key))
        if payload is not None:
            headers.append((_CONTENT_TYPE, _JSON))
        return payload, headers

    return encode


def compile_structured(source: str, types: Mapping[bytes, str]) -> Encode:
    """The value is one JSON document with attributes and data. An event without data is no tombstone."""
    heads = {
        op: b'{"specversion":"1.0","source":%b,"type":%b,"id":"' % (orjson.dumps(source), orjson.dumps(name))
        for op, name in types.items()
    }
    headers: list[Header] = [(_CONTENT_TYPE, _STRUCTURED_TYPE)]

    def encode(
        message_id: int, op: bytes, key: bytes | None, created_us: int, payload: bytes | None
    ) -> Encoded:
        parts = [heads[op], b'%d","time":"' % message_id, rfc3339(created_us), b'"']
        if key:
            parts += (b',"subject":', orjson.dumps(key.decode()))
        if payload is not None:
            parts += (b',"datacontenttype":"application/json","data":', payload)
        parts.append(b"}")
        return b"".join(parts), list(headers)

    return encode
