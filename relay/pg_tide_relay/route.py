"""Where a record goes: its topic and its key, from templates compiled once per pipeline.

A template without placeholders, or with the outbox's name alone, is a constant and costs nothing per message.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from pg_tide_relay.config.templates import is_dotted, tokens
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import Message, Row
from pg_tide_wire_formats.documents import Number
from pg_tide_wire_formats.headers import OPS

# The place of each placeholder's value in a row; the outbox's name is known before any row is.
_COLUMNS = {"outbox_id": 0, "op": 1, "key": 2, "dedup_key": 3}
_OUTBOX_NAME = "stream_table"

# Kafka: 1 to 249 of these characters, and neither "." nor "..".
_TOPIC = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}\Z")

# Topics that were found legal are remembered; a template with {outbox_id} makes one for every message.
_TOPICS_REMEMBERED_MAX = 10_000


@dataclass(frozen=True)
class Member:
    """A member of a message's document: ``{payload.customer.id}``, ``{headers.tenant}``."""

    document: str  # "payload" or "headers"
    path: tuple[str, ...]

    def text_of(self, config_key: str, message: Message) -> bytes:
        """Its value as text; what is missing, null or no single value is an error of the message."""
        if self.document == "headers":
            value: Any = message.headers.get(self.path[0])
        else:
            value = message.subject
            for name in self.path:
                value = value.get(name) if isinstance(value, dict) else None
        text = _text(value)
        if text is None:
            what = "does not have" if value is None else "has as an object or a list"
            raise MessageError(message[0], f"{config_key} asks for {{{self}}}, which this message {what}")
        return text.encode()

    def __str__(self) -> str:
        return ".".join((self.document, *self.path))


Template = list[bytes | int | Member]
"""Fixed text, and what stands between: columns of a row, members of its documents."""

TopicOf = Callable[[Row], str]
KeyOf = Callable[[Row], bytes | None]
"""Both are given a Message where the template has members of documents."""


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number):
        return value.text
    return str(value) if isinstance(value, int) else None


def has_members(template: str | None) -> bool:
    """Whether a template reads a document, which then has to be parsed."""
    return template is not None and any(
        token.kind == "placeholder" and is_dotted(token.text) for token in tokens(template)
    )


def compile_template(config_key: str, text: str, outbox: str) -> Template:
    """Split a template into fixed text and columns; neighbouring fixed texts become one."""
    parts: Template = []
    for token in tokens(text):
        if token.kind == "placeholder" and token.text in _COLUMNS:
            parts.append(_COLUMNS[token.text])
        elif token.kind == "placeholder" and is_dotted(token.text):
            parts.append(_member(config_key, token.text))
        elif token.kind == "text" or token.text == _OUTBOX_NAME:
            fixed = (outbox if token.kind == "placeholder" else token.text).encode()
            last = parts[-1] if parts else None
            if isinstance(last, bytes):
                parts[-1] = last + fixed
            else:
                parts.append(fixed)
        else:
            raise ConfigurationError(config_key, f"{token.text!r} at {token.position} is no placeholder")
    return parts


def _member(config_key: str, name: str) -> Member:
    document, rest = name.split(".", 1)
    if document == "headers":
        return Member(document, (rest,))
    if document == "payload":
        return Member(document, tuple(rest.split(".")))
    raise ConfigurationError(
        config_key, f"{{{name}}} is no placeholder: members are those of payload and headers"
    )


def constant_of(template: Template) -> bytes | None:
    """The text of a template that is the same for every message, else None."""
    if not template:
        return b""
    first = template[0]
    return first if len(template) == 1 and isinstance(first, bytes) else None


def render(config_key: str, template: Template, row: Row) -> bytes:
    """The text for one row; a placeholder whose value is null is an error of the message."""
    rendered = bytearray()
    for part in template:
        if isinstance(part, bytes):
            rendered += part
            continue
        if isinstance(part, Member):
            rendered += part.text_of(config_key, cast(Message, row))
            continue
        value = row[part]
        if isinstance(value, int):
            rendered += b"%d" % value
        elif value is None:
            name = next(name for name, column in _COLUMNS.items() if column == part)
            raise MessageError(row[0], f"{config_key} asks for {{{name}}}, which this message does not have")
        else:
            rendered += value
    return bytes(rendered)


def compile_topic(template: str, outbox: str, config_key: str = "topic") -> str | TopicOf:
    """The topic of every message, or what finds it.

    An illegal name is the pipeline's error when it is the same for all messages, else the message's.
    """
    parts = compile_template(config_key, template, outbox)
    constant = constant_of(parts)
    if constant is not None:
        if not is_topic(constant.decode()):
            raise ConfigurationError(config_key, f"{constant.decode()!r} is not a legal name of a topic")
        return constant.decode()

    legal: dict[bytes, str] = {}

    def topic_of(row: Row) -> str:
        rendered = render(config_key, parts, row)
        topic = legal.get(rendered)
        if topic is None:
            topic = rendered.decode(errors="replace")
            if not is_topic(topic):
                raise MessageError(row[0], f"{topic!r} is not a legal name of a topic")
            if len(legal) >= _TOPICS_REMEMBERED_MAX:
                legal.clear()
            legal[rendered] = topic
        return topic

    return topic_of


def is_topic(name: str) -> bool:
    """Whether Kafka allows this name for a topic."""
    return _TOPIC.match(name) is not None


def compile_key(template: str | None, outbox: str, config_key: str = "message_key") -> KeyOf:
    """What finds a record's key: the template, else the message's key, else its dedup key, else null."""
    if template is None:

        def own_key(row: Row) -> bytes | None:
            return row[3] if row[2] is None else row[2]

        return own_key

    parts = compile_template(config_key, template, outbox)
    constant = constant_of(parts)
    if constant is not None:

        def one_key(_row: Row) -> bytes:
            return constant

        return one_key

    if parts == [_COLUMNS["dedup_key"]]:

        def dedup_key(row: Row) -> bytes:
            # The commonest template: the value as it is, without building anything.
            return row[3] or render(config_key, parts, row)

        return dedup_key

    return lambda row: render(config_key, parts, row)


def by_op(config_key: str, template: str, outbox: str) -> dict[bytes, str] | None:
    """A template's text for each op; None: it depends on more of a message than that."""
    parts = compile_template(config_key, template, outbox)
    if not all(isinstance(part, bytes) or part == _COLUMNS["op"] for part in parts):
        return None
    return {op: b"".join(part if isinstance(part, bytes) else op for part in parts).decode() for op in OPS}


def known_topics(template: str, outbox: str, config_key: str = "topic") -> list[str] | None:
    """The topics a template leads to, one per op where it asks for that; None: they depend on messages.

    ConfigurationError when one of them has no legal name.
    """
    filled = by_op(config_key, template, outbox)
    if filled is None:
        return None
    topics = list(dict.fromkeys(filled.values()))
    for topic in topics:
        if not is_topic(topic):
            raise ConfigurationError(config_key, f"{topic!r} is not a legal name of a topic")
    return topics
