"""What becomes of a message that can't be delivered: a dead letter, or the end of the pipeline's way.

The owner of a pipeline is the only one who parks and frees keys, so the keys that are parked are read once, when the
cursor is acquired, and kept here: ``dlq.max_parked_keys`` bounds them.
"""

from collections.abc import Iterable
from dataclasses import replace

from pg_tide_relay.config.dlq_models import DlqConfig
from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.message import Row
from pg_tide_relay.window import Batch, DeadLetter, Outcome


def key_of_message(row: Row) -> bytes | None:
    """The ordering key of a message whose record has none, because there is no record."""
    return row[2] if row[2] is not None else row[3]


class Undelivered:
    """Decides for the messages of one delivery; writes what it decides into their batch."""

    def __init__(self, config: DlqConfig) -> None:
        """No key is parked yet."""
        self._on_error = config.on_error
        self._max_parked_keys = config.max_parked_keys
        self._max_in_a_row = config.max_in_a_row
        self._last: tuple[Batch, int] | None = None  # the dead letter before
        self._in_a_row = 0
        self.parked: set[bytes] = set()
        """Ordering keys whose messages wait."""

    def load(self, parked: Iterable[bytes]) -> None:
        """Begin with the keys that the database says are parked."""
        self.parked.clear()
        self.parked.update(parked)
        self._last, self._in_a_row = None, 0

    def park(self, batch: Batch, place: int, key: bytes) -> None:
        """A message of a parked key: it waits."""
        batch.letters[place] = DeadLetter(batch.id_at(place), key, True, None)
        batch.outcomes[place] = Outcome.PARKED

    def bury(self, batch: Batch, place: int, trouble: Trouble, key: bytes | None) -> Trouble | None:
        """A message that can't be delivered. Returns why the pipeline has to stop instead, if it has to."""
        if self._on_error == "stop":
            return trouble
        parks = self._on_error == "park_key" and key is not None
        if parks and key not in self.parked and len(self.parked) >= self._max_parked_keys:
            return replace(
                trouble,
                cause=f"{trouble.cause}; {len(self.parked)} keys are parked, as many as dlq.max_parked_keys allows",
                cure="Redrive or discard dead letters (tide.dlq_redrive, tide.dlq_discard); it goes on by itself.",
            )
        if self._count(batch, place) > self._max_in_a_row:
            return replace(
                trouble,
                cause=f"{trouble.cause}; the {self._max_in_a_row} messages before it could not be delivered either,"
                " as many as dlq.max_in_a_row allows",
                cure="Correct the configuration or what publishes such messages; then tide.relay_disable and"
                " tide.relay_enable let the pipeline go on.",
            )
        batch.letters[place] = DeadLetter(batch.id_at(place), key, parks, trouble)
        batch.outcomes[place] = Outcome.DEAD_LETTERED
        if parks and key is not None:
            self.parked.add(key)
        return None

    def _count(self, batch: Batch, place: int) -> int:
        last, self._last = self._last, (batch, place)
        follows = last is not None and (
            place == last[1] + 1 if last[0] is batch else place == 0 and last[1] == len(last[0].rows) - 1
        )
        self._in_a_row = self._in_a_row + 1 if follows else 1
        return self._in_a_row
