"""An Avro schema as its JSON has it, made into types that know their full names; or why it is no schema.

The rules are those of the specification of Avro 1.12 (Schema Declaration, Names, Logical Types). Stricter is one: a
decimal without a fitting precision and scale is refused, where readers would take it for plain bytes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pg_tide_wire_formats.avro_binary import MISSING

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# By logical type: the types that can carry it. With any other, or another name, it is the plain type.
_CARRIERS: Final[dict[str, frozenset[str]]] = {
    "decimal": frozenset({"bytes", "fixed"}),
    "uuid": frozenset({"string", "fixed"}),
    "date": frozenset({"int"}),
    "time-millis": frozenset({"int"}),
    "time-micros": frozenset({"long"}),
    "timestamp-millis": frozenset({"long"}),
    "timestamp-micros": frozenset({"long"}),
    "local-timestamp-millis": frozenset({"long"}),
    "local-timestamp-micros": frozenset({"long"}),
}


class AvroSchemaError(ValueError):
    """This is no Avro schema; the text says why."""


@dataclass(eq=False, slots=True)
class Field:
    """A field of a record."""

    name: str
    type: "Type"
    default: Any = MISSING  # JSON, as the schema writes it


@dataclass(eq=False, slots=True)
class Type:
    """A type with everything that was said about it. A named type is one object, however often it is referred to."""

    kind: str  # a primitive, record, enum, fixed, array, map or union
    name: str = ""  # full name of a record, enum or fixed
    logical: str = ""  # logical type, where this program knows it and the kind can carry it
    precision: int = 0
    scale: int = 0
    size: int = 0  # bytes of a fixed
    symbols: Sequence[str] = ()
    fields: list[Field] = field(default_factory=list)
    items: "Type | None" = None  # of an array or a map
    branches: Sequence["Type"] = ()  # of a union

    @property
    def label(self) -> str:
        """What an error calls it."""
        if self.logical == "decimal":
            return f"decimal({self.precision},{self.scale})"
        return self.logical or self.name or self.kind


def parse_schema(schema: Any) -> Type:
    """The type that a JSON document describes; raises AvroSchemaError."""
    return _Parser().parse(schema, "")


class _Parser:
    def __init__(self) -> None:
        self._named: dict[str, Type] = {}

    def parse(self, schema: Any, namespace: str) -> Type:
        if isinstance(schema, str):
            return self._referred(schema, namespace)
        if isinstance(schema, list):
            return self._union(schema, namespace)
        if not isinstance(schema, dict):
            raise AvroSchemaError(f"a type is a name, an object or an array, not {schema!r}")
        kind = schema.get("type")
        if not isinstance(kind, str):
            raise AvroSchemaError(f'an object needs its type: a name under "type", not {kind!r}')
        if kind in PRIMITIVES:
            return _with_logical(Type(kind), schema)
        if kind in ("array", "map"):
            member = "items" if kind == "array" else "values"
            if member not in schema:
                raise AvroSchemaError(
                    f'an {kind} needs "{member}"' if kind == "array" else f'a map needs "{member}"'
                )
            return Type(kind, items=self.parse(schema[member], namespace))
        if kind in ("record", "enum", "fixed"):
            return self._defined(kind, schema, namespace)
        return self._referred(kind, namespace)

    def _referred(self, name: str, namespace: str) -> Type:
        if name in PRIMITIVES:
            return Type(name)
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        known = self._named.get(full) or self._named.get(name)
        if known is None:
            raise AvroSchemaError(f"there is no type {full}")
        return known

    def _union(self, schema: Sequence[Any], namespace: str) -> Type:
        branches = [self.parse(each, namespace) for each in schema]
        if not branches:
            raise AvroSchemaError("a union needs types")
        seen = set()
        for branch in branches:
            if branch.kind == "union":
                raise AvroSchemaError("a union may not stand in a union")
            known_as = branch.name or branch.kind
            if known_as in seen:
                raise AvroSchemaError(f"a union has {known_as} twice")
            seen.add(known_as)
        return Type("union", branches=branches)

    def _defined(self, kind: str, schema: Mapping[str, Any], namespace: str) -> Type:
        full = _full_name(kind, schema, namespace)
        if full in self._named:
            raise AvroSchemaError(f"{full} is defined twice")
        defined = self._named[full] = Type(kind, full)
        if kind == "enum":
            defined.symbols = _symbols(full, schema)
        elif kind == "fixed":
            size = schema.get("size")
            if type(size) is not int or size < 0:
                raise AvroSchemaError(f"{full} needs a size in bytes, not {size!r}")
            defined.size = size
            _with_logical(defined, schema)
        else:
            self._fields(defined, schema)
        return defined

    def _fields(self, defined: Type, schema: Mapping[str, Any]) -> None:
        fields = schema.get("fields")
        if not isinstance(fields, list):
            raise AvroSchemaError(f'{defined.name} needs an array of "fields"')
        namespace = defined.name.rpartition(".")[0]
        seen = set()
        for each in fields:
            name = each.get("name") if isinstance(each, dict) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise AvroSchemaError(f"{name!r} in {defined.name} is no name of a field")
            if name in seen:
                raise AvroSchemaError(f"{defined.name} has the field {name} twice")
            seen.add(name)
            if "type" not in each:
                raise AvroSchemaError(f"the field {name} of {defined.name} needs a type")
            found = self.parse(each["type"], namespace)
            defined.fields.append(Field(name, found, each.get("default", MISSING)))


def _full_name(kind: str, schema: Mapping[str, Any], enclosing: str) -> str:
    name, namespace = schema.get("name"), schema.get("namespace", enclosing)
    if not isinstance(name, str) or not isinstance(namespace, str):
        raise AvroSchemaError(f"a type of kind {kind} needs a name, and its namespace is a text")
    full = name if "." in name or not namespace else f"{namespace}.{name}"
    if not all(map(_NAME.fullmatch, full.split("."))):
        raise AvroSchemaError(f"{full!r} is no name: parts of letters, digits and _ with dots between them")
    if full in PRIMITIVES:
        raise AvroSchemaError(f"{full} is the name of a primitive type")
    return full


def _symbols(full: str, schema: Mapping[str, Any]) -> Sequence[str]:
    symbols = schema.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
        raise AvroSchemaError(f'{full} needs an array of "symbols"')
    for each in symbols:
        if not _NAME.fullmatch(each):
            raise AvroSchemaError(f"{each!r} in {full} is no symbol: letters, digits and _")
    if len(set(symbols)) != len(symbols):
        raise AvroSchemaError(f"{full} has a symbol twice")
    if "default" in schema and schema["default"] not in symbols:
        raise AvroSchemaError(f"the default of {full} is none of its symbols")
    return symbols


def _with_logical(found: Type, schema: Mapping[str, Any]) -> Type:
    logical = schema.get("logicalType")
    carriers = _CARRIERS.get(logical) if isinstance(logical, str) else None
    if carriers is None or found.kind not in carriers:
        return found
    if logical == "uuid" and found.kind == "fixed" and found.size != 16:
        return found
    if logical == "decimal":
        _with_digits(found, schema)
    found.logical = str(logical)
    return found


def _with_digits(found: Type, schema: Mapping[str, Any]) -> None:
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if type(precision) is not int or precision < 1:
        raise AvroSchemaError(f"a decimal needs its precision, a number of digits, not {precision!r}")
    if type(scale) is not int or not 0 <= scale <= precision:
        raise AvroSchemaError(f"a decimal's scale is between 0 and its precision {precision}, not {scale!r}")
    if found.kind == "fixed":
        most = math.floor(math.log10(2) * (8 * found.size - 1)) if found.size else 0
        if precision > most:
            raise AvroSchemaError(f"{found.name} of {found.size} bytes holds {most} digits, not {precision}")
    found.precision, found.scale = precision, scale
