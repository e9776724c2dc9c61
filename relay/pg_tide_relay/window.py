"""The batches of one pipeline that are on their way, and what became of each message.

Outcomes are kept per message. What may be settled is the longest prefix of messages with an outcome: never
past one without, and never a mere count of acknowledgements.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.message import Row, bytes_of


class Outcome(IntEnum):
    """What became of a message; one byte in ``Batch.outcomes``."""

    UNSETTLED = 0
    DELIVERED = 1
    FILTERED = 2
    DEAD_LETTERED = 3
    PARKED = 4
    """Not tried: it waits behind a dead letter of its key."""
    DELIVERED_BEFORE = 5
    """A predecessor's committed transaction has it: it is never handed over again."""


class DeadLetter(NamedTuple):
    """A message that is not delivered: it can't be, or it waits behind one of its key that can't."""

    message_id: int
    key: bytes | None  # its ordering key
    parks: bool  # whether later messages of its key wait for it
    trouble: Trouble | None  # None: parked, and never tried


@dataclass(kw_only=True, slots=True, eq=False)
class Batch:
    """Messages fetched together, in id order, and what became of each.

    May be empty: then it only carries a position, which is settled when everything before it is.
    """

    rows: Sequence[Row] = field(repr=False)  # payloads belong in no log
    position: object  # the caller's own: where its cursor stands
    outcomes: bytearray = field(init=False)  # an Outcome per message
    size_bytes: int = field(init=False)  # of the texts; bounds what a pipeline keeps in memory
    next: int = field(init=False, default=0)  # place of the next message to hand over
    told: int = field(init=False, default=0)  # messages that take_settled has told of
    suspects: set[int] = field(init=False, default_factory=set)  # places of messages to be sent alone
    letters: dict[int, DeadLetter] = field(init=False, default_factory=dict, repr=False)  # by place

    def __post_init__(self) -> None:
        self.outcomes = bytearray(len(self.rows))
        self.size_bytes = bytes_of(self.rows)

    @property
    def is_handed_over(self) -> bool:
        """Whether nothing of this batch is left to hand over."""
        return self.next >= len(self.outcomes)

    @property
    def is_settled(self) -> bool:
        """Whether every message has an outcome."""
        return Outcome.UNSETTLED not in self.outcomes

    def id_at(self, place: int) -> int:
        """The id of a message."""
        return self.rows[place][0]

    def next_suspect(self) -> int:
        """Place of the first suspect not yet passed, or the length of the batch."""
        ahead = (place for place in self.suspects if place >= self.next)
        return min(ahead, default=len(self.outcomes))

    def restart(self, *, repeat_delivered: bool) -> None:
        """Go back to the first message without an outcome.

        ``repeat_delivered``: what was delivered behind it is sent again as well. Without a guard in the
        producer it may already stand before it on the topic, so a copy has to follow.
        """
        first_open = self.outcomes.find(Outcome.UNSETTLED)
        self.next = len(self.outcomes) if first_open < 0 else first_open
        if repeat_delivered:
            for place in range(self.next, len(self.outcomes)):
                if self.outcomes[place] == Outcome.DELIVERED:
                    self.outcomes[place] = Outcome.UNSETTLED

    def take_back(self) -> None:
        """Nothing behind what ``take_settled`` has told of was delivered after all; other outcomes stay."""
        for place in range(self.told, len(self.outcomes)):
            if self.outcomes[place] == Outcome.DELIVERED:
                self.outcomes[place] = Outcome.UNSETTLED
        self.restart(repeat_delivered=False)


class Settled(NamedTuple):
    """How far a batch is settled."""

    batch: Batch
    up_to_id: int | None  # the last message of its longest settled prefix; None: all of it, it has left
    letters: Sequence[
        DeadLetter
    ] = ()  # the dead letters among those messages that were not told of yet, in id order


class Window:
    """The batches in flight, oldest first."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self.size_bytes = 0
        """Of the messages kept here."""

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def is_settled(self) -> bool:
        """Whether every message has an outcome."""
        return all(batch.is_settled for batch in self._batches)

    def append(self, batch: Batch) -> None:
        """Take in the next batch; its ids are above all before it."""
        self._batches.append(batch)
        self.size_bytes += batch.size_bytes

    def to_hand_over(self) -> Iterator[Batch]:
        """Batches with something left to hand over, oldest first."""
        return (batch for batch in self._batches if not batch.is_handed_over)

    def is_first_open(self, batch: Batch) -> bool:
        """Whether everything before this batch is settled."""
        return next((other for other in self._batches if not other.is_settled), batch) is batch

    def restart(self, *, repeat_delivered: bool) -> None:
        """Everything without an outcome is handed over again, in id order."""
        for batch in self._batches:
            batch.restart(repeat_delivered=repeat_delivered)

    def take_back(self) -> None:
        """What was delivered, and not told of, is handed over again."""
        for batch in self._batches:
            batch.take_back()

    def newest_passed(self) -> tuple[Batch, int] | None:
        """The last message that was handed over or passed over, with its batch; None: none was."""
        found = None
        for batch in self._batches:
            if batch.next:
                found = batch, batch.id_at(batch.next - 1)
            if not batch.is_handed_over:
                break
        return found

    def take_letters(self) -> list[DeadLetter]:
        """Dead letters among the messages passed over, told of by this."""
        return [letter for batch in self._batches for letter in _letters_before(batch, batch.next)]

    @property
    def last(self) -> Batch | None:
        """The newest batch."""
        return self._batches[-1] if self._batches else None

    def take_settled(self) -> list[Settled]:
        """Complete batches, removed, and how far the oldest unfinished one has come since the last call."""
        taken = []
        while self._batches:
            batch = self._batches[0]
            first_open = batch.outcomes.find(Outcome.UNSETTLED, batch.told)
            if first_open < 0:
                self._batches.popleft()
                self.size_bytes -= batch.size_bytes
                taken.append(Settled(batch, None, _letters_before(batch, len(batch.outcomes))))
                continue
            if first_open > batch.told:
                batch.told = first_open
                taken.append(Settled(batch, batch.id_at(first_open - 1), _letters_before(batch, first_open)))
            break
        return taken

    def letters(self) -> Iterator[DeadLetter]:
        """Dead letters that ``take_settled`` has not told of."""
        return (letter for batch in self._batches for letter in batch.letters.values())

    def clear(self) -> None:
        """Forget all batches; what is reported about them later falls on nobody."""
        self._batches.clear()
        self.size_bytes = 0


def _letters_before(batch: Batch, place: int) -> Sequence[DeadLetter]:
    if not batch.letters:
        return ()
    return [batch.letters.pop(each) for each in sorted(batch.letters) if each < place]
