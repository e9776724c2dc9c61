"""The bytes of Avro's binary encoding, and the error that says where a value does not fit its schema.

Everything that encodes is a closure from a value to bytes, composed once per schema: ``record``, ``array``, ``map_of``
and ``optional`` here, the leaves where the values come from (``avro_documents``, ``connect_avro``). What a closure
can't take it refuses with AvroError; the composites above it add the way to the place.
"""

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

Encode = Callable[[Any], bytes]
"""From a value to its bytes in Avro; raises AvroError."""


class AvroError(ValueError):
    """A value does not fit its schema: where, what was expected and what is there.

    Its text is for users: ``$.lines[0].price: expected decimal(10,2), not the string "x"``.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self._steps: list[str | int] = []

    def under(self, step: str | int) -> "AvroError":
        """The same error, seen from one level further up: below this member or element."""
        self._steps.append(step)
        return self

    @property
    def path(self) -> str:
        """Where in the document, as JSONPath."""
        return "$" + "".join(map(_step, reversed(self._steps)))

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() else f"[{json.dumps(step, ensure_ascii=False)}]"


class _Missing:
    """Stands for a member that a document does not have: JSON's null is a value."""


MISSING: Final = _Missing()

_SHOWN: Final = 60


def mismatch(expected: str, value: object) -> AvroError:
    """The error for a value that is not what was expected."""
    if value is MISSING:
        return AvroError(f"missing, expected {expected}")
    return AvroError(f"expected {expected}, not {described(value)}")


def described(value: object) -> str:
    """A value as an error shows it: its kind, and the beginning of its text."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        kind, text = "the string ", json.dumps(value[: _SHOWN + 1], ensure_ascii=False)
    elif value is None or isinstance(value, bool):
        kind, text = "", json.dumps(value)
    else:
        kind, text = "the number ", _digits(value)
    return kind + (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _digits(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return f"of {value.bit_length()} bits"  # Python writes out no integer of thousands of digits
    return getattr(value, "text", None) or repr(value)


# Integers are written in groups of seven bits, each with a mark that another one follows. Two groups at a time,
# looked up, cost half of what shifting out each of them does; the tables hold 1.4 MB.
_BITS: Final = 14
_ALL: Final = (1 << _BITS) - 1
_FOLLOWED: Final = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << _BITS)]
_LAST: Final = [bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << _BITS)]


_SHORT: Final = 1 << _BITS - 1  # a count that is looked up in one step


def long(value: int) -> bytes:
    """An integer of at most 64 bits: zigzag, then groups of seven bits."""
    rest = value << 1 if value >= 0 else ~(value << 1)
    if rest <= _ALL:
        return _LAST[rest]
    written = _FOLLOWED[rest & _ALL]
    rest >>= _BITS
    while rest > _ALL:
        written += _FOLLOWED[rest & _ALL]
        rest >>= _BITS
    return written + _LAST[rest]


double_of: Final = struct.Struct("<d").pack
float_of: Final = struct.Struct("<f").pack
TRUE: Final = b"\1"
FALSE: Final = b"\0"
END: Final = b"\0"
"""The empty block that ends an array or a map."""


def sized(value: bytes) -> bytes:
    """Bytes behind their count, as ``bytes`` and ``string`` are written."""
    return long(len(value)) + value


def string(value: Any) -> bytes:
    """A text as Avro's string."""
    if type(value) is not str:
        raise mismatch("string", value)
    try:
        text = value.encode()
    except UnicodeEncodeError:
        raise AvroError("half of a surrogate pair, which UTF-8 can't express") from None
    count = len(text)
    # Without the call where it can be: a text is what there is most of.
    return (_LAST[count + count] if count < _SHORT else long(count)) + text


def boolean(value: Any) -> bytes:
    """True or false."""
    if value is True:
        return TRUE
    if value is False:
        return FALSE
    raise mismatch("boolean", value)


def null(value: Any) -> bytes:
    """No bytes at all."""
    if value is not None:
        raise mismatch("null", value)
    return b""


def integer(expected: str, bits: int) -> Encode:
    """A whole number of at most so many bits, sign included."""
    least, most = -(1 << bits - 1), (1 << bits - 1) - 1

    def encode(value: Any) -> bytes:
        if type(value) is not int or not least <= value <= most:
            raise mismatch(expected, value)
        return long(value)

    return encode


class Member(NamedTuple):
    """A field of a record."""

    name: str
    encode: Encode
    absent: bytes | None  # what is written when the document has no such member; None: that is an error


def record(name: str, members: Sequence[Member]) -> Encode:
    """An object whose members are the record's fields, written in the order of the schema.

    A member that the schema does not have is refused: it would be lost without anybody's decision, and for good. A
    projection drops what is not wanted.
    """
    count, names = len(members), frozenset(member.name for member in members)
    # Plain tuples are taken apart faster than named ones.
    fields = [(member.name, member.encode, member.absent) for member in members]

    def encode(value: Any) -> bytes:
        if type(value) is not dict:
            raise mismatch(f"record {name}", value)
        surely = len(value) == count
        parts: list[bytes] = []
        append, at = parts.append, ""
        try:
            for at, encode_member, absent in fields:
                try:
                    member = value[at]
                except KeyError:
                    surely = False
                    append(encode_member(MISSING) if absent is None else absent)
                else:
                    append(encode_member(member))
        except AvroError as error:
            error.under(at)
            raise
        if not surely:
            _refuse_unknown(name, names, value)
        return b"".join(parts)

    return encode


def _refuse_unknown(name: str, names: frozenset[str], value: Mapping[str, Any]) -> None:
    for member in value:
        if member not in names:
            raise AvroError(f"record {name} has no such field").under(member)


def array(element: Encode) -> Encode:
    """A list, in one block."""

    def encode(value: Any) -> bytes:
        if type(value) is not list:
            raise mismatch("array", value)
        if not value:
            return END
        parts = [long(len(value))]
        try:
            for each in value:
                parts.append(element(each))  # no comprehension: an error needs to know how far it came
        except AvroError as error:
            error.under(len(parts) - 1)
            raise
        parts.append(END)
        return b"".join(parts)

    return encode


def map_of(element: Encode) -> Encode:
    """An object whose members are the map's entries, in the order they come in, in one block."""

    def encode(value: Any) -> bytes:
        if type(value) is not dict:
            raise mismatch("map", value)
        if not value:
            return END
        parts = [long(len(value))]
        key = ""
        try:
            for key, each in value.items():
                parts.append(string(key))
                parts.append(element(each))
        except AvroError as error:
            error.under(key)
            raise
        parts.append(END)
        return b"".join(parts)

    return encode


def optional(encode_value: Encode, null_index: int) -> Encode:
    """A union of null and one other type, null being the first or the second of the two."""
    nothing, something = long(null_index), long(1 - null_index)

    def encode(value: Any) -> bytes:
        return nothing if value is None else something + encode_value(value)

    return encode
