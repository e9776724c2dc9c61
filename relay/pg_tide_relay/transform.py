"""From the row as PostgreSQL gives it to values the encoder can use: the stage behind fetch.

A row's texts are bytes and stay bytes. Only what has a structure is decoded here.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from pg_tide_relay.config.models import TransformConfig
from pg_tide_relay.config.problems import Problem
from pg_tide_relay.documents import DocumentError, parse, refuse_what_json_has_not, render
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.expression import Expression, ExpressionError, is_false

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


Transform = Callable[[Row], Row | None]
"""From a row to the row that is encoded. None: the message is filtered. Raises MessageError."""

_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def compile_transform(config: TransformConfig) -> Transform | None:
    """Prepare filter and projection; None when there is nothing to do. Raises ConfigurationError."""
    keep = _expression("transform.filter", config.filter)
    project = _expression("transform.payload", config.payload)
    if keep is None and project is None:
        return None
    drops_null = config.on_null == "drop"

    def transform(row: Row) -> Row | None:
        document = _Message(row)
        if keep is not None and not _is_kept(keep, document, drops_null=drops_null):
            return None
        return row if project is None else _projected(project, document)

    return transform


def expression_problems(stored: Any) -> list[Problem]:
    """What is wrong with the expressions of a stored configuration: what SQL can't tell.

    Says nothing about what is no text, which ``validate_stored`` does, nor about a text with a reference such as
    ${env:NAME}, which is known in the relay's environment only.
    """
    transform = stored.get("transform") if isinstance(stored, dict) else None
    problems = []
    for key in ("filter", "payload"):
        text = transform.get(key) if isinstance(transform, dict) else None
        if isinstance(text, str) and "${" not in text:
            try:
                Expression(text)
            except ExpressionError as error:
                problems.append(Problem(path=f"transform.{key}", severity="error", message=str(error)))
    return problems


class _Message:
    """A row with its documents, each parsed when it is asked for first."""

    __slots__ = ("_metadata", "_old", "_payload", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self._payload = self._old = self._metadata = _UNREAD

    @property
    def payload(self) -> Any:
        if self._payload is _UNREAD:
            self._payload = self._parsed(self.row[4], "payload")
        return self._payload

    @property
    def old_payload(self) -> Any:
        if self._old is _UNREAD:
            self._old = self._parsed(self.row[5], "old_payload")
        return self._old

    def _parsed(self, text: bytes | None, name: str) -> Any:
        try:
            return None if text is None else parse(text)
        except DocumentError as error:
            raise MessageError(self.row[0], f"{name} can't be worked on: {error}") from error

    def metadata_for(self, expression: Expression) -> Any:
        """What ``_message`` stands for; nothing unless the expression names it."""
        if not expression.asks_for_message:
            return None
        if self._metadata is _UNREAD:
            message_id, op, key, dedup_key, _, _, headers, created_at = self.row
            self._metadata = {
                "id": message_id,
                "op": op.decode(),
                "key": None if key is None else key.decode(),
                "dedup_key": None if dedup_key is None else dedup_key.decode(),
                "headers": None if headers is None else orjson.loads(headers),
                "created_at": _iso(created_at),
                "old_payload": self.old_payload,
            }
        return self._metadata

    def value_of(self, expression: Expression, document: Any, config_key: str) -> Any:
        try:
            return expression(document, self.metadata_for(expression))
        except ExpressionError as error:
            raise MessageError(self.row[0], f"{config_key} failed: {error}") from error


_UNREAD: Final[Any] = object()


def _expression(config_key: str, text: str | None) -> Expression | None:
    try:
        return None if text is None else Expression(text)
    except ExpressionError as error:
        raise ConfigurationError(config_key, str(error)) from error


def _is_kept(keep: Expression, message: _Message, *, drops_null: bool) -> bool:
    """A payload of SQL NULL, as a delete may have: the old one is looked at, and where there is none, on_null."""
    if message.row[4] is not None:
        document = message.payload
    elif message.row[5] is not None:
        document = message.old_payload
    else:
        return not drops_null
    return not is_false(message.value_of(keep, document, "transform.filter"))


def _projected(project: Expression, message: _Message) -> Row:
    """Both payloads in one shape; what is SQL NULL stays so."""

    def shaped(document: Any) -> bytes:
        value = message.value_of(project, document, "transform.payload")
        try:
            if project.computes:
                refuse_what_json_has_not(value)
            return render(value)
        except DocumentError as error:
            raise MessageError(message.row[0], f"transform.payload failed: {error}") from error

    message_id, op, key, dedup_key, payload, old, headers, created_at = message.row
    return (
        message_id,
        op,
        key,
        dedup_key,
        None if payload is None else shaped(message.payload),
        None if old is None else shaped(message.old_payload),
        headers,
        created_at,
    )


def _iso(created_at: int) -> str:
    """RFC 3339 with microseconds, in UTC."""
    moment = _POSTGRES_EPOCH + timedelta(microseconds=created_at)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
