"""PostgreSQL's types as Debezium's connector has them: a schema of Kafka Connect, and what makes a value.

Source of the mapping: io.debezium.connector.postgresql.PostgresValueConverter. A value comes as PostgreSQL's
``to_jsonb`` writes it. All columns are optional: null is null in every type.
"""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from pg_tide_wire_formats.connect import Schema, array, node, struct
from pg_tide_wire_formats.connect_times import (
    TimeMode,
    date_type,
    interval_type,
    time_type,
    timestamp_type,
    timestamptz_type,
    timetz_type,
)
from pg_tide_wire_formats.documents import Number, render

DecimalMode = Literal["precise", "double", "string"]
BinaryMode = Literal["bytes", "base64", "base64-url-safe", "hex"]


@dataclass(frozen=True, kw_only=True)
class Modes:
    """Debezium's options of the same names (decimal.handling.mode and so on), and its defaults."""

    decimals: DecimalMode = "precise"
    times: TimeMode = "adaptive"
    binary: BinaryMode = "bytes"


class ColumnTypeError(ValueError):
    """A name is no type that a row schema knows."""


class MisfitError(ValueError):
    """A value doesn't fit the type of its column; says what was expected and what was found."""


class ColumnType(NamedTuple):
    """What becomes of a column."""

    schema: Schema
    convert: Callable[[Any], Any]
    """From a value that is not null; MisfitError."""
    reads: Any = Any
    """What msgspec may take from the text at once; whatever it takes must be what ``convert`` takes."""
    finish: Callable[[Any], Any] | None = None
    """From such a value to the same that ``convert`` makes; None: it is one already."""


_INTEGERS: Final = {"smallint": "int16", "integer": "int32", "bigint": "int64", "oid": "int64"}
_STRINGS: Final = {
    "text": None,
    "character varying": None,
    "character": None,
    "name": None,
    "citext": None,
    "inet": None,
    "cidr": None,
    "macaddr": None,
    "macaddr8": None,
    "int4range": None,
    "int8range": None,
    "numrange": None,
    "tsrange": None,
    "tstzrange": None,
    "daterange": None,
    "xml": "io.debezium.data.Xml",
    "ltree": "io.debezium.data.Ltree",
    "tsvector": "io.debezium.data.Tsvector",
}
_SYNONYMS: Final = {
    "bool": "boolean",
    "int2": "smallint",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "float": "double precision",
    "decimal": "numeric",
    "varchar": "character varying",
    "char": "character",
    "bpchar": "character",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "timetz": "time with time zone",
    "time": "time without time zone",
}
_NAME_RE: Final = re.compile(
    r"([a-z][a-z0-9_]*(?: [a-z][a-z]+)*?) ?(?:\( ?(\d+) ?(?:, ?(\d+) ?)?\))?"
    r"( with time zone| without time zone)?((?:\[\])?)"
)
_INTERVAL_RE: Final = re.compile(r"interval(?: (?:to )?(?:year|month|day|hour|minute|second))*")
_NUMERIC_RE: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_PLAIN_RE: Final = re.compile(r"(-?\d{1,18})\.(\d{1,18})")
_UUID_RE: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OID_RE: Final = re.compile(r"[0-9]{1,10}")  # to_jsonb writes it as a string
# What is no number, and what Debezium calls it in a text (io.debezium.data.SpecialValueDecimal).
_SPECIAL_VALUES: Final = {"NaN": "NAN", "Infinity": "POSITIVE_INFINITY", "-Infinity": "NEGATIVE_INFINITY"}
# Digits that PostgreSQL's numeric may have in front of the point, and behind: nothing is ever rounded.
_DIGITS_MAX: Final = 131_072
_FRACTION_MAX: Final = 16_383
_EXACT: Final = Context(prec=_DIGITS_MAX + _FRACTION_MAX, Emax=999_999, Emin=-999_999)
_FLOAT32_MAX: Final = 3.4028235677973366e38


def column_type(type_name: str, modes: Modes) -> ColumnType:
    """The type of this name, as PostgreSQL's format_type writes it or with the usual synonyms.

    Raises ColumnTypeError.
    """
    found = _NAME_RE.fullmatch(" ".join(type_name.lower().split()))
    if found is None:
        raise ColumnTypeError(f"{type_name!r} is no type that a row schema knows")
    base, first, second, zone, is_array = found.groups()
    base = _SYNONYMS.get(base + (zone or ""), _SYNONYMS.get(base, base) if zone is None else base + zone)
    arguments = [int(argument) for argument in (first, second) if argument is not None]
    made = _scalar(base, arguments, modes)
    if made is None:
        raise ColumnTypeError(f"{type_name!r} is no type that a row schema knows")
    made = _array_of(made) if is_array else made
    return made._replace(finish=made.convert) if made.reads is Any else made


def _scalar(base: str, arguments: list[int], modes: Modes) -> ColumnType | None:
    if base in ("numeric", "character varying", "character"):
        return _numeric(arguments, modes.decimals) if base == "numeric" else _string(base)
    base = "interval" if _INTERVAL_RE.fullmatch(base) else base
    if arguments and not base.startswith("time") and base != "interval":
        return None
    precision = arguments[0] if arguments else 6
    if precision > 6 or len(arguments) > 1:
        return None
    timed = _timed(base, precision, modes.times)
    if timed is not None:
        return timed
    if base in _INTEGERS:
        return _integer(base)
    return _other(base, modes)


def _other(base: str, modes: Modes) -> ColumnType | None:
    if base in _STRINGS:
        return _string(base)
    match base:
        case "boolean":
            return ColumnType(node("boolean"), _boolean, bool)
        case "real":
            return ColumnType(node("float"), _float32)
        case "double precision":
            return ColumnType(node("double"), _double)
        case "uuid":
            return ColumnType(node("string", name="io.debezium.data.Uuid", version=1), _uuid)
        case "json" | "jsonb":
            schema = node("string", name="io.debezium.data.Json", version=1)
            return ColumnType(schema, _json, msgspec.Raw, _raw_text)
        case "bytea":
            return _bytea(modes.binary)
    return None


def _timed(base: str, precision: int, mode: TimeMode) -> ColumnType | None:
    match base:
        case "date":
            schema, convert = date_type(mode)
        case "time without time zone":
            schema, convert = time_type(mode, precision)
        case "timestamp without time zone":
            schema, convert = timestamp_type(mode, precision)
        case "time with time zone":
            schema, convert = timetz_type()
        case "timestamp with time zone":
            schema, convert = timestamptz_type(precision)
        case "interval":
            schema, convert = interval_type()
        case _:
            return None

    def timed(value: Any) -> Any:
        if type(value) is not str:
            raise MisfitError(f"expected a text with {_a(base)}, not {what(value)}")
        try:
            return convert(value)
        except ValueError as error:
            raise MisfitError(f"expected {_a(base)}, not {what(value)}: {error}") from error

    return ColumnType(schema, timed)


def what(value: Any) -> str:
    """A value in the words of an error, shortened."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = render(value).decode()
    kind = {str: "the string", bool: "the boolean"}.get(type(value), "the number")
    return "null" if value is None else f"{kind} {text if len(text) <= 60 else text[:57] + '...'}"


def _a(name: str) -> str:
    return f"an {name}" if name[0] in "aeio" else f"a {name}"


def _array_of(element: ColumnType) -> ColumnType:
    convert = element.convert

    def elements(value: Any) -> Any:
        if type(value) is not list:
            raise MisfitError(f"expected an array of one dimension, not {what(value)}")
        return [None if each is None else convert(each) for each in value]

    if element.reads is msgspec.Raw and (finish := element.finish) is not None:
        return ColumnType(array(element.schema), elements, list[msgspec.Raw], lambda raw: [*map(finish, raw)])
    return ColumnType(array(element.schema), elements)


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise MisfitError(f"expected a boolean, not {what(value)}")


def _integer(base: str) -> ColumnType:
    kind, is_oid = _INTEGERS[base], base == "oid"
    bits = int(kind[3:])
    low, high = (0, 2**32 - 1) if is_oid else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def integer(value: Any) -> int:
        number = value if type(value) is int else _whole(value)
        if is_oid and type(value) is str and _OID_RE.fullmatch(value):
            number = int(value)
        if number is None or not low <= number <= high:
            raise MisfitError(f"expected {_a(base)}, not {what(value)}")
        return number

    if is_oid:
        return ColumnType(node(kind), integer, Any, integer)
    return ColumnType(node(kind), integer, Annotated[int, msgspec.Meta(ge=low, le=high)])


def _whole(value: Any) -> int | None:
    """The integer that a number with a fraction of zeros is."""
    is_whole = type(value) is not bool and isinstance(value, float) and value.is_integer()
    return int(Decimal(value.text) if isinstance(value, Number) else value) if is_whole else None


def _double(value: Any) -> float:
    if type(value) is not bool and isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if number - number == 0:  # neither infinite nor NaN
            return number
    elif _is_no_number(value):
        return float(value)
    raise MisfitError(f"expected a double precision, not {what(value)}")


def _is_no_number(value: Any) -> bool:
    return type(value) is str and value in _SPECIAL_VALUES


def _float32(value: Any) -> float:
    number = _double(value)
    if _FLOAT32_MAX <= abs(number) < float("inf"):
        raise MisfitError(f"expected a real, not {what(value)}")
    return number


def _string(base: str) -> ColumnType:
    def string(value: Any) -> str:
        if type(value) is str:
            return value
        raise MisfitError(f"expected a text, not {what(value)}")

    name = _STRINGS[base]
    return ColumnType(node("string", name=name, version=None if name is None else 1), string, str)


def _uuid(value: Any) -> str:
    if type(value) is str and _UUID_RE.fullmatch(value):
        return value
    raise MisfitError(f"expected a uuid, not {what(value)}")


def _json(value: Any) -> str:
    return render(value).decode()


def _raw_text(value: msgspec.Raw) -> str | None:
    """The text as it is written, with PostgreSQL's spaces: what a connector finds in the column."""
    text = bytes(value)
    return None if text == b"null" else text.decode()


def _bytea(mode: BinaryMode) -> ColumnType:
    encoders: dict[BinaryMode, Callable[[bytes], Any]] = {
        "bytes": bytes,
        "base64": lambda raw: b64encode(raw).decode(),
        "base64-url-safe": lambda raw: urlsafe_b64encode(raw).decode(),
        "hex": bytes.hex,
    }
    encode = encoders[mode]

    def binary(value: Any) -> Any:
        if type(value) is str and value.startswith("\\x"):
            try:
                return encode(bytes.fromhex(value[2:]))
            except ValueError:
                pass
        raise MisfitError(f"expected a bytea in hexadecimal (\\x...), not {what(value)}")

    return ColumnType(node("bytes" if mode == "bytes" else "string"), binary)


def _numeric(arguments: list[int], mode: DecimalMode) -> ColumnType | None:
    if len(arguments) > 2 or (arguments and not (1 <= arguments[0] <= 1000)):
        return None
    if mode == "double":
        return ColumnType(node("double"), _numeric_as_double)
    if mode == "string":
        return ColumnType(node("string"), _numeric_as_string)
    if not arguments:
        return _variable_scale()
    return _fixed_scale(arguments[0], arguments[1] if len(arguments) > 1 else 0)


def _fixed_scale(precision: int, scale: int) -> ColumnType:
    words = f"numeric({precision},{scale})"
    parameters = {"scale": str(scale), "connect.decimal.precision": str(precision)}
    bound = 10**precision

    def unscaled(value: Any) -> bytes:
        if type(value) is Number and (usual := _PLAIN_RE.fullmatch(value.text)) and len(usual[2]) <= scale:
            whole = int(usual[1] + usual[2]) * 10 ** (scale - len(usual[2]))
            if abs(whole) < bound:
                return _big_endian(whole)
        number = _EXACT.scaleb(_decimal(value, words), scale)
        # Asked first, because an integer of very many digits takes seconds.
        whole = int(number) if not number or number.adjusted() < precision else bound
        if whole != number or abs(whole) >= bound:
            raise MisfitError(f"expected a {words}, not {what(value)}")
        return _big_endian(whole)

    name = "org.apache.kafka.connect.data.Decimal"
    return ColumnType(node("bytes", name=name, version=1, parameters=parameters), unscaled)


def _variable_scale() -> ColumnType:
    fields = [("scale", node("int32", optional=False)), ("value", node("bytes", optional=False))]
    name = "io.debezium.data.VariableScaleDecimal"
    schema = struct(fields, optional=True, name=name, version=1, doc="Variable scaled decimal")

    def scaled(value: Any) -> dict[str, Any]:
        number = _EXACT.normalize(_decimal(value, "numeric"))  # Debezium strips zeros behind the fraction
        scale = max(0, -_exponent(number))
        return {"scale": scale, "value": _big_endian(int(_EXACT.scaleb(number, scale)))}

    return ColumnType(schema, scaled)


def _decimal(value: Any, words: str) -> Decimal:
    text = value.text if isinstance(value, Number) else value
    if type(text) is float:
        text = repr(text)
    if type(text) is int or (type(text) is str and _NUMERIC_RE.fullmatch(text)):
        try:
            number = _EXACT.create_decimal(text)
        except DecimalException:
            pass
        else:
            if number.adjusted() < _DIGITS_MAX and -_exponent(number) <= _FRACTION_MAX:
                return number
    hint = "" if not _is_no_number(value) else " (decimal_handling_mode double and string can express it)"
    raise MisfitError(f"expected a {words}, not {what(value)}{hint}")


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _numeric_as_double(value: Any) -> float:
    return float(value) if _is_no_number(value) else _double(float(_decimal(value, "numeric")))


def _numeric_as_string(value: Any) -> str:
    if _is_no_number(value):
        return _SPECIAL_VALUES[value]
    return format(_decimal(value, "numeric"), "f")


def _big_endian(number: int) -> bytes:
    """As java.math.BigInteger.toByteArray: the fewest bytes that hold the number and its sign."""
    bits = (number if number >= 0 else ~number).bit_length()
    return number.to_bytes(bits // 8 + 1, "big", signed=True)
