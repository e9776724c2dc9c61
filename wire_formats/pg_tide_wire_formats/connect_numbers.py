"""PostgreSQL's numbers in Kafka Connect, as Debezium's connector has them. Nothing is ever rounded."""

import re
from decimal import Context, Decimal, DecimalException
from typing import Annotated, Any, Final, Literal

import msgspec

from pg_tide_wire_formats.connect import node, struct
from pg_tide_wire_formats.connect_columns import ColumnType, MisfitError, what, with_article
from pg_tide_wire_formats.documents import Number

DecimalMode = Literal["precise", "double", "string"]

INTEGERS: Final = {"smallint": "int16", "integer": "int32", "bigint": "int64", "oid": "int64"}
_NUMERIC_RE: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_PLAIN_RE: Final = re.compile(r"(-?\d{1,18})\.(\d{1,18})")
_OID_RE: Final = re.compile(r"[0-9]{1,10}")  # to_jsonb writes it as a string
# What is no number, and what Debezium calls it in a text (io.debezium.data.SpecialValueDecimal).
_SPECIAL_VALUES: Final = {"NaN": "NAN", "Infinity": "POSITIVE_INFINITY", "-Infinity": "NEGATIVE_INFINITY"}
# Digits that PostgreSQL's numeric may have in front of the point, and behind: nothing is ever rounded.
_DIGITS_MAX: Final = 131_072
_FRACTION_MAX: Final = 16_383
_EXACT: Final = Context(prec=_DIGITS_MAX + _FRACTION_MAX, Emax=999_999, Emin=-999_999)
_FLOAT32_MAX: Final = 3.4028235677973366e38


def integer_type(base: str) -> ColumnType:
    """One of ``INTEGERS``."""
    kind, is_oid = INTEGERS[base], base == "oid"
    bits = int(kind[3:])
    low, high = (0, 2**32 - 1) if is_oid else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def integer(value: Any) -> int:
        number = value if type(value) is int else _whole(value)
        if is_oid and type(value) is str and _OID_RE.fullmatch(value):
            number = int(value)
        if number is None or not low <= number <= high:
            raise MisfitError(f"expected {with_article(base)}, not {what(value)}")
        return number

    if is_oid:
        return ColumnType(node(kind), integer, Any, integer)
    return ColumnType(node(kind), integer, Annotated[int, msgspec.Meta(ge=low, le=high)])


def _whole(value: Any) -> int | None:
    """The integer that a number with a fraction of zeros is."""
    is_whole = type(value) is not bool and isinstance(value, float) and value.is_integer()
    return int(Decimal(value.text) if isinstance(value, Number) else value) if is_whole else None


def double(value: Any) -> float:
    """A double precision, NaN and the infinities by their names; MisfitError."""
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


def single(value: Any) -> float:
    """A real; MisfitError."""
    number = double(value)
    if _FLOAT32_MAX <= abs(number) < float("inf"):
        raise MisfitError(f"expected a real, not {what(value)}")
    return number


def numeric_type(arguments: list[int], mode: DecimalMode) -> ColumnType | None:
    """numeric with this precision and scale; None where there is no such type."""
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
    return float(value) if _is_no_number(value) else double(float(_decimal(value, "numeric")))


def _numeric_as_string(value: Any) -> str:
    if _is_no_number(value):
        return _SPECIAL_VALUES[value]
    return format(_decimal(value, "numeric"), "f")


def _big_endian(number: int) -> bytes:
    """As java.math.BigInteger.toByteArray: the fewest bytes that hold the number and its sign."""
    bits = (number if number >= 0 else ~number).bit_length()
    return number.to_bytes(bits // 8 + 1, "big", signed=True)
