"""Avro: a JSON document in the binary encoding of a schema, behind Confluent's frame.

A record's value is ``frame(schema_id) + avro.encode(document)``: the frame is known when the schema's id is, the
encoding is compiled once per schema. ``Avro`` is also what ``connect_avro.compile_connect_avro`` returns for values
with a schema of Kafka Connect, so whoever frames and registers needs one way for both.

What becomes of a value is said in ``avro_documents``; a union is written as the branch that holds the value with the
least conversion, in the order of the schema where several do (``avro_compile``). A member that the schema has and
the document has not is the field's default, else null where that is allowed, else an error; a member that the schema
has not is an error.
"""

from typing import Any, Final, Literal, NamedTuple

from pg_tide_wire_formats.avro_binary import AvroError, Encode
from pg_tide_wire_formats.avro_compile import compile_type
from pg_tide_wire_formats.avro_schema import AvroSchemaError, parse_schema
from pg_tide_wire_formats.documents import DocumentError, parse, render

__all__ = ["Avro", "AvroError", "AvroSchemaError", "Strategy", "compile_avro", "frame", "subject_name"]

Strategy = Literal["TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"]

_MAGIC: Final = b"\0"


class Avro(NamedTuple):
    """A schema that is ready to be registered and to encode."""

    name: str | None  # full name of a record; None where the schema is of another kind
    text: str  # the schema as JSON without spaces, as it is registered
    encode: Encode  # from a value to its bytes, without frame; raises AvroError


def compile_avro(schema: Any) -> Avro:
    """Prepare a schema: its JSON as a text, or already parsed. Raises AvroSchemaError with the reason.

    Encoded are documents as ``documents.parse`` makes them.
    """
    try:
        parsed = parse(schema.encode()) if isinstance(schema, str) else schema
        text = render(parsed).decode()
    except DocumentError as error:
        raise AvroSchemaError(str(error)) from error
    try:
        found = parse_schema(parsed)
        encode_type = compile_type(found)
    except RecursionError:
        raise AvroSchemaError("it is nested too deeply") from None

    def encode(value: Any) -> bytes:
        try:
            return encode_type(value)
        except RecursionError:
            raise AvroError("nested too deeply") from None

    return Avro(found.name if found.kind == "record" else None, text, encode)


def frame(schema_id: int) -> bytes:
    """What Confluent's serializers write before the body: a zero and the schema's id, big-endian."""
    return _MAGIC + schema_id.to_bytes(4, "big")


def subject_name(strategy: Strategy, topic: str, record_name: str | None, is_key: bool) -> str:
    """The subject that a schema is registered under, as Confluent's class of the strategy's name makes it.

    Raises AvroSchemaError where the strategy asks for a record's name and the schema is no record.
    """
    if strategy == "TopicNameStrategy":
        return f"{topic}-key" if is_key else f"{topic}-value"
    if record_name is None:
        raise AvroSchemaError(f"{strategy} needs a schema that is a record, for the record's name")
    return record_name if strategy == "RecordNameStrategy" else f"{topic}-{record_name}"
