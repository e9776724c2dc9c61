"""Lets one record through to a partition that has acknowledged nothing of this producer yet, then all.

An idempotent producer's requests can't overtake each other, because a broker refuses a gap in their sequence;
but a broker that knows nothing of a producer yet accepts any sequence as the first. While several first requests
are on their way to a partition whose leader is not ready (a topic just made, a leader just elected), the first of
them may be refused and the second accepted: the order of its keys is lost, and no later resending mends it. So
until a partition has acknowledged something, one record with a key is on its way to it, and the next one waits.
"""

from collections.abc import Callable

from confluent_kafka import KafkaError, Message, murmur2

OnReport = Callable[[int, KafkaError | None, Message], None]


class Gate:
    """The partitions of one topic, for one producer."""

    __slots__ = ("_awaited", "_open", "_partitions", "is_open")

    def __init__(self, partitions: int, *, is_open: bool) -> None:
        """``is_open``: nothing has to be proven, because one request is on its way at a time."""
        self._partitions = partitions
        self._open: set[int] = set()
        self._awaited: set[int] = set()
        self.is_open = is_open
        """Whether every partition has acknowledged something; then nobody has to ask any more."""

    def partition_of(self, key: bytes) -> int:
        """Where the partitioner will put this key."""
        return murmur2(key, self._partitions)

    def is_closed(self, partition: int) -> bool:
        """Whether a record for this partition is the first, or has to wait for the first."""
        return partition not in self._open

    def is_awaited(self, partition: int) -> bool:
        """Whether the first record is on its way: the next one waits."""
        return partition in self._awaited

    def first(self, partition: int, on_report: OnReport) -> OnReport:
        """What takes the report of the first record of a partition."""

        def on_first_report(place: int, error: KafkaError | None, message: Message) -> None:
            on_report(place, error, message)
            self._awaited.discard(partition)
            if error is None:
                self._open.add(partition)
                self.is_open = len(self._open) >= self._partitions

        return on_first_report

    def await_first(self, partition: int) -> None:
        """The first record of this partition was handed over."""
        self._awaited.add(partition)
