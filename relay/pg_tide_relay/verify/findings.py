"""What does not agree between an outbox and its topics, as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

EXAMPLES_MAX: Final = 10
"""Of each kind of finding; all are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One message or record. A message is identified by the pair of id and ts."""

    id: int
    ts: int  # microseconds since 1970, as in pg_tide_ts
    topic: str | None  # None: not known
    partition: int | None = None
    offset: int | None = None
    note: str | None = None


@dataclass(kw_only=True, slots=True)
class Kind:
    """Findings of one kind."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def wants_example(self) -> bool:
        """Whether one more is to be shown."""
        return len(self.examples) < EXAMPLES_MAX


@dataclass(kw_only=True, slots=True)
class Findings:
    """All of them."""

    gaps: Kind = field(default_factory=Kind)  # settled, to be sent, and not there
    order_breaks: Kind = field(default_factory=Kind)  # of a key, first records not in id order
    phantoms: Kind = field(default_factory=Kind)  # records of messages that the database does not know
    duplicates: Kind = field(default_factory=Kind)  # records behind the first of their message
    misplaced: Kind = field(default_factory=Kind)  # records that this configuration would not send there

    @property
    def is_clean(self) -> bool:
        """Nothing is lost or out of order."""
        return not self.gaps.count and not self.order_breaks.count


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Which messages were compared: those that the outbox holds, from an id on."""

    from_id: int | None  # None: the outbox holds none
    from_ts: int | None
    to_id: int | None
    to_ts: int | None
    limited: str | None  # by what, where the outbox holds older ones


@dataclass(kw_only=True, slots=True)
class Messages:
    """What became of the messages of the range, by number."""

    held: int
    compared: int = 0  # their records had to be there
    unsettled: int = 0
    filtered: int = 0
    dead_letters: int = 0
    passed_over: int = 0  # the group began behind them, or was moved past them
    removed_by_topic: int = 0  # their records may have been removed by the topic's retention or compaction


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicPart:
    """What one partition holds."""

    topic: str
    partition: int
    begin: int  # first offset; above 0: older records were removed
    end: int
    records: int  # of the range


@dataclass(kw_only=True, slots=True)
class Records:
    """What became of the records that were read, by number."""

    read: int = 0
    others: int = 0  # of other outboxes, or not of pg-tide
    out_of_range: int = 0  # older than the range, or of an outbox that had the name before
    dropped: int = 0  # of messages that retention has dropped
    later: int = 0  # of messages that were published after the comparison began
    replayed: int = 0  # copies that replays sent


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The comparison of one pipeline."""

    pipeline: str
    outbox: str
    consumer_group: str
    range: Range
    messages: Messages
    records: Records
    partitions: Sequence[TopicPart]
    missing_topics: Sequence[str]
    findings: Findings
