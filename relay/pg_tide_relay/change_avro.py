"""A pipeline's messages as Debezium's change events in Avro, framed with the ids of a schema registry."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pg_tide_relay.change_events import Clock, compile_changes, key_place, source_of
from pg_tide_relay.change_rows import RowSource, row_source
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import Row
from pg_tide_relay.schemas import Question, Schemas, per_topic
from pg_tide_relay.wire_avro import TEXT_KEY
from pg_tide_relay.wire_types import Encoded, Format, Origin
from pg_tide_wire_formats.avro import (
    Avro,
    AvroError,
    AvroSchemaError,
    Strategy,
    frame,
    subject_name,
)
from pg_tide_wire_formats.connect_avro import compile_connect_avro
from pg_tide_wire_formats.debezium import Source
from pg_tide_wire_formats.debezium_avro import AvroEnvelope, compile_avro_envelope
from pg_tide_wire_formats.headers import Header


class _Schemas(NamedTuple):
    """What one pipeline's events are written with."""

    envelope: AvroEnvelope
    key: Avro | None  # None: the key is text


def compile_change_events_in_avro(
    config: PipelineConfig, origin: Origin, schemas: Schemas, *, clock: Clock = time.time_ns
) -> Format:
    """Prepare the format; raises ConfigurationError. What it returns raises SchemaWanted for a new subject."""
    wire = config.wire_config
    rows = row_source(wire, as_json=False)
    written = _schemas(config, rows, source_of(config, origin, avro_names=True))
    changes = compile_changes(rows, wire.emit_as or "c")
    questions_of = _questions(config, written)
    schemas.questions_of = questions_of
    encode_key = _compile_key(config, rows, written)

    @per_topic
    def frames(topic: str) -> tuple[bytes, bytes | None]:
        value, *keys = (frame(schemas.answer(question).schema_id) for question in questions_of(topic))
        return value, keys[0] if keys else None

    def encode(row: Row, topic: str, key: bytes | None, created_us: int, headers: list[Header]) -> Encoded:
        value_frame, key_frame = frames(topic)
        op, before, after = changes(row, key)
        try:
            value = value_frame + written.envelope.encode(op, before, after, created_us, clock())
            key = encode_key(row, key, key_frame)
        except AvroError as error:
            raise MessageError(row[0], f"it can't be written in Avro: {error}") from error
        return key, value, headers

    return encode


def _schemas(config: PipelineConfig, rows: RowSource, source: Source) -> _Schemas:
    assert rows.schemas is not None, "the rules of the configuration ask for types"
    try:
        envelope = compile_avro_envelope(source, rows.schemas.row(source.schema_name("Value")))
        key = TEXT_KEY if config.serialization.key == "avro" else None
        if config.wire_config.key_strategy == "struct":
            key = compile_connect_avro(rows.schemas.key(source.schema_name("Key")))
    except AvroSchemaError as error:
        raise ConfigurationError("wire_config.row_schema", f"it can't be written in Avro: {error}") from error
    return _Schemas(envelope, key)


def _questions(config: PipelineConfig, written: _Schemas) -> Callable[[str], Sequence[Question]]:
    strategy: Strategy = config.serialization.subject_name_strategy or "TopicNameStrategy"
    envelope, key = written

    def questions_of(topic: str) -> Sequence[Question]:
        value = Question(subject_name(strategy, topic, envelope.name, False), envelope.text)
        if key is None:
            return (value,)
        # A key that is no record has no name to make a subject of.
        key_strategy: Strategy = strategy if key.name is not None else "TopicNameStrategy"
        return value, Question(subject_name(key_strategy, topic, key.name, True), key.text)

    return questions_of


def _compile_key(
    config: PipelineConfig, rows: RowSource, written: _Schemas
) -> Callable[[Row, bytes | None, bytes | None], bytes | None]:
    key_schema = written.key
    is_struct = config.wire_config.key_strategy == "struct"

    def encode_key(row: Row, key: bytes | None, key_frame: bytes | None) -> bytes | None:
        if key_schema is None or key_frame is None:
            return key
        if is_struct:
            return key_frame + key_schema.encode(rows.key_of(row, key_place(row), key))
        return None if key is None else key_frame + key_schema.encode(key.decode())

    return encode_key
