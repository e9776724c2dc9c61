"""Texts that stand for dates, times and decimals, as the integers that Avro's logical types count in.

Read are ISO 8601 and what PostgreSQL's ``to_jsonb`` writes. Everything here raises ValueError (of any kind) for a
text that is not what it should be; ``infinity`` and years outside of 1 to 9999 are none.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # without zone is what it means
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


def instant_us(text: str) -> int:
    """Microseconds since 1970 of a point in time. Without zone it is read as UTC, as Debezium does.

    What is finer than a microsecond is cut off.
    """
    moment = datetime.fromisoformat(_date_and_time(text))
    return _microseconds(moment - (_EPOCH if moment.tzinfo else _LOCAL_EPOCH))


def local_us(text: str) -> int:
    """Microseconds since 1970 of a date and time of day that stand in no zone."""
    moment = datetime.fromisoformat(_date_and_time(text))
    if moment.tzinfo:
        raise ValueError("it has a zone")
    return _microseconds(moment - _LOCAL_EPOCH)


def _date_and_time(text: str) -> str:
    if text[10:11] not in ("T", " "):
        raise ValueError("no date with a time")
    return text


def _microseconds(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def day(text: str) -> int:
    """Days since 1970-01-01."""
    if len(text) != 10:
        raise ValueError("no date")
    return date.fromisoformat(text).toordinal() - _EPOCH_DAY


def time_us(text: str) -> int:
    """Microseconds since midnight of a time of day without zone."""
    moment = time.fromisoformat(text)
    if moment.tzinfo or text[2:3] != ":":
        raise ValueError("no time of day")
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return seconds * 1_000_000 + moment.microsecond


def unscaled(text: str, precision: int, scale: int) -> int:
    """The digits of a decimal with ``scale`` of them behind the point; nothing is ever rounded.

    It may still have more than ``precision`` digits, but not so many that it takes long.
    """
    whole, _, fraction = text.partition(".")
    if len(fraction) <= scale and len(whole) <= precision + 1:
        try:
            return int(whole + fraction.ljust(scale, "0"))
        except ValueError:
            pass  # an exponent
    return _unscaled_slowly(text, precision, scale)


def _unscaled_slowly(text: str, precision: int, scale: int) -> int:
    try:
        sign, figures, exponent = Decimal(text).as_tuple()
    except InvalidOperation as error:
        raise ValueError("no decimal") from error
    if not isinstance(exponent, int):
        raise ValueError("no decimal")
    digits = "".join(map(str, figures)).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return 0
    shift = exponent + len(digits) - len(significant) + scale
    if shift < 0 or len(significant) + shift > precision:
        raise ValueError("too many digits")
    value: int = int(significant) * 10**shift
    return -value if sign else value


def is_decimal(text: str) -> bool:
    """Whether a text is a number as JSON writes numbers."""
    return _DECIMAL.fullmatch(text) is not None
