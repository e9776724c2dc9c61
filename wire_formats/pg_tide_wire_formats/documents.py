"""JSON documents that leave as they came: numbers keep every digit, also through a projection.

PostgreSQL's jsonb holds numbers as decimals; a double would turn 1.10 into 1.1 and 2^53 + 1 into 2^53. Integers
are Python's, which know no bound. A number with a fraction or an exponent is a ``float`` that remembers its text:
functions and comparisons see a double, and what nobody has computed with is written as it was read.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypedDict

import msgspec
import orjson


class DocumentError(ValueError):
    """A text is no JSON document that can be worked on, or a value can't be written as JSON."""


class Number(float):
    """A number with a fraction or an exponent, and how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "Number":
        """The nearest double; beyond a double's range it is infinite, and its text still exact."""
        number = super().__new__(cls, text)
        number.text = text
        return number


# JMESPath's functions look at the name of a value's type to tell whether it is a number.
Number.__name__ = "float"

_DECODER: Final = msgspec.json.Decoder(float_hook=Number)


_PLAIN_NAME_RE: Final = re.compile(r"[A-Za-z0-9_ .-]+")


def _integer(text: str) -> int | Number:
    try:
        return int(text)
    except ValueError:
        return Number(text)  # more digits than Python converts


def parse(text: bytes) -> Any:
    """The document in a payload; raises DocumentError."""
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise DocumentError("it is nested too deeply") from error
    except (msgspec.DecodeError, ValueError):
        pass
    try:
        # Slower, and knows what to do with thousands of digits.
        return json.loads(text, parse_int=_integer, parse_float=Number)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"it is not JSON: {error}") from error


def compile_reader(members: Iterable[str], *, exact: bool) -> Callable[[bytes], Any]:
    """What reads only these members of an object and skips over all others: a third of the time, or less.

    ``exact=False``: numbers with a fraction are plain doubles, for who only compares them. What is no object is
    read whole. Raises DocumentError.
    """
    names = list(members)
    if not all(map(_PLAIN_NAME_RE.fullmatch, names)):
        return parse  # msgspec 0.20 does not find the member "π" of a TypedDict that has no other
    # The constructor, because members may be named as Python's keywords.
    wanted = TypedDict("wanted", dict.fromkeys(names, Any), total=False)  # type: ignore[misc]
    decode = msgspec.json.Decoder(wanted, float_hook=Number if exact else None).decode

    def read(text: bytes) -> Any:
        try:
            return decode(text)
        except (msgspec.DecodeError, RecursionError, ValueError):
            return parse(text)

    return read


def render(value: Any) -> bytes:
    """A document as JSON without spaces, in UTF-8; raises DocumentError."""
    try:
        return orjson.dumps(value, default=_as_written)
    except TypeError:
        pass  # an integer of more than 64 bits, or a value that is no JSON at all
    try:
        return orjson.dumps(_wide_integers_as_written(value), default=_as_written)
    except (TypeError, RecursionError) as error:
        raise DocumentError(f"it can't be written as JSON: {error}") from error


def _as_written(value: object) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError(f"a value of type {type(value).__name__}")


def _wide_integers_as_written(value: Any) -> Any:
    if isinstance(value, list):
        return [_wide_integers_as_written(each) for each in value]
    if isinstance(value, dict):
        return {key: _wide_integers_as_written(each) for key, each in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return orjson.Fragment(str(value))
    return value


def refuse_what_json_has_not(value: Any) -> None:
    """Raises DocumentError for an infinite or undefined result of arithmetic, which would be written as null."""
    if isinstance(value, list):
        for each in value:
            refuse_what_json_has_not(each)
    elif isinstance(value, dict):
        for each in value.values():
            refuse_what_json_has_not(each)
    elif isinstance(value, float) and not isinstance(value, Number) and not math.isfinite(value):
        raise DocumentError(f"a result is {value}, which JSON can't express")
