"""A comparison of outbox and topics: a page for people, plain values for JSON, and a line while it goes on."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from time import monotonic
from typing import Any, Final

from pg_tide_relay.commands.output import printable
from pg_tide_relay.verify.findings import Example, Kind, Range, Report
from pg_tide_wire_formats import times

_KINDS: Final = (
    ("gaps", "Gaps: settled messages without their record"),
    ("order_breaks", "Order breaks: first records of a key that are not in id order"),
    ("phantoms", "Phantoms: records of messages that the database does not know"),
    ("duplicates", "Duplicates: records behind the first of their message"),
    ("misplaced", "Misplaced: records that this configuration would not send there"),
)

_ON_A_TERMINAL_S: Final = 0.2
_IN_A_LOG_S: Final = 10.0


class Progress:
    """A line on stderr: rewritten on a terminal, else a new one every ten seconds."""

    def __init__(self) -> None:
        """Nothing told yet."""
        self._is_terminal = sys.stderr.isatty()
        self._every_s = _ON_A_TERMINAL_S if self._is_terminal else _IN_A_LOG_S
        self._told = monotonic()

    def tell(self, stage: str, done: int, total: int | None) -> None:
        """Say how far it is, unless that was said a moment ago."""
        now = monotonic()
        if now - self._told < self._every_s:
            return
        self._told = now
        line = f"{stage}: {done:,}" + (f" of {total:,}" if total else "")
        sys.stderr.write(f"\r\033[K{line}" if self._is_terminal else f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave an empty line."""
        if self._is_terminal:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def as_json(report: Report) -> dict[str, Any]:
    """Everything; times are microseconds since 1970, as in the header pg_tide_ts."""
    return {"clean": report.findings.is_clean, **asdict(report)}


def as_text(report: Report) -> str:
    """A page."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    messages, records, findings = report.messages, report.records, report.findings
    yield f"Pipeline {report.pipeline}, outbox {report.outbox}, group {report.consumer_group}"
    yield f"  compared      {_range_of(report.range)}"
    yield f"  messages      {messages.held:,} held; {messages.compared:,} must be on the topics"
    left_out = (
        (messages.unsettled, "not settled yet"),
        (messages.filtered, "filtered"),
        (messages.dead_letters, "dead letters"),
        (messages.passed_over, "before the group's start, or skipped"),
        (messages.removed_by_topic, "may have been removed by retention or compaction of the topic"),
    )
    yield from (f"                {count:,} {what}" for count, what in left_out if count)
    yield f"  records       {records.read:,} read"
    others = (
        (records.others, "of others"),
        (records.out_of_range, "out of this range"),
        (records.dropped, "of messages that retention has dropped"),
        (records.later, "published since"),
        (records.replayed, "sent again by replays"),
    )
    yield from (f"                {count:,} {what}" for count, what in others if count)
    for one in report.partitions:
        late = ", older ones were removed" if one.begin else ""
        yield f"  {one.topic}-{one.partition}: offsets {one.begin} to {one.end}, {one.records:,} records{late}"
    yield from (f"  {topic}: does not exist" for topic in report.missing_topics)
    for name, title in _KINDS:
        yield from _kind(title, getattr(findings, name))
    if findings.is_clean:
        yield "Nothing is missing, and nothing is out of order."
    else:
        yield f"{findings.gaps.count:,} missing, {findings.order_breaks.count:,} out of order."


def _range_of(found: Range) -> str:
    if found.from_id is None or found.from_ts is None or found.to_ts is None:
        return "nothing: the outbox holds no message" + (f" ({found.limited})" if found.limited else "")
    limit = f" ({found.limited})" if found.limited else ""
    begin, end = times.rfc3339(found.from_ts).decode(), times.rfc3339(found.to_ts).decode()
    return f"ids {found.from_id} to {found.to_id}, published {begin} to {end}{limit}"


def _kind(title: str, kind: Kind) -> Iterator[str]:
    if not kind.count:
        return
    yield f"{title}: {kind.count:,}"
    yield from (f"  {_example(example)}" for example in kind.examples)
    if kind.count > len(kind.examples):
        yield f"  and {kind.count - len(kind.examples):,} more"


def _example(one: Example) -> str:
    place = one.topic or ""
    if one.partition is not None:
        place = f"{place}-{one.partition}-{one.offset}"
    note = f": {one.note}" if one.note else ""
    return printable(f"({one.id}, {one.ts}) {place}".rstrip() + note)
