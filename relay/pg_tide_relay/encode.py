"""From a message's row to the record that goes to Kafka: transform, encode and route in one closure.

This runs once per message on the relay's only busy thread, so whatever does not change from message to
message is prepared when the pipeline starts.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.expression import Expression, is_false
from pg_tide_relay.message import POSTGRES_EPOCH_US, Message, Row, decode_headers
from pg_tide_relay.reading import reader_for
from pg_tide_relay.route import KeyOf, TopicOf, compile_key, compile_topic, has_members
from pg_tide_relay.schemas import Schemas
from pg_tide_relay.transform import (
    Transforms,
    compile_expression,
    compile_transform,
    filter_first,
    transforms_of,
)
from pg_tide_relay.wire import compile_format, makes_tombstones
from pg_tide_relay.wire_types import Origin
from pg_tide_wire_formats.headers import Headers, compile_headers
from pg_tide_wire_formats.native import native_value


class Record(NamedTuple):
    """What is handed to the producer. A tuple: it is made for every message and lives for a microsecond."""

    topic: str
    key: bytes | None  # None: no key, any partition; b"" is a key
    value: bytes | None  # None: a tombstone
    headers: list[tuple[str, str | bytes | None]]  # bytes as we make them
    timestamp_ms: int
    tombstone_follows: bool = (
        False  # a second record like this one, without value, belongs to the same message
    )


Shape = Callable[[Row], Record | None]
"""From a row to its record. None: the message is filtered.

Raises MessageError when it can't be shaped, SchemaWanted when it can't be shaped yet.
"""

# Half the price of Record(...), which goes through a function written in Python.
_make: Callable[[tuple[object, ...]], Record] = partial(tuple.__new__, Record)


class _Route(NamedTuple):
    """Where a record goes, and what it carries for whoever reads it there."""

    topic: str | TopicOf
    key_of: KeyOf
    headers_of: Headers


def compile_shape(config: PipelineConfig, origin: Origin, schemas: Schemas | None = None) -> Shape:
    """Prepare the way of this pipeline's messages; raises ConfigurationError. ``schemas`` is told what it needs."""
    schemas = schemas or Schemas()
    transforms = transforms_of(config.transform)
    keep, drops_null = transforms.keep, config.transform.on_null == "drop"
    if keep is not None and not keep.asks_for_message and not _reads_documents(config, transforms.project):
        # Nothing behind the filter looks into payloads: what it drops costs nothing more.
        kept = _compile_kept(config, origin, schemas, Transforms(None, None))
        read = reader_for(config, [keep], None)
        return filter_first(keep, read, kept, drops_null=drops_null)
    return _compile_kept(config, origin, schemas, transforms)


def _compile_kept(config: PipelineConfig, origin: Origin, schemas: Schemas, transforms: Transforms) -> Shape:
    route = _compile_route(origin.outbox, config.topic, config.message_key, config.headers, "")
    reads = transforms.keep is not None or _reads_documents(config, transforms.project)
    if reads or config.wire_format != "native" or config.wire_config.emit_tombstones:
        return _shape_by_steps(config, origin, schemas, route, transforms)
    return _shape_native(route)


def _shape_native(route: _Route) -> Shape:
    """The payload as it is, to a topic and with a key that ask for no document."""
    constant, topic_of = (route.topic, None) if isinstance(route.topic, str) else ("", route.topic)
    _, key_of, headers_of = route

    def shape(row: Row) -> Record | None:
        message_id, op, _, dedup_key, payload, _, own, created_at = row
        created_us = created_at + POSTGRES_EPOCH_US
        own_headers = None if own is None else decode_headers(message_id, own)
        return _make(
            (
                topic_of(row) if topic_of else constant,
                key_of(row),
                native_value(payload),
                headers_of(message_id, op, dedup_key, created_us, own_headers),
                created_us // 1000,  # Kafka counts milliseconds
                False,
            )
        )

    return shape


def _reads_documents(config: PipelineConfig, projection: Expression | None) -> bool:
    """Whether something beside the filter looks into payloads or headers, so that they must be parsed."""
    templates = [config.topic, config.message_key]
    return projection is not None or bool(config.routing.rules) or any(map(has_members, templates))


def _compile_route(
    outbox: str, topic: str, message_key: str | None, headers: Mapping[str, str] | None, place: str
) -> _Route:
    return _Route(
        topic=compile_topic(topic, outbox, f"{place}topic"),
        key_of=compile_key(message_key, outbox, f"{place}message_key"),
        headers_of=compile_headers(outbox, headers),
    )


def _shape_by_steps(
    config: PipelineConfig, origin: Origin, schemas: Schemas, otherwise: _Route, transforms: Transforms
) -> Shape:
    """The general way: filter, projection, rules, and any wire format."""
    transform = compile_transform(transforms, drops_null=config.transform.on_null == "drop")
    rules = _compile_rules(config, origin.outbox)
    conditions = [when for _, when, _ in rules] + ([] if transforms.keep is None else [transforms.keep])
    message_of = _message_type(reader_for(config, conditions, transforms.project))
    encode = compile_format(config, origin, schemas)
    tombstones = makes_tombstones(config)

    def shape(row: Row) -> Record | None:
        message = message_of(row)
        shaped = row if transform is None else transform(message)
        if shaped is None:
            return None
        topic, key_of, headers_of = otherwise
        for place, when, route in rules:
            if not is_false(message.value_of(when, message.subject, place)):
                topic, key_of, headers_of = route
                break
        message_id, op, _, dedup_key, _, _, own, created_at = shaped
        created_us = created_at + POSTGRES_EPOCH_US
        own_headers = None if own is None else decode_headers(message_id, own)
        routed = cast(Row, message)
        topic = topic if isinstance(topic, str) else topic(routed)
        headers = headers_of(message_id, op, dedup_key, created_us, own_headers)
        key, value, headers = encode(shaped, topic, key_of(routed), created_us, headers)
        # A tombstone without key would delete nothing, and a compacted topic refuses it.
        follows = tombstones and op == b"delete" and key is not None
        return _make((topic, key, value, headers, created_us // 1000, follows))

    return shape


def compile_routed_key(config: PipelineConfig, outbox: str) -> KeyOf:
    """The key that templates give a message's record; raises ConfigurationError, what it returns MessageError."""
    key_of = compile_key(config.message_key, outbox)
    has_own = any(rule.message_key is not None for rule in config.routing.rules)
    if not has_own and not has_members(config.message_key):
        return key_of
    rules = _compile_rules(config, outbox) if has_own else []
    message_of = _message_type(reader_for(config, [when for _, when, _ in rules], None))

    def routed_key(row: Row) -> bytes | None:
        message = message_of(row)
        for place, when, route in rules:
            if not is_false(message.value_of(when, message.subject, place)):
                return route.key_of(cast(Row, message))
        return key_of(cast(Row, message))

    return routed_key


def _message_type(read: Callable[[bytes], Any]) -> type[Message]:
    """Messages of one pipeline."""
    return type("Message", (Message,), {"read": staticmethod(read)})


def _compile_rules(config: PipelineConfig, outbox: str) -> list[tuple[str, Expression, _Route]]:
    """Place, condition and route of each rule; key and headers are the pipeline's where the rule has none."""
    compiled = []
    for number, rule in enumerate(config.routing.rules):
        place = f"routing.rules[{number}]."
        when = compile_expression(f"{place}when", rule.when)
        headers = {**(config.headers or {}), **(rule.headers or {})} or None
        key = config.message_key if rule.message_key is None else rule.message_key
        compiled.append((f"{place}when", when, _compile_route(outbox, rule.topic, key, headers, place)))
    return compiled
