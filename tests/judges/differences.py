"""Where rows of the debezium format differ from those of Debezium's connector, on purpose or because JSON says less.

A test that finds another difference fails, and so does one that no longer finds one of these.
"""

import re
from typing import Any, Final, NamedTuple

REFUSED: Final = "refused"
"""The message is an error: there is no event with another value."""
SENT: Final = "sent"
"""There is a value, and it is not null."""
ANY: Final = "anything"

_OUTSIDE_NANOS: Final = (
    r'"(0001|0044|1500|1582|4713|10000|294276|2262-04-12|2262-04-11T23:47:1(7|6\.855|6\.85478)).*'
)
_TIMESTAMPS: Final = r"timestamp(\(\d\))? without time zone(\[\])?"


class Finding(NamedTuple):
    """A value that the two do not write alike."""

    mode: str
    type: str
    text: str  # what to_jsonb says
    theirs: Any
    ours: Any


class Difference(NamedTuple):
    """Findings that have one reason."""

    reason: str
    types: str  # patterns
    texts: str = ".*"
    modes: str = ".*"
    theirs: Any = ANY
    ours: Any = SENT
    since: int = 0  # PostgreSQL's version that has the value

    def explains(self, found: Finding) -> bool:
        return (
            re.fullmatch(self.types, found.type) is not None
            and re.fullmatch(self.texts, found.text) is not None
            and re.fullmatch(self.modes, found.mode) is not None
            and self.theirs in (ANY, found.theirs)
            and (self.ours == found.ours if self.ours != SENT else found.ours not in (None, REFUSED))
        )


DIFFERENCES: Final = (
    # What jsonb does not tell.
    Difference("jsonb has no negative zero", r"(real|double precision)(\[\])?", r"0|\[0\.1, .*, 0\]"),
    Difference(
        "a json column's order, spaces and repeated members are not jsonb's", r"json(\[\])?", r".*[{\[].*"
    ),
    Difference("a null of JSON is SQL's null in to_jsonb", r"jsonb?", "null", theirs="null", ours=None),
    Difference(
        "a null of JSON is SQL's null, in an array", r"jsonb?\[\]", r"\[null\]", theirs=["null"], ours=[None]
    ),
    # What Debezium spoils, and the relay sends.
    Difference("numeric(3,-2) has 2046 decimals", r"numeric\(3,-2\)"),
    # What Debezium loses, and the relay refuses.
    Difference(
        "a decimal has no bytes for them: null",
        r"numeric.*",
        r'"(NaN|-?Infinity)"',
        theirs=None,
        ours=REFUSED,
    ),
    Difference(
        "a decimal has no bytes for one of them: no array",
        r"numeric.*\[\]",
        r'.*"(NaN|Infinity)"\]',
        theirs=None,
        ours=REFUSED,
    ),
    Difference("an infinite date is a day, far away", r"date(\[\])?", r'\[?"-?infinity"\]?', ours=REFUSED),
    Difference(
        "an infinite time is a time, far away", _TIMESTAMPS, r'\[?"-?infinity"\]?', "isostring", ours=REFUSED
    ),
    Difference(
        "outside 64 bits of µs: the greatest number",
        _TIMESTAMPS,
        r'"294276.*',
        theirs=2**63 - 1,
        ours=REFUSED,
    ),
    Difference(
        "outside 64 bits of ns: null",
        r"timestamp(\(\d\))? without time zone",
        _OUTSIDE_NANOS,
        "nanoseconds",
        None,
        REFUSED,
    ),
    Difference(
        "outside 64 bits of ns, in an array: null",
        r"timestamp without time zone\[\]",
        r'\["0044.*',
        "nanoseconds",
        [None],
        REFUSED,
    ),
    Difference(
        "outside 64 bits of µs: the greatest number",
        "interval",
        r'"178000000 years"',
        theirs=2**63 - 1,
        ours=REFUSED,
    ),
    Difference("an infinite interval is none", "interval", '"infinity"', theirs=0, ours=REFUSED, since=17),
    Difference(
        "nulls for the rows", r"integer\[\]", r"\[\[1, 2\], \[3, 4\]\]", theirs=[None, None], ours=REFUSED
    ),
    # What Debezium loses, and the relay sends.
    Difference("null for any name", "name", theirs=None),
    Difference("null for any element", r"(tsvector|ltree)\[\]", theirs=None),
    Difference(
        "null for NaN in an array",
        r"numeric.*\[\]",
        r'.*"(NaN|Infinity)"\]',
        "adaptive_time_microseconds|connect",
        None,
    ),
    Difference(
        "null for an offset with seconds",
        "time with time zone",
        '"23:59:59-15:59:59"',
        theirs=None,
        ours="15:59:58Z",
    ),
    Difference(
        "the day's end is its beginning",
        r"time(\(\d\))? without time zone",
        '"24:00:00"',
        "isostring",
        "00:00:00Z",
        "24:00:00Z",
    ),
    Difference(
        "the day's end is its beginning in an array, which has no microseconds",
        r"time without time zone\[\]",
        r'\["(24:00:00|12:34:56.123456).*',
    ),
    Difference("BC is lost, or the calendar is Julian", r"(date|timestamp.*)\[\]", r'\["0044.* BC"\]'),
)

SCHEMAS: Final = {
    "id": "the primary key: required there, optional in every row of the relay's",
    "numeric(3,-2)": "its scale is 2046 there; tide.row_schema_of_table says numeric",
    "tsvector[]": "its elements are required there, and never told",
}
"""Types whose schema is another one."""

LEFT_OUT: Final = frozenset({"name[]", "xml[]", "interval[]"})
"""Types whose columns Debezium leaves out of the row."""
