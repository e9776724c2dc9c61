"""Times as texts."""

from datetime import UTC, datetime
from typing import Final

_SECONDS_REMEMBERED: Final = 100
_SECONDS: Final[dict[int, bytes]] = {}


def rfc3339(created_us: int) -> bytes:
    """Microseconds since 1970 as a time in UTC, with microseconds."""
    seconds, micros = divmod(created_us, 1_000_000)
    return b"%b.%06dZ" % (_second(seconds), micros)


def _second(seconds: int) -> bytes:
    # Messages of one page were published within few seconds: formatting costs ten times the look.
    known = _SECONDS.get(seconds)
    if known is None:
        if len(_SECONDS) >= _SECONDS_REMEMBERED:
            _SECONDS.clear()
        known = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        _SECONDS[seconds] = known
    return known
