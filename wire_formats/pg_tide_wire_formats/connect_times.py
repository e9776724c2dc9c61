"""Dates and times as PostgreSQL writes them into JSON, and as Debezium's time.precision.mode has them.

Years are counted as PostgreSQL and Java do, on the Gregorian calendar for all times; "BC" is understood.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from pg_tide_wire_formats.connect import Schema, node

TimeMode = Literal[
    "adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"
]

Convert = Callable[[str], int | str]
"""From PostgreSQL's text to the value; ValueError when it is none."""

# What Debezium has for PostgreSQL's infinity: in milliseconds PGStatement.DATE_POSITIVE_INFINITY, in finer units
# what that becomes in 64 bits.
INFINITE_MS: Final = {"infinity": 9223372036825200000, "-infinity": -9223372036832400000}
INFINITE: Final = {"infinity": 2**63 - 1, "-infinity": -(2**63)}

_DAY_US: Final = 86_400_000_000
_DATE: Final = r"(\d{4,7})-(\d\d)-(\d\d)"
_CLOCK: Final = r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?"
_ZONE: Final = r"(Z|[+-]\d\d(?::?\d\d(?::\d\d)?)?)"
_DATE_RE: Final = re.compile(rf"{_DATE}( BC)?")
_TIMESTAMP_RE: Final = re.compile(rf"{_DATE}[T ]{_CLOCK}{_ZONE}?( BC)?")
_TIME_RE: Final = re.compile(rf"{_CLOCK}{_ZONE}?")
_INTERVAL_RE: Final = re.compile(
    r"(?:([+-]?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?"
    r"(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?"
)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 (as PostgreSQL's timestamp, without a zone)
_MICROSECOND: Final = timedelta(microseconds=1)


def date_type(mode: TimeMode) -> tuple[Schema, Convert]:
    """The schema of a date, and what makes its value: days since 1970."""
    if mode == "isostring":
        return node(
            "string", name="io.debezium.time.IsoDate", version=1
        ), lambda text: _iso_date(_days(text)) + "Z"
    name = "org.apache.kafka.connect.data.Date" if mode == "connect" else "io.debezium.time.Date"
    return node("int32", name=name, version=1), _days


def time_type(mode: TimeMode, precision: int) -> tuple[Schema, Convert]:
    """The schema of a time of day, and what makes its value."""
    if mode == "isostring":
        return node(
            "string", name="io.debezium.time.IsoTime", version=1
        ), lambda text: _iso_time(_time_us(text)) + "Z"
    if mode == "connect":
        return node(
            "int32", name="org.apache.kafka.connect.data.Time", version=1
        ), lambda text: _time_us(text) // 1000
    if mode == "nanoseconds":
        return node("int64", name="io.debezium.time.NanoTime", version=1), lambda text: _time_us(text) * 1000
    if mode == "adaptive" and precision <= 3:
        return node("int32", name="io.debezium.time.Time", version=1), lambda text: _exact_ms(_time_us(text))
    return node("int64", name="io.debezium.time.MicroTime", version=1), _time_us


def timestamp_type(mode: TimeMode, precision: int) -> tuple[Schema, Convert]:
    """The schema of a timestamp without zone, read as UTC, and what makes its value."""
    if mode == "isostring":
        return node("string", name="io.debezium.time.IsoTimestamp", version=1), _iso_timestamp
    if mode == "connect":
        return node("int64", name="org.apache.kafka.connect.data.Timestamp", version=1), _or_infinity(
            lambda text: _timestamp_us(text) // 1000, INFINITE_MS
        )
    if mode == "nanoseconds":
        return node("int64", name="io.debezium.time.NanoTimestamp", version=1), _or_infinity(
            lambda text: _in_64_bits(_timestamp_us(text) * 1000, "nanoseconds"), INFINITE
        )
    if mode.startswith("adaptive") and precision <= 3:
        return node("int64", name="io.debezium.time.Timestamp", version=1), _or_infinity(
            lambda text: _exact_ms(_timestamp_us(text)), INFINITE_MS
        )
    return node("int64", name="io.debezium.time.MicroTimestamp", version=1), _or_infinity(
        lambda text: _in_64_bits(_timestamp_us(text), "microseconds"), INFINITE
    )


def timestamptz_type(precision: int) -> tuple[Schema, Convert]:
    """The schema of a timestamp with zone, and what makes its value: ISO 8601 in UTC, in every mode.

    The fraction has as many digits as the type, also where they are zeros (ZonedTimestamp.getDateTimeFormatter).
    """
    schema = node("string", name="io.debezium.time.ZonedTimestamp", version=1)
    return schema, lambda text: _zoned_timestamp(text, precision)


def timetz_type() -> tuple[Schema, Convert]:
    """The schema of a time of day with zone, and what makes its value: ISO 8601 in UTC, in every mode."""
    return node("string", name="io.debezium.time.ZonedTime", version=1), _zoned_time


def interval_type() -> tuple[Schema, Convert]:
    """The schema of an interval, and what makes its value: microseconds, a month being 365.25 / 12 days."""
    return node("int64", name="io.debezium.time.MicroDuration", version=1), _interval_us


def _or_infinity(convert: Convert, infinite: Mapping[str, int]) -> Convert:
    return lambda text: infinite[text] if text in infinite else convert(text)


def _exact_ms(micros: int) -> int:
    millis, rest = divmod(micros, 1000)
    if rest:
        raise ValueError("it is finer than milliseconds")
    return millis


def _in_64_bits(number: int, unit: str) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"it is outside 64 bits of {unit}")
    return number


def _fraction_us(digits: str | None) -> int:
    return int(digits.ljust(6, "0")) if digits else 0


def _days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970 of a date of the Gregorian calendar, year 0 being 1 BC."""
    if not 1 <= month <= 12 or not 1 <= day <= _month_days(year, month):
        raise ValueError("there is no such day")
    # Years that begin in March have their leap day at the end.
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _month_days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _civil_from_days(days: int) -> tuple[int, int, int]:
    era, of_era = divmod(days + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * of_year + 2) // 153
    day = of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def _days(text: str) -> int:
    found = _DATE_RE.fullmatch(text)
    if found is None:
        raise ValueError("it is no date" if text not in INFINITE else "an infinite date has no number")
    year, month, day, is_bc = found.groups()
    return _days_from_civil(1 - int(year) if is_bc else int(year), int(month), int(day))


def _clock_us(hour: str, minute: str, second: str, fraction: str | None) -> int:
    micros = (int(hour) * 3600 + int(minute) * 60 + int(second)) * 1_000_000 + _fraction_us(fraction)
    # PostgreSQL knows 24:00:00, and a leap second's :60 only on input.
    if int(minute) > 59 or int(second) > 59 or micros > _DAY_US:
        raise ValueError("there is no such time")
    return micros


def _zone_us(zone: str) -> int:
    if zone == "Z":
        return 0
    parts = zone[1:].replace(":", "")
    hours, minutes, seconds = int(parts[:2]), int(parts[2:4] or 0), int(parts[4:] or 0)
    micros = (hours * 3600 + minutes * 60 + seconds) * 1_000_000
    return -micros if zone[0] == "-" else micros


def _time_us(text: str) -> int:
    found = _TIME_RE.fullmatch(text)
    if found is None or found[5]:
        raise ValueError("it is no time of day" if found is None else "it has a zone")
    return _clock_us(*found.groups()[:4])


def _timestamp_us(text: str) -> int:
    micros, zone_us = _parsed(text)
    if zone_us is not None:
        raise ValueError("it has a zone")
    return micros


def _parsed(text: str) -> tuple[int, int | None]:
    """Microseconds since 1970 by the clock that the text shows, and that clock's distance from UTC."""
    # The usual lengths, without a zone; the standard library takes a tenth of the time.
    if len(text) in (19, 26) and text[10:11] == "T" and "+" not in text and text[:1] != "0":
        try:
            return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND, None
        except (ValueError, TypeError):
            pass
    found = _TIMESTAMP_RE.fullmatch(text)
    if found is None:
        raise ValueError("it is no timestamp" if text not in INFINITE else "an infinite one has no number")
    year, month, day, hour, minute, second, fraction, zone, is_bc = found.groups()
    days = _days_from_civil(1 - int(year) if is_bc else int(year), int(month), int(day))
    micros = days * _DAY_US + _clock_us(hour, minute, second, fraction)
    return micros, None if zone is None else _zone_us(zone)


def _zoned_timestamp(text: str, digits: int) -> str:
    if text in INFINITE:
        return text
    if len(text) in (25, 32) and text[10] == "T" and text[0] != "0":
        # The usual lengths; the standard library takes a fifth of the time.
        try:
            at = datetime.fromisoformat(text)
            is_utc = text.endswith("+00:00")
            usual = text[:-6] if is_utc else at.astimezone(UTC).replace(tzinfo=None).isoformat()
        except (ValueError, OverflowError):
            pass
        else:
            return usual[:19] + _fraction(usual[20:], digits) + "Z"
    micros, zone_us = _parsed(text)
    if zone_us is None:
        raise ValueError("it has no zone")
    return _iso(micros - zone_us, digits) + "Z"


def _zoned_time(text: str) -> str:
    found = _TIME_RE.fullmatch(text)
    if found is None or found[5] is None:
        raise ValueError("it is no time of day" if found is None else "it has no zone")
    micros = _clock_us(*found.groups()[:4]) - _zone_us(found[5])
    # The end of the day by the clock of UTC stays that (PostgresTimeBoundary).
    return _iso_time(micros if micros == _DAY_US and text.startswith("24") else micros % _DAY_US) + "Z"


def _iso_timestamp(text: str) -> str:
    return _iso(_timestamp_us(text)) + "Z"


def _iso(micros: int, digits: int = 0) -> str:
    days, of_day = divmod(micros, _DAY_US)
    return f"{_iso_date(days)}T{_iso_time(of_day, digits)}"


def _iso_date(days: int) -> str:
    # Java's ISO_LOCAL_DATE: four digits, a sign before the year where they don't suffice or it is before 1.
    year, month, day = _civil_from_days(days)
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04}-{month:02}-{day:02}"


def _iso_time(of_day: int, digits: int = 0) -> str:
    seconds, micros = divmod(of_day, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return clock + _fraction(f"{micros:06}", digits)


def _fraction(micros: str, digits: int) -> str:
    # Java's ISO_LOCAL_TIME has no zeros at its end, other formats a number of digits.
    fraction = micros.rstrip("0").ljust(digits, "0")
    return f".{fraction}" if fraction else ""


def _interval_us(text: str) -> int:
    found = _INTERVAL_RE.fullmatch(text)
    if found is None or not text:
        raise ValueError("it is no interval in PostgreSQL's own style (intervalstyle postgres)")
    years, months, days, sign, hours, minutes, seconds, fraction = found.groups()
    all_days = (int(years or 0) * 12 + int(months or 0)) * 30.4375 + int(days or 0)
    clock = 0
    if hours is not None:
        clock = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 1_000_000 + _fraction_us(fraction)
    micros = int(all_days * _DAY_US) + (-clock if sign == "-" else clock)
    return _in_64_bits(micros, "microseconds")
