"""Made-up Avro schemas with documents that fit them, and what a reader has to see of a document."""

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from pg_tide_wire_formats.documents import Number

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_ZONES = st.sampled_from(["", "Z", "+00", "+00:00", "+05:30", "-03:00", "+00:53:28"])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """A value, as a document has it and as fastavro's writer wants it."""

    document: Any
    native: Any


@dataclass(frozen=True)
class Made:
    """A made-up schema and what fits it."""

    schema: Any
    samples: st.SearchStrategy[Sample]


def _plain(schema: Any, values: st.SearchStrategy[Any], as_document: Callable[[Any], Any]) -> Made:
    return Made(schema, values.map(lambda value: Sample(as_document(value), value)))


def _itself(value: Any) -> Any:
    return value


def _number(value: float) -> Any:
    if not math.isfinite(value):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]
    return Number(repr(value))


def _hex(value: bytes) -> str:
    return "\\x" + value.hex()


def _logical(kind: str, logical: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical, **more}


@st.composite
def _decimals(draw: st.DrawFn, name: str) -> Made:
    size = draw(st.none() | st.integers(1, 20))
    most = 40 if size is None else math.floor(math.log10(2) * (8 * size - 1))
    precision = draw(st.integers(1, most))
    scale = draw(st.integers(0, precision))
    schema = _logical("bytes" if size is None else "fixed", "decimal", precision=precision, scale=scale)
    if size is not None:
        schema |= {"name": name, "size": size}

    def sample(unscaled: int, zeros: int, as_text: bool) -> Sample:
        digits = str(abs(unscaled)).rjust(scale + 1, "0")
        text = digits[: len(digits) - scale] + (f".{digits[len(digits) - scale :]}" if scale else "")
        text = ("-" if unscaled < 0 else "") + text + ("0" * zeros if scale else "")
        value = Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale))
        return Sample(text if as_text else Number(text) if scale else unscaled, value)

    top = 10**precision - 1
    return Made(schema, st.builds(sample, st.integers(-top, top), st.integers(0, 2), st.booleans()))


def _moments(unit: str, is_local: bool) -> Made:
    def sample(moment: datetime, separator: str, zone: str) -> Sample:
        text = moment.isoformat(separator) + ("" if is_local else zone)
        seen = datetime.fromisoformat(text)
        if not is_local:
            seen = (seen if seen.tzinfo else seen.replace(tzinfo=UTC)).astimezone(UTC)
        if unit == "millis":
            seen = seen.replace(microsecond=seen.microsecond // 1000 * 1000)
        return Sample(text, seen)

    moments = st.datetimes(datetime.fromisoformat("0002-01-01"), datetime.fromisoformat("9998-12-31"))
    prefix = "local-" if is_local else ""
    return Made(
        _logical("long", f"{prefix}timestamp-{unit}"),
        st.builds(sample, moments, st.sampled_from("T "), _ZONES),
    )


def _times(unit: str) -> Made:
    def sample(value: time) -> Sample:
        cut = value.replace(microsecond=value.microsecond // 1000 * 1000) if unit == "millis" else value
        return Sample(value.isoformat(), cut)

    return Made(_logical("int" if unit == "millis" else "long", f"time-{unit}"), st.times().map(sample))


def _leaves(name: str) -> st.SearchStrategy[Made]:
    symbols = ["open", "paid", "lost"]
    return st.one_of(
        st.sampled_from(
            [
                _plain("null", st.none(), _itself),
                _plain("boolean", st.booleans(), _itself),
                _plain("int", st.integers(-(2**31), 2**31 - 1), _itself),
                _plain("long", st.integers(-(2**63), 2**63 - 1), _itself),
                _plain("float", st.floats(width=32, allow_nan=False), _number),
                _plain("double", st.floats(allow_nan=False), _number),
                _plain("double", st.integers(-(2**53), 2**53), _itself),
                _plain("bytes", st.binary(max_size=200), _hex),
                _plain("string", _TEXT, _itself),
                _plain({"type": "fixed", "name": name, "size": 3}, st.binary(min_size=3, max_size=3), _hex),
                _plain({"type": "enum", "name": name, "symbols": symbols}, st.sampled_from(symbols), _itself),
                _plain(_logical("int", "date"), st.dates(), date.isoformat),
                _plain(_logical("string", "uuid"), st.uuids(), str),
                _plain(_logical("string", "unheard-of"), _TEXT, _itself),
                _times("millis"),
                _times("micros"),
                *(_moments(unit, is_local) for unit in ("millis", "micros") for is_local in (False, True)),
            ]
        ),
        _decimals(name),
    )


@st.composite
def made_types(draw: st.DrawFn, depth: int = 3, name: str = "T") -> Made:
    """A schema of at most so many levels. Named types are named after their place, so no name is used twice."""
    kind = draw(
        st.sampled_from(["leaf", "array", "map", "record", "optional", "union"]) if depth else st.just("leaf")
    )
    if kind == "leaf":
        return draw(_leaves(name))
    if kind == "record":
        return draw(_records(depth, name))
    if kind == "union":
        return draw(_unions(depth, name))
    inner = draw(made_types(depth - 1, f"{name}i"))
    if kind == "array":
        return Made(
            {"type": "array", "items": inner.schema}, st.lists(inner.samples, max_size=4).map(_listed)
        )
    if kind == "map" or isinstance(inner.schema, list) or inner.schema == "null":
        maps = st.dictionaries(_TEXT, inner.samples, max_size=4)
        return Made({"type": "map", "values": inner.schema}, maps.map(_mapped))
    branches = draw(st.permutations(["null", inner.schema]))
    return Made(branches, st.just(Sample(None, None)) | inner.samples)


def _listed(samples: list[Sample]) -> Sample:
    return Sample([each.document for each in samples], [each.native for each in samples])


def _mapped(samples: Mapping[str, Sample]) -> Sample:
    return Sample(
        {key: each.document for key, each in samples.items()},
        {key: each.native for key, each in samples.items()},
    )


@st.composite
def _records(draw: st.DrawFn, depth: int, name: str) -> Made:
    count = draw(st.integers(0, 4))
    parts = {f"f{n}": draw(made_types(depth - 1, f"{name}{n}_")) for n in range(count)}
    fields = [{"name": key, "type": part.schema} for key, part in parts.items()]
    schema = {"type": "record", "name": name, "fields": fields}
    if draw(st.booleans()):
        schema["namespace"] = f"ns.{name}"
    if parts and draw(st.booleans()):  # a second use of the whole of a named type
        first = parts["f0"]
        full = (
            first.schema.get("name") and _full(first.schema, schema)
            if isinstance(first.schema, dict)
            else None
        )
        if full:
            fields.append({"name": "again", "type": full})
            parts["again"] = first
    # In an order that is not the schema's.
    ordered = draw(st.permutations(list(parts)))
    return Made(schema, st.fixed_dictionaries({key: parts[key].samples for key in ordered}).map(_mapped))


def _full(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> str:
    namespace = inner.get("namespace") or outer.get("namespace")
    return f"{namespace}.{inner['name']}" if namespace else str(inner["name"])


@st.composite
def _unions(draw: st.DrawFn, depth: int, name: str) -> Made:
    """Of types that no value could be confused in, also not by fastavro, which takes an integer for a double."""
    numbers = {
        "long": _plain("long", st.integers(-(2**63), 2**63 - 1), _itself),
        "double": _plain("double", st.floats(allow_nan=False, allow_infinity=False), _number),
    }
    choices = [
        _plain("null", st.none(), _itself),
        _plain("boolean", st.booleans(), _itself),
        numbers[draw(st.sampled_from(sorted(numbers)))],
        _plain("string", _TEXT, _itself),
        draw(made_types(depth - 1, f"{name}a").map(_array_of)),
        draw(made_types(depth - 1, f"{name}m").map(_map_of)),
    ]
    branches = draw(st.permutations(choices))[: draw(st.integers(3, len(choices)))]
    return Made([each.schema for each in branches], st.one_of(*(each.samples for each in branches)))


def _array_of(inner: Made) -> Made:
    return Made({"type": "array", "items": inner.schema}, st.lists(inner.samples, max_size=3).map(_listed))


def _map_of(inner: Made) -> Made:
    maps = st.dictionaries(_TEXT, inner.samples, max_size=3).map(_mapped)
    return Made({"type": "map", "values": inner.schema}, maps)


def is_seen(document: Any, read: Any) -> bool:
    """Whether a reader's value shows the whole of a document: every member, every element, every digit.

    Knows no schema: what the reader made of it says which type it was. Coarser is only what the type declares to be.
    """
    if isinstance(document, dict):
        return (
            isinstance(read, dict)
            and document.keys() <= read.keys()
            and all(is_seen(each, read[key]) for key, each in document.items())
        )
    if isinstance(document, list):
        return isinstance(read, list) and len(document) == len(read) and all(map(is_seen, document, read))
    if document is None or isinstance(document, bool):
        return read is document
    if isinstance(document, str):
        return _is_text_seen(document, read)
    return _is_number_seen(document, read)


def _is_number_seen(document: int | float, read: Any) -> bool:
    if isinstance(read, bool):
        return False
    if isinstance(read, Decimal):
        return read == Decimal(document.text if isinstance(document, Number) else document)
    if isinstance(read, int):
        return isinstance(document, int) and read == document
    if isinstance(read, float):
        is_shown = not isinstance(document, int) or _is_shown(document, read)
        return is_shown and _is_nearest(float(document), read)
    if isinstance(read, datetime):
        return document in _counts(read)
    if isinstance(read, date):
        return document == read.toordinal() - _EPOCH.toordinal()
    return isinstance(read, time) and document in _counts(datetime.combine(_EPOCH, read))


def _counts(moment: datetime) -> tuple[int, int]:
    """A moment in both units that there are."""
    span = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return span // timedelta(microseconds=1), span // timedelta(milliseconds=1)


def _is_shown(document: int, read: float) -> bool:
    """Whether an integer is this number, or its digits with zeros behind, as jsonb shows it."""
    shown = (repr(read), *(f"{read:.{digits}e}" for digits in range(9)))
    return read == document or document in map(Decimal, shown)


def _is_nearest(number: float, read: float) -> bool:
    try:
        return read in (number, struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return read == number


def _is_text_seen(document: str, read: Any) -> bool:
    if isinstance(read, str):
        return read == document
    if isinstance(read, bytes):
        return document.lower() in (_hex(read), str(UUID(bytes=read)) if len(read) == 16 else "")
    if isinstance(read, Decimal):
        return read == Decimal(document)
    if isinstance(read, UUID):
        return str(read) == document.lower()
    if isinstance(read, float):
        return _number(read) == document
    return _is_time_seen(document, read)


def _is_time_seen(document: str, read: Any) -> bool:
    if isinstance(read, datetime):
        return read.replace(tzinfo=UTC) in _cuts(document)
    if isinstance(read, date):
        return read.isoformat() == document
    if isinstance(read, time):
        return datetime.combine(_EPOCH, read, UTC) in _cuts(f"1970-01-01T{document}")
    # Not every reader knows every logical type: then it shows the count.
    return isinstance(read, int) and any(read in _counts(meant) for meant in _cuts(document))


def _cuts(document: str) -> tuple[datetime, datetime]:
    """What a text means, with microseconds and without."""
    meant = datetime.fromisoformat(document)
    meant = meant.astimezone(UTC) if meant.tzinfo else meant.replace(tzinfo=UTC)
    return meant, meant - timedelta(microseconds=meant.microsecond % 1000)
