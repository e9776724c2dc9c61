"""From the row as PostgreSQL gives it to values the encoder can use: the stage behind fetch.

A row's texts are bytes and stay bytes. Only what has a structure is decoded here.
"""

from collections.abc import Sequence

import orjson

from pg_tide_relay.errors import MessageError

Row = tuple[int, bytes, bytes | None, bytes | None, bytes | None, bytes | None, bytes | None, int]
"""(id, op, key, dedup_key, payload, old_payload, headers as the text of a JSON object, created_us)."""


def decode_headers(message_id: int, text: bytes) -> Sequence[tuple[str, bytes]]:
    """The message's own headers, in the order PostgreSQL gives them.

    Publish refuses anything but an object of strings, so a failure here means a row written past it.
    """
    try:
        decoded = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MessageError(message_id, f"headers are not JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise MessageError(message_id, "headers are not a JSON object")
    headers = []
    for name, value in decoded.items():
        if not isinstance(value, str):
            raise MessageError(message_id, f"header {name!r} is not a string")
        headers.append((name, value.encode()))
    return headers


def timestamp_ms(created_us: int) -> int:
    """A record's timestamp; Kafka counts milliseconds."""
    return created_us // 1000
