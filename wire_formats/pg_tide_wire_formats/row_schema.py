"""Rows with declared types: a JSON document becomes a struct of Kafka Connect, or says where it doesn't fit.

A row schema is an ordered list of columns. It is declared, never inferred from a message: a member that it does
not know is an error of that message, because leaving it out would lose data silently. A missing one is null.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pg_tide_wire_formats.connect import Schema, compile_json, has_floats, struct, with_named_floats
from pg_tide_wire_formats.connect_columns import ColumnType, ColumnTypeError, MisfitError, what
from pg_tide_wire_formats.connect_types import Modes, column_type
from pg_tide_wire_formats.documents import DocumentError, Number, parse

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

    def compile_reader(self, *, as_json: bool) -> Callable[[bytes], Any]:
        """From the text of a document to the row: its JSON, or its value. MisfitError, DocumentError.

        Most of it is done while the text is read, in C; what that does not take goes the long way, which says
        what doesn't fit.
        """
        finish_json = compile_json(self.schema("row"))

        raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
        texts = {
            name: (msgspec.json.Decoder(each.reads), each.finish)
            for name, each in self._types.items()
            if each.reads in (msgspec.Raw, list[msgspec.Raw]) and each.finish is not None
        }

        def long_way(text: bytes) -> Any:
            row = self.convert(parse(text))
            found = raw.decode(text) if texts else {}
            for name, (decoder, finish) in texts.items():
                if row[name] is not None:
                    row[name] = finish(decoder.decode(found[name]))
            return finish_json(row) if as_json else row

        quick = self._quick_struct()
        if quick is None:
            return long_way
        decode = msgspec.json.Decoder(quick, float_hook=Number).decode
        encode = msgspec.json.Encoder().encode
        finishes = self._finishes(as_json=as_json)
        names = list(self._types)

        def read(text: bytes) -> Any:
            try:
                row = decode(text)
                for attribute, finish in finishes:
                    value = getattr(row, attribute)
                    if value is not None:
                        setattr(row, attribute, finish(value))
            except (msgspec.DecodeError, MisfitError, RecursionError, ValueError):
                return long_way(text)
            return encode(row) if as_json else dict(zip(names, msgspec.structs.astuple(row), strict=True))

        return read

    def _quick_struct(self) -> type[msgspec.Struct] | None:
        """What reads a row at once; None where a name can't be that of one."""
        names = {f"c{place}": name for place, name in enumerate(self._types)}
        fields = [
            # Any and Raw take null as well.
            (attribute, each.reads if each.reads in (Any, msgspec.Raw) else each.reads | None, None)
            for attribute, each in zip(names, self._types.values(), strict=True)
        ]
        try:
            return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)
        except ValueError:
            return None

    def _finishes(self, *, as_json: bool) -> list[tuple[str, Callable[[Any], Any]]]:
        found = []
        for place, each in enumerate(self._types.values()):
            finish = each.finish
            if as_json and has_floats(each.schema):
                finish = _then(finish, with_named_floats)
            if finish is not None:
                found.append((f"c{place}", finish))
        return found

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


def _then(first: Callable[[Any], Any] | None, second: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return second if first is None else lambda value: second(first(value))
