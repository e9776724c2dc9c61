"""How a JSON document's values are written in Avro: a closure for each kind of type.

JSON has fewer types than Avro, so some stand in texts: bytes as PostgreSQL shows a bytea (``\\x`` and hexadecimal
digits; base64 is not read, a text can look like both), dates and times in ISO 8601 or as ``to_jsonb`` writes them,
decimals also as texts. A date or time may be given as the number that Avro counts in as well, for years 1 to 9999.

What is exact stays exact or is refused: integers, decimals, texts. What the schema declares to be coarse is coarse:
a number with a fraction in a ``double`` or ``float`` is the nearest one, and what is finer than the unit of a time is
cut off, as Java's ``Instant.toEpochMilli`` does. jsonb has no exponents: a double of 1e23 stands in it with all its
zeros, as an integer that no double is, and is taken for the double that it shows.
"""

import binascii
import math
import re
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple

from pg_tide_wire_formats import avro_times
from pg_tide_wire_formats.avro_binary import (
    Encode,
    boolean,
    double_of,
    float_of,
    integer,
    long,
    mismatch,
    null,
    sized,
    string,
)
from pg_tide_wire_formats.avro_schema import Type
from pg_tide_wire_formats.documents import Number

_HEX: Final = "bytes as \\x and hexadecimal digits"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
# PostgreSQL's to_jsonb writes these as texts, for JSON has no such numbers.
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT: Final = struct.Struct("<f")
_DOUBLE_MOST: Final = sys.float_info.max

# Readers stop at years beyond 9999; and that far away is what was counted in a finer unit than the schema's.
_FIRST_MS: Final = -62_135_596_800_000  # 0001-01-01
_AFTER_MS: Final = 253_402_300_800_000  # 10000-01-01
_DAY_MS: Final = 86_400_000


class _Count(NamedTuple):
    """What a logical type counts."""

    of_text: Callable[[str], int]
    first: int
    after: int  # one more than the last


_COUNTS: Final[dict[str, _Count]] = {
    "date": _Count(avro_times.day, _FIRST_MS // _DAY_MS, _AFTER_MS // _DAY_MS),
    "time-millis": _Count(lambda text: avro_times.time_us(text) // 1000, 0, _DAY_MS),
    "time-micros": _Count(avro_times.time_us, 0, _DAY_MS * 1000),
    "timestamp-millis": _Count(lambda text: avro_times.instant_us(text) // 1000, _FIRST_MS, _AFTER_MS),
    "timestamp-micros": _Count(avro_times.instant_us, _FIRST_MS * 1000, _AFTER_MS * 1000),
    "local-timestamp-millis": _Count(lambda text: avro_times.local_us(text) // 1000, _FIRST_MS, _AFTER_MS),
    "local-timestamp-micros": _Count(avro_times.local_us, _FIRST_MS * 1000, _AFTER_MS * 1000),
}


def document_leaf(leaf: Type) -> Encode:
    """What encodes a JSON document's value as a type that has no parts."""
    if leaf.logical == "decimal":
        return _decimal(leaf)
    if leaf.logical == "uuid":
        return _uuid_fixed if leaf.kind == "fixed" else _uuid
    if leaf.logical:
        return _count(leaf)
    if leaf.kind == "fixed":
        return _fixed(leaf)
    if leaf.kind == "enum":
        return enum(leaf)
    return _PLAIN[leaf.kind]


def default_leaf(leaf: Type) -> Encode:
    """The same for a default in a schema: bytes are texts of code points up to 255, logical types are plain."""
    if leaf.kind == "enum":
        return enum(leaf)
    if leaf.kind == "fixed":
        return partial(_latin_1, expected=leaf.label, size=leaf.size)
    if leaf.kind == "bytes":
        return partial(_latin_1, expected="bytes as text", size=None)
    return _PLAIN[leaf.kind]


def enum(leaf: Type) -> Encode:
    """A symbol, as its place among the symbols."""
    places = {symbol: long(place) for place, symbol in enumerate(leaf.symbols)}

    def encode(value: Any) -> bytes:
        found = places.get(value) if type(value) is str else None
        if found is None:
            raise mismatch(f"a symbol of {leaf.name}", value)
        return found

    return encode


def double(value: Any) -> bytes:
    """A number with a fraction: the nearest double. An integer: only if it is a double, or what jsonb shows of one."""
    if isinstance(value, float):
        if _is_in_range(value):
            return double_of(value)
    elif type(value) is int and -_DOUBLE_MOST <= value <= _DOUBLE_MOST:
        number = float(value)
        if value in (number, Decimal(repr(number))):
            return double_of(number)
    elif type(value) is str and value in _NOT_FINITE:
        return double_of(_NOT_FINITE[value])
    raise mismatch("double", value)


def single(value: Any) -> bytes:
    """The same for a float of 32 bits."""
    try:
        if isinstance(value, float):
            if _is_in_range(value):
                return float_of(value)
        elif type(value) is int:
            written = float_of(value)
            (number,) = _FLOAT.unpack(written)
            if value in (number, _shortest(number, written)):
                return written
        elif type(value) is str and value in _NOT_FINITE:
            return float_of(_NOT_FINITE[value])
    except (OverflowError, struct.error):
        pass
    raise mismatch("float", value)


def _shortest(number: float, written: bytes) -> Decimal:
    """The fewest digits that are this number of 32 bits: how PostgreSQL shows it, and jsonb with zeros behind."""
    for digits in range(9):
        text = f"{number:.{digits}e}"
        with suppress(OverflowError):
            if _FLOAT.pack(float(text)) == written:
                return Decimal(text)
    raise AssertionError("nine digits are enough for 32 bits")


def _is_in_range(value: float) -> bool:
    # A document's number beyond a double's range became infinite; its text did not.
    return math.isfinite(value) or not isinstance(value, Number)


def _unhex(value: Any, expected: str) -> bytes:
    if type(value) is str and value.startswith("\\x"):
        try:
            return binascii.a2b_hex(value[2:])
        except ValueError:  # binascii.Error, or no ASCII
            pass
    raise mismatch(expected, value)


def _bytes(value: Any) -> bytes:
    return sized(_unhex(value, _HEX))


def _fixed(leaf: Type) -> Encode:
    expected = f"{leaf.name}, {leaf.size} {_HEX}"

    def encode(value: Any) -> bytes:
        found = _unhex(value, expected)
        if len(found) != leaf.size:
            raise mismatch(expected, value)
        return found

    return encode


def _latin_1(value: Any, *, expected: str, size: int | None) -> bytes:
    if type(value) is str:
        try:
            found = value.encode("latin-1")
        except UnicodeEncodeError:
            raise mismatch(expected, value) from None
        if size is None:
            return sized(found)
        if len(found) == size:
            return found
    raise mismatch(expected, value)


def _uuid(value: Any) -> bytes:
    if type(value) is not str or not _UUID.fullmatch(value):
        raise mismatch("uuid", value)
    return string(value)


def _uuid_fixed(value: Any) -> bytes:
    if type(value) is not str or not _UUID.fullmatch(value):
        raise mismatch("uuid", value)
    return bytes.fromhex(value.replace("-", ""))


def _decimal(leaf: Type) -> Encode:
    precision, scale, expected = leaf.precision, leaf.scale, leaf.label
    size = leaf.size if leaf.kind == "fixed" else None
    one: int = 10**scale
    most: int = 10**precision - 1

    def unscaled(value: Any) -> int:
        if type(value) is int:
            return value * one
        if type(value) is str:
            if not avro_times.is_decimal(value):
                raise ValueError("no decimal")
            return avro_times.unscaled(value, precision, scale)
        if isinstance(value, float):
            # A computed number is what it would be written as.
            return avro_times.unscaled(
                value.text if isinstance(value, Number) else repr(value), precision, scale
            )
        raise ValueError("no number")

    def encode(value: Any) -> bytes:
        try:
            digits = unscaled(value)
        except ValueError:
            raise mismatch(expected, value) from None
        if not -most <= digits <= most:
            raise mismatch(expected, value)
        if size is not None:
            return digits.to_bytes(size, "big", signed=True)
        count = (digits if digits >= 0 else ~digits).bit_length() // 8 + 1
        return long(count) + digits.to_bytes(count, "big", signed=True)

    return encode


def _count(leaf: Type) -> Encode:
    of_text, first, after = _COUNTS[leaf.logical]

    def encode(value: Any) -> bytes:
        if type(value) is str:
            try:
                count = of_text(value)
            except ValueError:
                raise mismatch(leaf.label, value) from None
        elif type(value) is int:
            count = value
        else:
            raise mismatch(leaf.label, value)
        if not first <= count < after:
            raise mismatch(leaf.label, value)
        return long(count)

    return encode


_PLAIN: Final[dict[str, Encode]] = {
    "null": null,
    "boolean": boolean,
    "int": integer("int", 32),
    "long": integer("long", 64),
    "float": single,
    "double": double,
    "bytes": _bytes,
    "string": string,
}
