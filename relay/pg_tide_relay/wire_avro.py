"""The wire format Avro: payloads in a schema that the registry knows, framed with its id."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.problems import Problem
from pg_tide_relay.config.registry_models import SerializationConfig
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import PAYLOAD, Row, document_of
from pg_tide_relay.schemas import Question, Schemas, per_topic
from pg_tide_relay.wire_types import Encoded, Format
from pg_tide_wire_formats.avro import (
    Avro,
    AvroError,
    AvroSchemaError,
    Strategy,
    compile_avro,
    frame,
    subject_name,
)
from pg_tide_wire_formats.headers import Header

_TOPIC_NAME: Final[Strategy] = "TopicNameStrategy"

TEXT_KEY: Final = compile_avro('"string"')
"""A record's key as a text in Avro."""

_USUAL_ORDER: Final = {
    name: place
    for place, name in enumerate(
        (
            *("type", "name", "namespace", "doc", "aliases", "fields", "items", "values", "symbols", "size"),
            *("default", "order", "logicalType", "precision", "scale"),
        )
    )
}


class _Frames(NamedTuple):
    """What the records of one topic begin with, and how their values go on."""

    value: bytes
    encode: Callable[[Any], bytes]
    key: bytes | None  # None: the key is text


def compile_avro_format(config: PipelineConfig, schemas: Schemas) -> Format:
    """Prepare the format; raises ConfigurationError. What it returns raises SchemaWanted for a new subject."""
    wanted = config.serialization
    own = _own_schema(wanted)
    value_of = _value_questions(wanted, own)

    def questions_of(topic: str) -> Sequence[Question]:
        key = (Question(subject_name(_TOPIC_NAME, topic, None, True), TEXT_KEY.text),)
        return (value_of(topic), *(key if wanted.key == "avro" else ()))

    schemas.questions_of = questions_of

    @per_topic
    def frames(topic: str) -> _Frames:
        value, *keys = (schemas.answer(question) for question in questions_of(topic))
        encode = (own or compile_avro(value.schema)).encode
        return _Frames(frame(value.schema_id), encode, frame(keys[0].schema_id) if keys else None)

    def encode(row: Row, topic: str, key: bytes | None, _created_us: int, headers: list[Header]) -> Encoded:
        begin, encode_value, key_begin = frames(topic)
        try:
            if row[PAYLOAD] is None and row[1] == b"delete":
                value = None  # there is nothing to encode; a compacted topic forgets the key
            else:
                value = begin + encode_value(document_of(row, PAYLOAD))
            if key is not None and key_begin is not None:
                key = key_begin + TEXT_KEY.encode(key.decode())
        except AvroError as error:
            raise MessageError(row[0], f"the payload does not fit the Avro schema: {error}") from error
        return key, value, headers

    return encode


def schema_problems(stored: Any) -> list[Problem]:
    """What is wrong with the Avro schema of a stored configuration, where it stands in it: what SQL can't tell."""
    serialization = stored.get("serialization") if isinstance(stored, dict) else None
    schema = serialization.get("schema") if isinstance(serialization, dict) else None
    if not isinstance(schema, str | dict) or not schema or (isinstance(schema, str) and "${" in schema):
        return []
    try:
        found = compile_avro(schema)
        strategy = serialization.get("subject_name_strategy") if isinstance(serialization, dict) else None
        if strategy in ("RecordNameStrategy", "TopicRecordNameStrategy"):
            subject_name(cast(Strategy, strategy), "topic", found.name, False)
    except AvroSchemaError as error:
        return [Problem(path="serialization.schema", severity="error", message=str(error))]
    return []


def in_usual_order(schema: Any) -> Any:
    """A schema whose members stand as people, and Avro's own libraries, write them.

    A stored configuration is jsonb, which has an order of its own. Registries compare schemas as texts, though, and
    where a logical type has its attributes in another order they find another schema.
    """
    if isinstance(schema, list):
        return [in_usual_order(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    names = sorted(schema, key=lambda name: _USUAL_ORDER.get(name, len(_USUAL_ORDER)))
    return {name: in_usual_order(schema[name]) for name in names}


def _own_schema(wanted: SerializationConfig) -> Avro | None:
    """The schema that the configuration has or names a file of; None: the registry has it."""
    if wanted.subject is not None:
        return None
    key, schema = "serialization.schema", in_usual_order(wanted.schema)
    if wanted.schema_file is not None:
        key = "serialization.schema_file"
        try:
            schema = Path(wanted.schema_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(key, f"can't be read: {error}") from error
    try:
        return compile_avro(schema)
    except AvroSchemaError as error:
        raise ConfigurationError(key, str(error)) from error


def _value_questions(wanted: SerializationConfig, own: Avro | None) -> Callable[[str], Question]:
    if own is None:
        stored = Question(cast(str, wanted.subject), None, wanted.version)
        return lambda _topic: stored
    strategy: Strategy = wanted.subject_name_strategy or _TOPIC_NAME
    try:
        subject_name(strategy, "topic", own.name, False)
    except AvroSchemaError as error:
        raise ConfigurationError("serialization.subject_name_strategy", str(error)) from error
    return lambda topic: Question(subject_name(strategy, topic, own.name, False), own.text)
