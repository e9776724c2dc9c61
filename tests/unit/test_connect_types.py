"""PostgreSQL's types in Kafka Connect: which schema, which value, and what doesn't fit."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_tide_wire_formats.connect_columns import ColumnTypeError, MisfitError
from pg_tide_wire_formats.connect_times import TimeMode
from pg_tide_wire_formats.connect_types import Modes, column_type, known_types
from pg_tide_wire_formats.documents import parse

DECIMAL = "org.apache.kafka.connect.data.Decimal"


def converted(type_name: str, text: str, **modes: Any) -> Any:
    """The value that a JSON text becomes."""
    return column_type(type_name, Modes(**modes)).convert(parse(text.encode()))


@pytest.mark.parametrize(
    ("type_name", "kind", "name", "text", "value"),
    [
        ("boolean", "boolean", None, "true", True),
        ("smallint", "int16", None, "-32768", -32768),
        ("int4", "int32", None, "2147483647", 2147483647),
        ("bigint", "int64", None, "-9223372036854775808", -(2**63)),
        ("bigint", "int64", None, "10.0", 10),
        ("oid", "int64", None, "4294967295", 4294967295),
        ("oid", "int64", None, '"4294967295"', 4294967295),
        ("real", "float", None, "1.5", 1.5),
        ("double precision", "double", None, "-0.0", -0.0),
        ("float8", "double", None, '"-Infinity"', float("-inf")),
        ("text", "string", None, '"Größe 🌊\\u0001"', "Größe 🌊\u0001"),
        ("character varying(20)", "string", None, '"a"', "a"),
        ("char(3)", "string", None, '"a  "', "a  "),
        ("citext", "string", None, '"A"', "A"),
        ("inet", "string", None, '"::1"', "::1"),
        ("tstzrange", "string", None, '"empty"', "empty"),
        ("xml", "string", "io.debezium.data.Xml", '"<a/>"', "<a/>"),
        (
            "uuid",
            "string",
            "io.debezium.data.Uuid",
            '"6fa459ea-ee8a-3ca4-894e-db77e160355e"',
            "6fa459ea-ee8a-3ca4-894e-db77e160355e",
        ),
        ("jsonb", "string", "io.debezium.data.Json", '{"a": [1.10, null]}', '{"a":[1.10,null]}'),
        ("json", "string", "io.debezium.data.Json", '"a"', '"a"'),
        ("bytea", "bytes", None, '"\\\\xdead00"', b"\xde\xad\x00"),
        ("bytea", "bytes", None, '"\\\\x"', b""),
        ("date", "int32", "io.debezium.time.Date", '"1969-12-31"', -1),
        ("date", "int32", "io.debezium.time.Date", '"0001-12-31 BC"', -719163),
        ("time", "int64", "io.debezium.time.MicroTime", '"24:00:00"', 86_400_000_000),
        ("time(3)", "int32", "io.debezium.time.Time", '"00:00:01.5"', 1500),
        ("timestamp", "int64", "io.debezium.time.MicroTimestamp", '"1970-01-01T00:00:00.000001"', 1),
        ("timestamp(3)", "int64", "io.debezium.time.Timestamp", '"1969-12-31T23:59:59.999"', -1),
        ("timestamp(0) without time zone", "int64", "io.debezium.time.Timestamp", '"1970-01-01 00:00:01"', 1000),
        ("timestamp", "int64", "io.debezium.time.MicroTimestamp", '"infinity"', 2**63 - 1),
        ("timestamp", "int64", "io.debezium.time.MicroTimestamp", '"-infinity"', -(2**63)),
        ("timestamp(3)", "int64", "io.debezium.time.Timestamp", '"infinity"', 9223372036825200000),
        ("timestamp(0)", "int64", "io.debezium.time.Timestamp", '"-infinity"', -9223372036832400000),
        (
            "timestamp",
            "int64",
            "io.debezium.time.MicroTimestamp",
            '"294247-01-10T04:00:54.775807"',
            2**63 - 1,
        ),
        (
            "timestamptz",
            "string",
            "io.debezium.time.ZonedTimestamp",
            '"2026-01-31T09:15:00.120000+05:30"',
            "2026-01-31T03:45:00.120000Z",
        ),
        (
            "timestamptz",
            "string",
            "io.debezium.time.ZonedTimestamp",
            '"2026-01-31 09:15:00Z"',
            "2026-01-31T09:15:00.000000Z",
        ),
        (
            "timestamp(0) with time zone",
            "string",
            "io.debezium.time.ZonedTimestamp",
            '"2026-01-31T09:15:00+00:00"',
            "2026-01-31T09:15:00Z",
        ),
        (
            "timestamp(1) with time zone",
            "string",
            "io.debezium.time.ZonedTimestamp",
            '"2026-01-31T09:15:00.25+01:00"',
            "2026-01-31T08:15:00.25Z",
        ),
        ("timestamptz", "string", "io.debezium.time.ZonedTimestamp", '"infinity"', "infinity"),
        (
            "timestamp(3) with time zone",
            "string",
            "io.debezium.time.ZonedTimestamp",
            '"0044-03-15T12:00:00+00:00 BC"',
            "-0043-03-15T12:00:00.000Z",
        ),
        ("timetz", "string", "io.debezium.time.ZonedTime", '"00:15:00.5+01"', "23:15:00.5Z"),
        ("timetz", "string", "io.debezium.time.ZonedTime", '"24:00:00+00"', "24:00:00Z"),
        ("timetz", "string", "io.debezium.time.ZonedTime", '"24:00:00+01"', "23:00:00Z"),
        ("timetz", "string", "io.debezium.time.ZonedTime", '"23:00:00-01"', "00:00:00Z"),
        (
            "interval",
            "int64",
            "io.debezium.time.MicroDuration",
            '"1 year 2 mons -3 days -04:05:06.7"',
            int(((14 * 30.4375 - 3) * 86_400 - (4 * 3600 + 5 * 60 + 6.7)) * 1_000_000),
        ),
        ("interval", "int64", "io.debezium.time.MicroDuration", '"00:00:00"', 0),
        ("interval(3)", "int64", "io.debezium.time.MicroDuration", '"00:00:00.001"', 1000),
        ("interval day to second(3)", "int64", "io.debezium.time.MicroDuration", '"1 day"', 86_400_000_000),
        ("interval year to month", "int64", "io.debezium.time.MicroDuration", '"1 mon"', 2_629_800_000_000),
        ("numeric(10,2)", "bytes", DECIMAL, "1.10", b"n"),
        ("numeric(10, 2)", "bytes", DECIMAL, "-0.01", b"\xff"),
        ("decimal(5)", "bytes", DECIMAL, "128", b"\x00\x80"),
        ("numeric(10,2)", "bytes", DECIMAL, '"1.1"', b"n"),
    ],
)  # fmt: skip
def test_a_type_has_debeziums_schema_and_value(
    type_name: str, kind: str, name: str | None, text: str, value: Any
) -> None:
    schema, convert, *_ = column_type(type_name, Modes())
    assert (schema["type"], schema.get("name"), schema["optional"]) == (kind, name, True)
    assert ("version" in schema) == (name is not None)
    found = convert(parse(text.encode()))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("type_name", "text", "message"),
    [
        ("boolean", "1", "expected a boolean, not the number 1"),
        ("smallint", "32768", "expected a smallint, not the number 32768"),
        ("integer", "true", "expected an integer, not the boolean true"),
        ("bigint", '"1"', 'expected a bigint, not the string "1"'),
        ("bigint", "1.5", "expected a bigint, not the number 1.5"),
        ("oid", '"4294967296"', 'expected an oid, not the string "4294967296"'),
        ("oid", '"1 "', 'expected an oid, not the string "1 "'),
        ("oid", "-1", "expected an oid, not the number -1"),
        ("real", "1e39", "expected a real, not the number 1e39"),
        ("double precision", "1e400", "expected a double precision, not the number 1e400"),
        ("text", "{}", "expected a text, not an object"),
        ("uuid", '"6fa459ea"', 'expected a uuid, not the string "6fa459ea"'),
        ("bytea", '"\\\\xabc"', 'expected a bytea in hexadecimal (\\x...), not the string "\\\\xabc"'),
        ("date", '"2026-02-29"', 'expected a date, not the string "2026-02-29": there is no such day'),
        ("date", '"infinity"', 'expected a date, not the string "infinity": an infinite date has no number'),
        ("date", "1", "expected a text with a date, not the number 1"),
        ("time", '"25:00:00"', 'not the string "25:00:00": there is no such time'),
        ("time", '"10:00:00+01"', "it has a zone"),
        ("timetz", '"10:00:00"', "it has no zone"),
        ("timestamp", '"2026-01-31T09:15:00Z"', "it has a zone"),
        ("timestamp", '"yesterday"', "it is no timestamp"),
        ("timestamp(3)", '"2026-01-31T09:15:00.0001"', "it is finer than milliseconds"),
        ("timestamp", '"294247-01-10T04:00:54.775808"', "it is outside 64 bits of microseconds"),
        ("interval", '"178000000 years"', "it is outside 64 bits of microseconds"),
        ("timestamptz", '"2026-01-31T09:15:00"', "it has no zone"),
        ("interval", '"P1D"', "it is no interval in PostgreSQL's own style (intervalstyle postgres)"),
        ("interval", '"99999999999 years"', "it is outside 64 bits of microseconds"),
        ("numeric", '"1e131072"', 'expected a numeric, not the string "1e131072"'),
        ("numeric", '"1e-16384"', 'expected a numeric, not the string "1e-16384"'),
        ("numeric", '"1e1000000000"', 'expected a numeric, not the string "1e1000000000"'),
        ("numeric(4,2)", '"1e1000000000"', 'expected a numeric(4,2), not the string "1e1000000000"'),
        ("numeric(4,2)", "100", "expected a numeric(4,2), not the number 100"),
        ("numeric(4,2)", "1.001", "expected a numeric(4,2), not the number 1.001"),
        ("numeric(4,2)", '"NaN"', '"NaN" (decimal_handling_mode double and string can express it)'),
        ("numeric", '"1,5"', 'expected a numeric, not the string "1,5"'),
        ("text[]", '"{a}"', 'expected an array of one dimension, not the string "{a}"'),
        ("text[]", '["a", 1]', "expected a text, not the number 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(type_name: str, text: str, message: str) -> None:
    with pytest.raises(MisfitError) as caught:
        converted(type_name, text)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    "type_name",
    ["", "money", "text[][]", "numeric(0)", "numeric(1,2,3)", "timestamp(7)", "integer(4)", "orders", "int; drop",
     "numeric(3,-2)", "interval fortnight"],
)  # fmt: skip
def test_what_is_no_type_is_refused(type_name: str) -> None:
    with pytest.raises(ColumnTypeError, match="is no type that a row schema knows"):
        column_type(type_name, Modes())


@pytest.mark.parametrize("type_name", sorted(known_types()))
def test_a_known_type_is_one_alone_and_in_an_array(type_name: str) -> None:
    assert column_type(type_name, Modes()).schema != column_type(f"{type_name}[]", Modes()).schema


def test_an_array_has_optional_elements() -> None:
    schema, convert, *_ = column_type("numeric(4,2)[]", Modes())
    assert schema["type"] == "array"
    assert schema["items"]["name"] == DECIMAL
    assert schema["items"]["optional"] is True
    assert convert(parse(b"[1.5, null]")) == [b"\x00\x96", None]


def test_decimals_are_bytes_doubles_or_texts() -> None:
    """As decimal.handling.mode says; only the last two have NaN."""
    assert converted("numeric", "1.10") == {"scale": 1, "value": b"\x0b"}  # zeros at the end are no digits
    assert converted("numeric", "0.000") == {"scale": 0, "value": b"\x00"}
    assert converted("numeric", "1E+2") == {"scale": 0, "value": b"d"}
    assert converted("numeric(10,2)", "1.10", decimals="double") == 1.1
    assert converted("numeric(10,2)", "1.10", decimals="string") == "1.10"
    assert converted("numeric", "1e-7", decimals="string") == "0.0000001"
    assert converted("numeric", '"NaN"', decimals="string") == "NAN"
    assert converted("numeric(4)", '"Infinity"', decimals="string") == "POSITIVE_INFINITY"
    assert converted("numeric(4)", '"-Infinity"', decimals="string") == "NEGATIVE_INFINITY"
    assert converted("numeric", '"-Infinity"', decimals="double") == float("-inf")


def test_a_decimal_keeps_every_digit() -> None:
    """As many as PostgreSQL's numeric may have in front of the point, and behind."""
    digits = "9" * 1000
    value = converted("numeric", f"{digits}.{digits}")
    assert Decimal(int.from_bytes(value["value"], "big", signed=True)).as_tuple().digits == (9,) * 2000
    assert value["scale"] == 1000
    assert converted("numeric", '"1e131071"')["scale"] == 0
    assert converted("numeric", '"1e-16383"') == {"scale": 16_383, "value": b"\x01"}
    assert converted("numeric(4,2)", '"0e9"') == b"\x00"


@given(st.integers(-(10**38) + 1, 10**38 - 1), st.integers(0, 38))
def test_an_unscaled_number_is_the_fewest_bytes_in_twos_complement(unscaled: int, scale: int) -> None:
    """java.math.BigInteger.toByteArray."""
    digits = Decimal(unscaled).as_tuple()
    number = Decimal((digits.sign, digits.digits, -scale))
    value = converted(f"numeric(38,{scale})", format(number, "f"))
    assert int.from_bytes(value, "big", signed=True) == unscaled
    assert len(value) == 1 or value[:1] + bytes([value[1] & 128]) not in (b"\x00\x00", b"\xff\x80")


@pytest.mark.parametrize("mode", get_args(TimeMode))
def test_dates_and_times_are_what_the_mode_says(mode: TimeMode) -> None:
    """Names and units of io.debezium.jdbc.TemporalPrecisionMode."""
    expected: dict[str, tuple[list[str | None], list[Any]]] = {
        "adaptive": (["Date", "MicroTime", "MicroTimestamp", "Timestamp"], [1, 3_600_000_001, 86_400_000_001, 1000]),
        "adaptive_time_microseconds": (
            ["Date", "MicroTime", "MicroTimestamp", "Timestamp"],
            [1, 3_600_000_001, 86_400_000_001, 1000],
        ),
        "connect": ([None] * 4, [1, 3_600_000, 86_400_000, 1000]),
        "isostring": (
            ["IsoDate", "IsoTime", "IsoTimestamp", "IsoTimestamp"],
            ["1970-01-02Z", "01:00:00.000001Z", "1970-01-02T00:00:00.000001Z", "1970-01-01T00:00:01Z"],
        ),
        "microseconds": (
            ["Date", "MicroTime", "MicroTimestamp", "MicroTimestamp"],
            [1, 3_600_000_001, 86_400_000_001, 1_000_000],
        ),
        "nanoseconds": (
            ["Date", "NanoTime", "NanoTimestamp", "NanoTimestamp"],
            [1, 3_600_000_001_000, 86_400_000_001_000, 1_000_000_000],
        ),
    }  # fmt: skip
    texts = ["1970-01-02", "01:00:00.000001", "1970-01-02T00:00:00.000001", "1970-01-01T00:00:01"]
    types = [column_type(name, Modes(times=mode)) for name in ("date", "time", "timestamp", "timestamp(3)")]
    names, values = expected[mode]
    short = [each.schema["name"].removeprefix("io.debezium.time.") for each in types]
    kinds = ["Date", "Time", "Timestamp", "Timestamp"]
    assert short == [
        name or f"org.apache.kafka.connect.data.{kind}" for name, kind in zip(names, kinds, strict=True)
    ]
    assert [each.convert(text) for each, text in zip(types, texts, strict=True)] == values


@pytest.mark.parametrize(
    ("mode", "greatest", "least"),
    [
        ("adaptive", 2**63 - 1, -(2**63)),
        ("adaptive_time_microseconds", 2**63 - 1, -(2**63)),
        ("connect", 9223372036825200000, -9223372036832400000),
        ("microseconds", 2**63 - 1, -(2**63)),
        ("nanoseconds", 2**63 - 1, -(2**63)),
    ],
)
def test_an_infinite_timestamp_is_what_debezium_makes_of_it(
    mode: TimeMode, greatest: int, least: int
) -> None:
    """In milliseconds the number of its driver, in finer units the ends of 64 bits."""
    assert converted("timestamp", '"infinity"', times=mode) == greatest
    assert converted("timestamp", '"-infinity"', times=mode) == least


@pytest.mark.parametrize(
    ("mode", "text", "message"),
    [
        ("isostring", "infinity", "an infinite one has no number"),
        ("nanoseconds", "2262-04-12T00:00:00", "it is outside 64 bits of nanoseconds"),
        ("microseconds", "294276-12-31T23:59:59", "it is outside 64 bits of microseconds"),
    ],
)
def test_a_timestamp_that_the_mode_has_no_value_for_is_refused(
    mode: TimeMode, text: str, message: str
) -> None:
    """Debezium makes another time of it, or null."""
    with pytest.raises(MisfitError, match=message):
        converted("timestamp", f'"{text}"', times=mode)


def test_bytes_are_what_the_mode_says() -> None:
    text = '"\\\\xfbff"'
    assert converted("bytea", text, binary="base64") == "+/8="
    assert converted("bytea", text, binary="base64-url-safe") == "-_8="
    assert converted("bytea", text, binary="hex") == "fbff"
    assert column_type("bytea", Modes(binary="hex")).schema == {"type": "string", "optional": True}


@given(st.dates())
def test_days_are_those_of_the_calendar(day: date) -> None:
    assert converted("date", f'"{day.isoformat()}"') == day.toordinal() - date(1970, 1, 1).toordinal()


@given(st.datetimes(), st.integers(-15 * 60, 15 * 60))
def test_a_timestamp_with_a_zone_is_the_same_instant_in_utc(at: datetime, minutes: int) -> None:
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    try:
        instant = (at - timedelta(minutes=minutes)).replace(tzinfo=UTC)
    except OverflowError:
        return
    found = converted("timestamptz", f'"{at.isoformat()}{zone}"')
    assert found.endswith("Z")
    assert datetime.fromisoformat(found) == instant
    assert len(found.partition(".")[2]) == len("000000Z")


@given(st.datetimes(), st.sampled_from(["T", " "]))
def test_a_timestamp_is_read_as_utc_to_the_microsecond(at: datetime, between: str) -> None:
    micros = (at - datetime(1970, 1, 1)) // timedelta(microseconds=1)  # noqa: DTZ001
    assert converted("timestamp", f'"{at.isoformat(between)}"') == micros
