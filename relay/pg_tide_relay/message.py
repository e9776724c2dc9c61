"""A message as it is read, and the documents in it, each parsed when it is asked for first.

A row's texts are bytes and stay bytes. Only what has a structure, and is asked for, is decoded.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson

from pg_tide_relay.errors import MessageError
from pg_tide_relay.expression import Expression, ExpressionError
from pg_tide_wire_formats import times
from pg_tide_wire_formats.documents import DocumentError, parse

Row = tuple[int, bytes, bytes | None, bytes | None, bytes | None, bytes | None, bytes | None, int]
"""(id, op, key, dedup_key, payload, old_payload, headers as the text of a JSON object, created_at).

created_at as PostgreSQL sends it: microseconds since 2000-01-01 UTC.
"""

POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""That zero, in microseconds since 1970."""

PAYLOAD: Final = 4
OLD_PAYLOAD: Final = 5
"""Places in a row."""

_UNREAD: Final[Any] = object()


def bytes_of(rows: Iterable[Row]) -> int:
    """The bytes of all texts of these messages: payloads, headers and keys may each be large."""
    return sum(
        len(key or b"") + len(dedup_key or b"") + len(payload or b"") + len(old or b"") + len(headers or b"")
        for _, _, key, dedup_key, payload, old, headers, _ in rows
    )


def decode_headers(message_id: int, text: bytes) -> Sequence[tuple[str, bytes]]:
    """The message's own headers, in the order PostgreSQL gives them.

    Publish refuses anything but an object of strings, so a failure here means a row written past it.
    """
    return [(name, value.encode()) for name, value in _decoded(message_id, text)]


def _decoded(message_id: int, text: bytes) -> Sequence[tuple[str, str]]:
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
        headers.append((name, value))
    return headers


class Message(tuple[Any, ...]):
    """A row whose documents can be asked for. A tuple, so that whatever takes a row takes it."""

    read: Callable[[bytes], Any] = staticmethod(parse)
    """What parses its documents; a pipeline that looks at some members only has its own."""

    _payload: Any = _UNREAD
    _old_payload: Any = _UNREAD
    _headers: Any = _UNREAD
    _metadata: Any = _UNREAD

    @property
    def payload(self) -> Any:
        """The payload; None where it is SQL NULL, too. Raises MessageError."""
        if self._payload is _UNREAD:
            self._payload = _parsed(self, PAYLOAD, self.read)
        return self._payload

    @property
    def old_payload(self) -> Any:
        """What ``payload`` was before. Raises MessageError."""
        if self._old_payload is _UNREAD:
            self._old_payload = _parsed(self, OLD_PAYLOAD, self.read)
        return self._old_payload

    @property
    def subject(self) -> Any:
        """What expressions are asked about: the payload, or where it is SQL NULL the old one."""
        return self.old_payload if self[4] is None else self.payload

    @property
    def headers(self) -> dict[str, str]:
        """The message's own headers. Raises MessageError."""
        if self._headers is _UNREAD:
            self._headers = {} if self[6] is None else dict(_decoded(self[0], self[6]))
        found: dict[str, str] = self._headers
        return found

    def value_of(self, expression: Expression, document: Any, config_key: str) -> Any:
        """The value of an expression; what fails is this message's error."""
        metadata = self._described() if expression.asks_for_message else None
        try:
            return expression(document, metadata)
        except ExpressionError as error:
            raise MessageError(self[0], f"{config_key} failed: {error}") from error

    def _described(self) -> Any:
        """What ``_message`` stands for."""
        if self._metadata is _UNREAD:
            message_id, op, key, dedup_key, _, _, headers, created_at = self
            self._metadata = {
                "id": message_id,
                "op": op.decode(),
                "key": None if key is None else key.decode(),
                "dedup_key": None if dedup_key is None else dedup_key.decode(),
                "headers": None if headers is None else self.headers,
                "created_at": rfc3339(created_at),
                "old_payload": self.old_payload,
            }
        return self._metadata


def document_of(row: Row, place: int) -> Any:
    """The whole payload or old payload of a row; parsed once where a message has it already. Raises MessageError."""
    if isinstance(row, Message) and row.read is parse:
        return row.payload if place == PAYLOAD else row.old_payload
    return _parsed(row, place, parse)


def _parsed(row: Sequence[Any], place: int, read: Callable[[bytes], Any]) -> Any:
    try:
        return None if row[place] is None else read(row[place])
    except DocumentError as error:
        name = "payload" if place == PAYLOAD else "old_payload"
        raise MessageError(row[0], f"{name} can't be worked on: {error}") from error


def rfc3339(created_at: int) -> str:
    """A row's created_at in RFC 3339, with microseconds, in UTC."""
    return times.rfc3339(created_at + POSTGRES_EPOCH_US).decode()
