"""From the row as PostgreSQL gives it to values the encoder can use: the stage behind fetch.

A row's texts are bytes and stay bytes. Only what has a structure is decoded here.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from pg_tide_relay.errors import MessageError

Row = tuple[int, bytes, bytes | None, bytes | None, bytes | None, bytes | None, bytes | None, int]
"""(id, op, key, dedup_key, payload, old_payload, headers as the text of a JSON object, created_at).

created_at as PostgreSQL sends it: microseconds since 2000-01-01 UTC.
"""

POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""That zero, in microseconds since 1970."""


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
