"""A value with a schema of Kafka Connect in Avro, as Confluent's AvroConverter writes it.

The schema is the JSON object that Kafka's JsonConverter puts into ``schema``; the rules from it to Avro are those of
Confluent's class ``AvroData`` with its defaults (``connect.meta.data`` on, ``enhanced.avro.schema.support`` and
``scrub.invalid.names`` off). A value is made of ``dict`` for a struct or a map with texts as keys, ``list`` for an
array, ``list`` of pairs for any other map, ``int``, ``float``, ``bool``, ``str`` and ``None``; ``bytes`` for bytes,
also for a Decimal: the unscaled number, two's complement, big-endian. Kafka's Date, Time and Timestamp are integers.
A field that is null or not there has its default, as Connect's ``Struct.get`` has it, else it is null.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pg_tide_wire_formats import avro_binary as binary
from pg_tide_wire_formats.avro import Avro
from pg_tide_wire_formats.avro_binary import AvroError, Encode, Member, mismatch
from pg_tide_wire_formats.avro_documents import double, single
from pg_tide_wire_formats.avro_schema import AvroSchemaError, parse_schema
from pg_tide_wire_formats.documents import render

_NAMESPACE: Final = "io.confluent.connect.avro"
_PRECISION: Final = "connect.decimal.precision"
_PRECISION_DEFAULT: Final = 64

_DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"
_LOGICAL: Final = {
    "org.apache.kafka.connect.data.Date": "date",
    "org.apache.kafka.connect.data.Time": "time-millis",
    "org.apache.kafka.connect.data.Timestamp": "timestamp-millis",
}
_PRIMITIVES: Final = {
    "int8": "int",
    "int16": "int",
    "int32": "int",
    "int64": "long",
    "float": "float",
    "double": "double",
    "boolean": "boolean",
    "string": "string",
    "bytes": "bytes",
}
_BITS: Final = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}

Schema = Mapping[str, Any]
"""A schema as JsonConverter writes it; a member of a struct has its name under ``field``."""


def compile_connect_avro(schema: Schema) -> Avro:
    """Prepare a schema of Connect: its Avro schema to register, and what encodes values.

    Raises AvroSchemaError where the schema is none, or can't be one in Avro.
    """
    avro = _Translation().schema_of(schema)
    found = parse_schema(avro)
    encode = _value(schema)
    return Avro(found.name if found.kind == "record" else None, render(avro).decode(), encode)


class _Translation:
    """Of one schema: a record's second use is its name."""

    def __init__(self) -> None:
        self._records: dict[bytes, str] = {}  # by what a struct is, apart from being optional
        self._unnamed = 0

    def schema_of(self, schema: Schema, namespace: str = "") -> Any:
        avro = self._required(schema, namespace)
        if not schema.get("optional"):
            return avro
        # The default must belong to the first branch.
        return ["null", avro] if schema.get("default") is None else [avro, "null"]

    def _required(self, schema: Schema, namespace: str) -> Any:
        kind = schema.get("type")
        if kind == "struct":
            return self._record(schema, namespace)
        properties = _properties(schema)
        if kind == "array":
            return {"type": "array", "items": self.schema_of(_part(schema, "items"), namespace), **properties}
        if kind == "map":
            return {**self._map(schema, namespace), **properties}
        if kind not in _PRIMITIVES:
            raise AvroSchemaError(f"{kind!r} is no type of Kafka Connect")
        return {"type": _PRIMITIVES[kind], **properties} if properties else _PRIMITIVES[kind]

    def _map(self, schema: Schema, namespace: str) -> dict[str, Any]:
        keys, values = _part(schema, "keys"), _part(schema, "values")
        if _has_text_keys(schema):
            return {"type": "map", "values": self.schema_of(values, namespace)}
        # A map of another kind is an array of records.
        name = schema.get("name")
        full = name or f"{_NAMESPACE}.MapEntry"
        fields = [{**keys, "field": "key"}, {**values, "field": "value"}]
        said = {"connect.internal.type": "MapEntry"} if name else {}
        return {"type": "array", "items": self._once(render(fields), full, namespace, fields, said)}

    def _record(self, schema: Schema, namespace: str) -> Any:
        if schema.get("default") is not None:
            raise AvroSchemaError(f"the default of a struct is not supported: {schema.get('name')}")
        known_as = render({key: each for key, each in schema.items() if key not in ("optional", "field")})
        full = schema.get("name") or self._records.get(known_as)
        if full is None:
            self._unnamed += 1
            full = f"{_NAMESPACE}.ConnectDefault{self._unnamed if self._unnamed > 1 else ''}"
        return self._once(known_as, full, namespace, _part(schema, "fields"), _properties(schema))

    def _once(
        self, known_as: bytes, full: str, namespace: str, fields: Sequence[Schema], said: dict[str, Any]
    ) -> Any:
        """A record where it is used first, its name where it is used again."""
        inside, _, name = full.rpartition(".")
        if self._records.get(known_as) == full:
            return name if inside == namespace else full
        self._records[known_as] = full
        return {
            "type": "record",
            "name": name,
            **({} if inside == namespace else {"namespace": inside}),
            "fields": [self._field(each, inside) for each in fields],
            **said,
        }

    def _field(self, schema: Schema, namespace: str) -> dict[str, Any]:
        field = {"name": schema.get("field"), "type": self.schema_of(schema, namespace)}
        if schema.get("default") is not None:
            field["default"] = _written_default(schema)
        elif schema.get("optional"):
            field["default"] = None
        return field


def _part(schema: Schema, name: str) -> Any:
    part = schema.get(name)
    if part is None:
        raise AvroSchemaError(f'a schema of type {schema.get("type")} needs "{name}"')
    return part


def _has_text_keys(schema: Schema) -> bool:
    keys = _part(schema, "keys")
    return bool(keys.get("type") == "string" and not keys.get("optional"))


def _properties(schema: Schema) -> dict[str, Any]:
    """What Avro has no word for, in the order in which AvroData adds it."""
    kind, name, parameters = schema.get("type"), schema.get("name"), schema.get("parameters") or {}
    properties: dict[str, Any] = {}
    is_decimal = name == _DECIMAL and kind == "bytes"
    if is_decimal:
        properties["scale"] = _number(parameters, "scale", 0)
        properties["precision"] = _number(parameters, _PRECISION, _PRECISION_DEFAULT)
    for key, value in (
        ("connect.doc", schema.get("doc")),
        ("connect.version", schema.get("version")),
        ("connect.parameters", dict(parameters) or None),
        ("connect.default", None if schema.get("default") is None else _written_default(schema)),
        ("connect.name", name),
        ("connect.type", kind if kind in ("int8", "int16") else None),
    ):
        if value is not None:
            properties[key] = value
    if is_decimal and not 0 <= properties["scale"] <= properties["precision"]:
        raise AvroSchemaError(
            "in Avro a decimal's scale is between 0 and its precision"
            f" {properties['precision']}, not {properties['scale']}"
        )
    properties |= {key: value for key, value in parameters.items() if key.startswith("avro")}
    logical = "decimal" if is_decimal else _LOGICAL.get(name or "")
    return {**properties, "logicalType": logical} if logical else properties


def _number(parameters: Mapping[str, Any], name: str, otherwise: int) -> int:
    try:
        return int(parameters.get(name, otherwise))
    except ValueError as error:
        raise AvroSchemaError(f"the parameter {name} is no number: {parameters[name]!r}") from error


def _written_default(schema: Schema) -> Any:
    """A default as Avro writes it: bytes are a text of code points up to 255."""
    return _without_bytes(_default(schema))


def _without_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        return [_without_bytes(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_bytes(each) for key, each in value.items()}
    return value


def _default(schema: Schema) -> Any:
    return _from_json(schema, schema.get("default"))


def _from_json(schema: Schema, value: Any) -> Any:
    """A default, which JsonConverter writes in JSON, as a value: bytes stand in it in base64."""
    kind = schema["type"]
    if value is None or isinstance(value, bytes):
        return value
    if kind == "bytes":
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError) as error:
            raise AvroSchemaError(f"a default of type bytes is in base64, not {value!r}") from error
    if kind == "array":
        return [_from_json(schema["items"], each) for each in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _from_json(schema["values"], each) for key, each in value.items()}
    if kind == "map":
        return [[_from_json(schema["keys"], key), _from_json(schema["values"], each)] for key, each in value]
    return value


def _value(schema: Schema) -> Encode:
    """What encodes a value of this schema."""
    encode = _required_value(schema)
    if not schema.get("optional"):
        return encode
    return binary.optional(encode, 0 if schema.get("default") is None else 1)


def _required_value(schema: Schema) -> Encode:
    kind = schema["type"]
    if kind == "struct":
        return binary.record(
            schema.get("name") or "without name", [_member(each) for each in schema["fields"]]
        )
    if kind == "array":
        return binary.array(_value(schema["items"]))
    if kind == "map" and _has_text_keys(schema):
        return binary.map_of(_value(schema["values"]))
    if kind == "map":
        return binary.array(_entry(_value(schema["keys"]), _value(schema["values"])))
    if kind in _BITS:
        return binary.integer(kind, _BITS[kind])
    return _LEAVES[kind]


def _member(schema: Schema) -> Member:
    encode, name = _value(schema), str(schema["field"])
    if schema.get("default") is not None:
        try:
            default = encode(_default(schema))
        except AvroError as error:
            raise AvroSchemaError(f"the default of {name}: {error.what}") from error
        return Member(name, _null_as(default, encode), default)
    return Member(name, encode, binary.long(0) if schema.get("optional") else None)


def _null_as(default: bytes, otherwise: Encode) -> Encode:
    def encode(value: Any) -> bytes:
        return default if value is None else otherwise(value)

    return encode


def _entry(encode_key: Encode, encode_value: Encode) -> Encode:
    def encode(pair: Any) -> bytes:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise mismatch("a pair of key and value", pair)
        at = "key"
        try:
            key = encode_key(pair[0])
            at = "value"
            return key + encode_value(pair[1])
        except AvroError as error:
            error.under(at)
            raise

    return encode


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise mismatch("bytes", value)
    return binary.sized(value)


_LEAVES: Final[dict[str, Encode]] = {
    "string": binary.string,
    "boolean": binary.boolean,
    "bytes": _bytes,
    "double": double,
    "float": single,
}
