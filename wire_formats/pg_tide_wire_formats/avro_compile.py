"""From an Avro schema's types to one closure that encodes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pg_tide_wire_formats import avro_binary as binary
from pg_tide_wire_formats.avro_binary import MISSING, AvroError, Encode, Member, mismatch
from pg_tide_wire_formats.avro_documents import default_leaf, document_leaf
from pg_tide_wire_formats.avro_schema import AvroSchemaError, Field, Type


def compile_type(found: Type) -> Encode:
    """Compose what encodes a JSON document; raises AvroSchemaError for a default that does not fit its field."""
    return _Compiler(document_leaf).encode_of(found)


class _Compiler:
    """``leaf`` is what the values are like that get encoded: a document's, or the defaults of a schema."""

    def __init__(self, leaf: Callable[[Type], Encode]) -> None:
        self._leaf = leaf
        self._records: dict[str, Encode] = {}
        # The defaults of a default are defaults.
        self._defaults = self if leaf is default_leaf else _Compiler(default_leaf)

    def encode_of(self, found: Type) -> Encode:
        if found.kind == "record":
            return self._record(found)
        if found.kind == "union":
            return self._union(found.branches)
        if found.items is not None:
            element = self.encode_of(found.items)
            return binary.array(element) if found.kind == "array" else binary.map_of(element)
        return self._leaf(found)

    def _record(self, found: Type) -> Encode:
        known = self._records.get(found.name)
        if known is not None:
            return known

        def not_yet(value: Any) -> bytes:
            # The record is part of itself: by the time there are values, its closure is there.
            return self._records[found.name](value)

        self._records[found.name] = not_yet
        encode = binary.record(found.name, [self._member(found, each) for each in found.fields])
        self._records[found.name] = encode
        return encode

    def _member(self, owner: Type, each: Field) -> Member:
        return Member(each.name, self.encode_of(each.type), self._absent(owner, each))

    def _absent(self, owner: Type, each: Field) -> bytes | None:
        kinds = [branch.kind for branch in each.type.branches]
        if each.default is MISSING:
            return binary.long(kinds.index("null")) if "null" in kinds else None
        try:
            return self._default(each)
        except AvroError as error:
            at_fault = error.what if error.path == "$" else error
            raise AvroSchemaError(f"the default of {each.name} in {owner.name}: {at_fault}") from error

    def _default(self, each: Field) -> bytes:
        first: AvroError | None = None
        # It belongs to the first branch of a union; since Avro 1.12 it may belong to another.
        for place, branch in enumerate(each.type.branches):
            try:
                return binary.long(place) + self._defaults.encode_of(branch)(each.default)
            except AvroError as error:
                first = first or error
        if first is not None:
            raise first
        return self._defaults.encode_of(each.type)(each.default)

    def _union(self, branches: Sequence[Type]) -> Encode:
        kinds = [branch.kind for branch in branches]
        if len(branches) == 2 and "null" in kinds:
            place = kinds.index("null")
            return binary.optional(self.encode_of(branches[1 - place]), place)
        return _choose(branches, [self.encode_of(branch) for branch in branches])


# Which branches of a union may hold a value of a Python type, by how well they do: the lowest number is tried first,
# equal numbers in the order of the schema. 0 is the same kind of value, 1 and up are conversions.
_NUMBERS: Final = {"int": 0, "long": 0, "decimal": 1, "double": 2, "float": 3}
_TIMES: Final = ("date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros")
_TIMES_TOO: Final = ("local-timestamp-millis", "local-timestamp-micros")
_FITNESS: Final[Mapping[str, Mapping[str, int]]] = {
    "null": {"null": 0},
    "boolean": {"boolean": 0},
    "integer": {**_NUMBERS, **dict.fromkeys((*_TIMES, *_TIMES_TOO), 4)},
    "number": {"decimal": 0, "double": 1, "float": 2},
    "text": {
        "string": 0,
        "uuid": 0,
        "enum": 0,
        "double": 2,
        "float": 2,
        **dict.fromkeys((*_TIMES, *_TIMES_TOO, "decimal", "bytes", "fixed"), 1),
    },
    "object": {"record": 0, "map": 1},
    "array": {"array": 0},
}


def _kind_of(value: Any) -> str:
    for kind, types in (("boolean", bool), ("integer", int), ("number", float), ("text", str)):
        if isinstance(value, types):
            return kind
    return "null" if value is None else "object" if isinstance(value, dict) else "array"


def _choose(branches: Sequence[Type], encodes: Sequence[Encode]) -> Encode:
    """A union of several types: the branch that holds the value with the least conversion, else the first of these."""
    candidates: dict[str, list[tuple[bytes, Encode]]] = {}
    for kind, fitness in _FITNESS.items():
        rated = [
            (fitness[branch.logical or branch.kind], place)
            for place, branch in enumerate(branches)
            if (branch.logical or branch.kind) in fitness
        ]
        candidates[kind] = [(binary.long(place), encodes[place]) for _, place in sorted(rated)]
    expected = "one of " + ", ".join(branch.label for branch in branches)

    def encode(value: Any) -> bytes:
        possible = [] if value is MISSING else candidates[_kind_of(value)]
        for prefix, encode_branch in possible:
            try:
                return prefix + encode_branch(value)
            except AvroError:
                if len(possible) == 1:
                    raise
        raise mismatch(expected, value)

    return encode
