"""What bounds one pipeline's delivery, and what makes its producers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pg_tide_relay.delivery_state import Log
from pg_tide_relay.pace import Pace
from pg_tide_relay.produce import RecordProducer

ProducerFactory = Callable[[Mapping[str, Any], Log], RecordProducer]


@dataclass(frozen=True, kw_only=True)
class DeliveryLimits:
    """What one pipeline may keep in memory, how fast it may be, and how patient it is."""

    batches: int = 8  # in flight; more gain nothing, measured with a broker 20 ms away
    bytes: int = 16 * 1024 * 1024  # of rows in flight; the last batch may go beyond
    pace: Pace | None = None  # how fast it may be
    close_s: float = 5.0  # the end of a producer, connections and threads
