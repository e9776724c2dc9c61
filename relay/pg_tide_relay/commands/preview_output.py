"""Messages and the records they would become: text for people, plain values for JSON."""

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pg_tide_relay.commands.output import printable
from pg_tide_relay.encode import Record
from pg_tide_relay.message import Row, rfc3339
from pg_tide_relay.peek import Peek
from pg_tide_relay.preview import Previewed

_SHOWN_MAX: Final = 300
"""Characters of a text in the output for people."""

_NAME_WIDTH: Final = 11


def as_json(pipeline: str, found: Peek, from_id: int | None, messages: Sequence[Previewed]) -> dict[str, Any]:
    """Everything, unshortened. Bytes are text, or where they are no UTF-8 an object {"base64": ...}."""
    return {
        "pipeline": pipeline,
        "outbox": found.outbox,
        "consumer_group": found.consumer_group,
        "from": from_id,
        "messages": [_message(message) for message in messages],
    }


def _message(message: Previewed) -> dict[str, Any]:
    message_id, op, key, dedup_key, payload, old_payload, _, created_at = message.row
    return {
        "id": message_id,
        "op": _plain(op),
        "key": _plain(key),
        "dedup_key": _plain(dedup_key),
        "created_at": rfc3339(created_at),
        "payload": _plain(payload),
        "old_payload": _plain(old_payload),
        "transformed": _transformed(message),
        "outcome": message.outcome,
        "record": None if message.record is None else _record(message.record),
        "error": message.error,
    }


def _transformed(message: Previewed) -> dict[str, Any] | None:
    if message.transformed is None:
        return None
    payload, old_payload = message.transformed
    return {"payload": _plain(payload), "old_payload": _plain(old_payload)}


def _record(record: Record) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "key": _plain(record.key),
        "headers": [{"name": name, "value": _plain(value)} for name, value in record.headers],
        "value": _plain(record.value),
        "value_bytes": len(record.value or b""),
        "timestamp_ms": record.timestamp_ms,
        "tombstone_follows": record.tombstone_follows,
    }


def _plain(value: str | bytes | None) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def as_text(pipeline: str, found: Peek, from_id: int | None, messages: Sequence[Previewed]) -> str:
    """A paragraph per message; long texts are cut, and their length said."""
    where = f"Pipeline {pipeline}, outbox {found.outbox}, group {found.consumer_group}"
    if not messages:
        return f"{where}: {_nothing(from_id)}"
    counts = Counter(message.outcome for message in messages)
    parts = (
        f"{counts['sent']} would be sent",
        f"{counts['filtered']} filtered",
        f"{counts['error']} in error",
    )
    begin = "the cursor" if from_id is None else f"id {from_id}"
    paragraphs = ["\n".join(_lines(message)) for message in messages]
    return "\n\n".join(
        (
            f"{where}, from {begin} on. Nothing is sent.",
            *paragraphs,
            f"Messages: {len(messages)}; {', '.join(parts)}.",
        )
    )


def _nothing(from_id: int | None) -> str:
    if from_id is None:
        return "no message is waiting."
    return f"the outbox holds no message with id {from_id} or a later one."


def _lines(message: Previewed) -> Iterator[str]:
    row, record = message.row, message.record
    yield f"message {row[0]}"
    yield from (_line(name, value) for name, value in _published(row))
    if message.transformed is not None:
        payload, old_payload = message.transformed
        yield _line("transformed", payload)
        if old_payload is not None:
            yield _line("old, too", old_payload)
    yield _line("outcome", message.outcome)
    if message.error is not None:
        yield f"  {'error':<{_NAME_WIDTH}}  {printable(message.error)}"
    if record is None:
        return
    yield _line("topic", record.topic)
    yield _line("record key", record.key)
    for name, value in record.headers:
        yield _line("header", f"{name}: {_shown(value)}")
    yield _line("value", record.value)
    yield _line("size", f"{len(record.value or b''):,} bytes")
    if record.tombstone_follows:
        yield _line("then", "a tombstone: the same topic, key and headers, no value")


def _published(row: Row) -> Iterator[tuple[str, str | bytes | None]]:
    _, op, key, dedup_key, payload, old_payload, _, created_at = row
    yield "op", op
    yield "created at", rfc3339(created_at)
    yield "key", key
    yield "dedup key", dedup_key
    yield "payload", payload
    if old_payload is not None:
        yield "old payload", old_payload


def _line(name: str, value: str | bytes | None) -> str:
    return f"  {name:<{_NAME_WIDTH}}  {_shown(value)}"


def _shown(value: str | bytes | None) -> str:
    """Printable, whatever it holds: a key may hold what a terminal takes for a command."""
    if value is None:
        return "(none)"
    if not value:
        return "(empty)"
    plain = _plain(value)
    text = plain if isinstance(plain, str) else f"base64 {plain['base64']}"
    cut = text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
    size = "" if cut is text else f" ({len(value if isinstance(value, bytes) else value.encode()):,} bytes)"
    return printable(cut) + size
