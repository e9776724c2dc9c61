"""Rows with declared types: a JSON document becomes a struct of Kafka Connect, or says where it doesn't fit.

A row schema is an ordered list of columns. It is declared, never inferred from a message: a member that it does
not know is an error of that message, because leaving it out would lose data silently. A missing one is null.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pg_tide_wire_formats.connect import Schema, struct
from pg_tide_wire_formats.connect_types import (
    ColumnType,
    ColumnTypeError,
    MisfitError,
    Modes,
    column_type,
    what,
)
from pg_tide_wire_formats.documents import DocumentError, parse

_SHOWN: Final = 5


class RowSchemaError(ValueError):
    """A row schema is not one: a type that does not exist, a name that stands in it twice."""


class Rows:
    """Rows of one row schema."""

    def __init__(self, columns: Sequence[tuple[str, str]], modes: Modes) -> None:
        """Prepare rows of these (name, type); raises RowSchemaError."""
        self._types: dict[str, ColumnType] = {}
        for name, type_name in columns:
            if name in self._types:
                raise RowSchemaError(f"column {name!r} stands in it twice")
            try:
                self._types[name] = column_type(type_name, modes)
            except ColumnTypeError as error:
                raise RowSchemaError(f"column {name!r}: {error}") from error
        self._converters = [(name, each.convert) for name, each in self._types.items()]

    def schema(self, name: str) -> Schema:
        """The schema of a row, by this name; optional, as ``before`` and ``after`` are."""
        return struct(
            [(column, each.schema) for column, each in self._types.items()], optional=True, name=name
        )

    def key_schema(self, name: str, columns: Sequence[str]) -> Schema:
        """The schema of some columns, all required: a record's key. Raises RowSchemaError."""
        missing = [column for column in columns if column not in self._types]
        if missing:
            raise RowSchemaError(f"it has no column {missing[0]!r}")
        fields = [(column, self._types[column].schema | {"optional": False}) for column in columns]
        return struct(fields, optional=False, name=name)

    def convert(self, document: Any) -> dict[str, Any]:
        """From a document to the value of the schema; MisfitError naming the column."""
        if type(document) is not dict:
            raise MisfitError(f"expected a row, an object with columns, not {what(document)}")
        row: dict[str, Any] = {}
        name, missing = "", 0
        try:
            for name, convert in self._converters:
                value = document.get(name)
                if value is not None:
                    row[name] = convert(value)
                else:
                    row[name] = None
                    missing += name not in document
        except MisfitError as error:
            raise MisfitError(f"column {name!r}: {error}") from error
        if len(row) - missing != len(document):
            raise MisfitError(self._unknown(document))
        return row

    def convert_column(self, column: str, value: Any) -> Any:
        """The value of one column, for a key; MisfitError."""
        try:
            return self._types[column].convert(value)
        except MisfitError as error:
            raise MisfitError(f"column {column!r}: {error}") from error

    def convert_text(self, column: str, text: str) -> Any:
        """The same from a text: that of a string, or of any other value in JSON."""
        try:
            return self.convert_column(column, text)
        except MisfitError:
            try:
                value = parse(text.encode())
            except DocumentError:
                value = None
            if value is None:
                raise
            return self.convert_column(column, value)

    def _unknown(self, document: Mapping[str, Any]) -> str:
        names = [name for name in document if name not in self._types]
        shown = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
        return f"the row schema has no column {shown}: add it, or leave it out with transform.payload"
