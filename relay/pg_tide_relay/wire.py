"""From a pipeline's configuration to its wire format: what becomes of a row's payload, and with which headers.

The formats themselves know no configuration: ``pg_tide_wire_formats``.
"""

from pg_tide_relay.change_events import compile_change_events
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.message import Row, decode_headers
from pg_tide_relay.route import by_op
from pg_tide_relay.schemas import Schemas
from pg_tide_relay.wire_types import Encoded, Format, Origin
from pg_tide_wire_formats import cloudevents, outbox_router
from pg_tide_wire_formats.headers import OPS, Header
from pg_tide_wire_formats.native import native_value, native_value_or_tombstone

_SOURCE = "/{stream_table}"
_TYPE = "{stream_table}.{op}"


def compile_format(config: PipelineConfig, origin: Origin, schemas: Schemas) -> Format:
    """Prepare the format of one pipeline; raises ConfigurationError. ``schemas``: what the registry has for it."""
    # What encodes Avro has tables that take a tenth of a relay's start, and most relays need none.
    if config.wire_format == "avro":
        from pg_tide_relay.wire_avro import compile_avro_format  # noqa: PLC0415

        return compile_avro_format(config, schemas)
    if config.wire_format == "cloudevents":
        return _cloudevents(config, origin.outbox)
    if config.wire_format == "debezium" and config.serialization.format == "avro":
        from pg_tide_relay.change_avro import compile_change_events_in_avro  # noqa: PLC0415

        return compile_change_events_in_avro(config, origin, schemas)
    if config.wire_format == "debezium":
        return compile_change_events(config, origin)
    if config.wire_format == "outbox_router":
        return _outbox_router(config, origin)
    return _native_or_tombstone if config.wire_config.emit_tombstones else _native


def makes_tombstones(config: PipelineConfig) -> bool:
    """Whether a delete is followed by a record without value."""
    return config.wire_format == "debezium" and config.wire_config.emit_tombstones is not False


def _native(row: Row, _topic: str, key: bytes | None, _created_us: int, headers: list[Header]) -> Encoded:
    return key, native_value(row[4]), headers


def _native_or_tombstone(
    row: Row, _topic: str, key: bytes | None, _created_us: int, headers: list[Header]
) -> Encoded:
    return key, native_value_or_tombstone(row[1], row[4]), headers


def _cloudevents(config: PipelineConfig, outbox: str) -> Format:
    wanted = config.wire_config
    is_structured = wanted.mode == cloudevents.STRUCTURED
    compiled = cloudevents.compile_structured if is_structured else cloudevents.compile_binary
    sources = by_op("wire_config.source", wanted.source or _SOURCE, outbox)
    types = by_op("wire_config.type", wanted.type or _TYPE, outbox)
    assert sources is not None, "the model allows no placeholder that would depend on the message"
    assert types is not None, "nor here"
    event = compiled(sources[OPS[0]], types)

    def encode(row: Row, _topic: str, key: bytes | None, created_us: int, headers: list[Header]) -> Encoded:
        value, attributes = event(row[0], row[1], key, created_us, row[4])
        # What would be read as part of the event can only be said by the event.
        others = [header for header in headers if not cloudevents.is_ours(header[0])]
        return key, value, [*others, *attributes]

    return encode


def _outbox_router(config: PipelineConfig, origin: Origin) -> Format:
    wanted = config.wire_config
    convert = outbox_router.compile_outbox_router(
        wanted.key_converter or "string",
        wanted.value_converter or "string",
        emit_tombstones=bool(wanted.emit_tombstones),
    )
    new_id = outbox_router.compile_event_id(origin.database, origin.outbox)

    def encode(row: Row, _topic: str, key: bytes | None, created_us: int, headers: list[Header]) -> Encoded:
        event_id = _own_id(row) or row[3] or new_id(row[0], created_us)
        converted, value = convert(key, row[4])
        # A static header of this name would be one event's id on all.
        others = [header for header in headers if header[0] != outbox_router.ID]
        return converted, value, [*others, (outbox_router.ID, event_id)]

    return encode


def _own_id(row: Row) -> bytes | None:
    """The event's id where the publisher has given it as a header."""
    message_id, own = row[0], row[6]
    if own is None or b'"id"' not in own:
        return None
    return dict(decode_headers(message_id, own)).get(outbox_router.ID)
