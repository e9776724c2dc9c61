"""What is expected of each message, and where its record stands: 47 bytes a message, whatever its payload.

Messages are entered in id order, then records are taken in the order of their partitions. Keys are kept as hashes of
64 bits: two keys of one hash would be taken for one, which among ten million keys happens once in 400,000 runs.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import accumulate, groupby
from typing import Final, NamedTuple

FILTERED: Final = 1
"""The pipeline's filter drops it."""
UNSETTLED: Final = 2
"""The cursor has not settled it: its record may be there or not."""
PASSED_OVER: Final = 4
"""The group began behind it, or was moved past it."""
DEAD_LETTER: Final = 8
"""It is kept as a dead letter."""
TOMBSTONE: Final = 16
"""Its record has no value, or is followed by one that has none: a compacted topic forgets its key."""
FOLLOWED: Final = 32
"""It has two records, the second without value."""
FOLLOWER_SEEN: Final = 64
"""That second record was found."""
ELSEWHERE: Final = 128
"""A record of it stands where this configuration would not send it."""
REDRIVEN: Final = 256
"""It was a dead letter and was sent again, behind later messages of its key: that is no order break."""
REPLAYED: Final = 512
"""A copy of it that a replay sent stands on its topic."""

_NOT_EXPECTED: Final = FILTERED | UNSETTLED | PASSED_OVER | DEAD_LETTER

NO_KEY: Final = 0
_NOWHERE: Final = -1
_BUCKETS: Final = 256


class Kind(Enum):
    """What a record is to the ledger."""

    FIRST = auto()
    DUPLICATE = auto()
    MISPLACED = auto()
    """Of a message that this configuration does not send there: to another topic, or not at all."""
    UNKNOWN = auto()
    """Of no message that was entered."""


class Break(NamedTuple):
    """Two messages of a key whose first records stand in the wrong order."""

    late: int  # place in the ledger; its record stands behind that of
    before: int  # a later message of its key


class Judged(NamedTuple):
    """What is left when everything was taken."""

    missing: Sequence[int]  # places in the ledger
    removed: int  # records that a compacted topic has removed, as it may
    breaks: list[Break]  # a few
    break_count: int


def hash_of(key: bytes | None) -> int:
    """A key as the ledger keeps it."""
    return NO_KEY if key is None else hash(key) or 1


class Ledger:
    """One outbox, or the newest part of one."""

    def __init__(self) -> None:
        """Nothing entered yet."""
        self.ids = array("q")
        self.times = array("q")  # created_at, microseconds since 1970
        self.flags = array("H")
        self._topics = array("I")  # where the record belongs; of the caller's numbers
        self._keys = array("q")
        self._offsets = array("q")  # of the first record
        self._partitions = array("I")  # where that is; of the caller's numbers

    def __len__(self) -> int:
        return len(self.ids)

    def enter(self, message_id: int, created_us: int, topic: int, key: bytes | None, flags: int) -> None:
        """A message; ids rise."""
        self.ids.append(message_id)
        self.times.append(created_us)
        self.flags.append(flags)
        self._topics.append(topic)
        self._keys.append(hash_of(key))
        self._offsets.append(_NOWHERE)
        self._partitions.append(0)

    def topic_of(self, place: int) -> int:
        """The number of the topic that its record belongs to."""
        return self._topics[place]

    def found_at(self, place: int) -> tuple[int, int] | None:
        """Partition and offset of its first record."""
        offset = self._offsets[place]
        return None if offset == _NOWHERE else (self._partitions[place], offset)

    def is_expected(self, place: int) -> bool:
        """Whether its record has to be on its topic."""
        return not self.flags[place] & _NOT_EXPECTED

    def mark(self, message_id: int, created_us: int, flag: int) -> None:
        """What else is known of a message, if it is entered."""
        place = bisect_left(self.ids, message_id)
        if place < len(self.ids) and (self.ids[place], self.times[place]) == (message_id, created_us):
            self.flags[place] |= flag

    def take(
        self,
        message_id: int,
        created_us: int,
        *,
        topic: int,
        partition: int,
        offset: int,
        key: bytes | None,
        is_empty: bool,
    ) -> tuple[Kind, int]:
        """A record, and the place of its message."""
        place = bisect_left(self.ids, message_id)
        if place == len(self.ids) or self.ids[place] != message_id or self.times[place] != created_us:
            return Kind.UNKNOWN, -1
        flags = self.flags[place]
        if self._topics[place] != topic or flags & FILTERED:
            self.flags[place] = flags | ELSEWHERE
            return Kind.MISPLACED, place
        if is_empty and flags & FOLLOWED:
            self.flags[place] = flags | FOLLOWER_SEEN
            return Kind.DUPLICATE if flags & FOLLOWER_SEEN else Kind.FIRST, place
        if self._offsets[place] != _NOWHERE:
            return Kind.DUPLICATE, place
        self._offsets[place] = offset
        self._partitions[place] = partition
        self._keys[place] = hash_of(key)  # the record's key bytes are what orders it
        return Kind.FIRST, place

    def take_copy(self, message_id: int, created_us: int, topic: int) -> None:
        """A record that a replay sent: no duplicate, in no order; but its message is not missing."""
        place = bisect_left(self.ids, message_id)
        if place < len(self.ids) and self.ids[place] == message_id and self._topics[place] == topic:
            self.mark(message_id, created_us, REPLAYED)

    def judge(self, compacted: frozenset[int], examples: int) -> Judged:
        """Messages without their record, and keys out of order. ``compacted``: topics that forget older records."""
        missing, removed, break_count = array("I"), 0, 0
        breaks: list[Break] = []
        for places in self._by_key():
            has_key = self._keys[places[0]] != NO_KEY
            forgotten = self._forgotten(places, compacted) if compacted and has_key else frozenset()
            for place in places:
                if self.is_expected(place) and self._lacks(place):
                    if place in forgotten:
                        removed += 1
                    else:
                        missing.append(place)
            if has_key and len(places) > 1:
                for found in self._breaks(places):
                    break_count += 1
                    if len(breaks) < examples:
                        breaks.append(found)
        return Judged(array("I", sorted(missing)), removed, breaks, break_count)

    def _lacks(self, place: int) -> bool:
        flags = self.flags[place]
        if flags & REPLAYED:
            return False
        return self._offsets[place] == _NOWHERE or flags & (FOLLOWED | FOLLOWER_SEEN) == FOLLOWED

    def _by_key(self) -> Iterator[list[int]]:
        """The places of each key's messages, in id order; sorted in parts, which needs little beside the arrays."""
        keys = self._keys
        sizes = [0] * _BUCKETS
        for key in keys:
            sizes[key & 255] += 1
        begins = [0, *accumulate(sizes)]
        free = begins[:]
        order = array("I", bytes(4 * len(keys)))
        for place, key in enumerate(keys):
            bucket = key & 255
            order[free[bucket]] = place
            free[bucket] += 1
        for bucket in range(_BUCKETS):
            places = sorted(order[begins[bucket] : begins[bucket + 1]], key=keys.__getitem__)
            for _, group in groupby(places, key=keys.__getitem__):
                yield list(group)

    def _forgotten(self, places: list[int], compacted: frozenset[int]) -> frozenset[int]:
        """Messages of one key whose record compaction may have removed: a newer one is there, or ended the key.

        A copy that a replay sent stands behind all of them, whatever its message.
        """
        found = set()
        superseded = {self._topics[place] for place in places if self.flags[place] & REPLAYED}
        for place in reversed(places):
            topic = self._topics[place]
            if topic not in compacted:
                continue
            ends_key = bool(self.flags[place] & TOMBSTONE) and self.is_expected(place)
            if topic in superseded or ends_key:
                found.add(place)
            if ends_key or self._offsets[place] != _NOWHERE:
                superseded.add(topic)
        return frozenset(found)

    def _breaks(self, places: list[int]) -> list[Break]:
        """First records of one key that are not in id order, partition by partition."""
        lowest: dict[
            int, tuple[int, int]
        ] = {}  # partition → the lowest offset of later messages, and whose it is
        found = []
        for place in reversed(places):
            offset = self._offsets[place]
            if offset == _NOWHERE or self.flags[place] & REDRIVEN:
                continue
            partition = self._partitions[place]
            before = lowest.get(partition)
            if before is not None and before[0] < offset:
                found.append(Break(place, before[1]))
            else:
                lowest[partition] = (offset, place)
        return found[::-1]
