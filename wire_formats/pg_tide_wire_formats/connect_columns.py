"""What a column of a row schema is: its schema in Kafka Connect, and what makes its values or says why not."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pg_tide_wire_formats.connect import Schema
from pg_tide_wire_formats.documents import render


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


def what(value: Any) -> str:
    """A value in the words of an error, shortened."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = render(value).decode()
    kind = {str: "the string", bool: "the boolean"}.get(type(value), "the number")
    return "null" if value is None else f"{kind} {text if len(text) <= 60 else text[:57] + '...'}"


def with_article(name: str) -> str:
    """The name of a type in a sentence."""
    return f"an {name}" if name[0] in "aeio" else f"a {name}"
