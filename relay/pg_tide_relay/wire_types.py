"""What every wire format of the relay is given and gives back."""

from collections.abc import Callable
from typing import NamedTuple

from pg_tide_relay.message import Row
from pg_tide_wire_formats.headers import Header

Encoded = tuple[bytes | None, bytes | None, list[Header]]
"""Key, value and all headers of a record."""

Format = Callable[[Row, str, bytes | None, int, list[Header]], Encoded]
"""(row, topic, key that the route gives it, created_us, headers of every record) → key, value and all headers.

Raises MessageError, and SchemaWanted while the registry has not answered.
"""


class Origin(NamedTuple):
    """Where a pipeline's messages come from."""

    outbox: str
    database: str
