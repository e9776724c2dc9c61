"""The table that a run of the judges ends with: which reader has read what, and what it found."""

from collections.abc import Iterable
from dataclasses import dataclass

HEADINGS = ("reader", "version", "format", "cases", "verdict")
AGREES = "agrees"


@dataclass(kw_only=True)
class Verdict:
    """What one test found."""

    reader: str
    version: str
    wire_format: str
    test: str
    cases: int = 0
    fault: str = ""  # empty: the reader saw what was published


def verdict_of(found: Iterable[Verdict]) -> str:
    """What the tests of a reader and format found together; the tests that found a fault by name."""
    faults: dict[str, list[str]] = {}
    for one in found:
        if one.fault:
            faults.setdefault(one.fault, []).append(one.test)
    return "; ".join(f"{fault}: {', '.join(tests)}" for fault, tests in faults.items()) or AGREES


def table(verdicts: Iterable[Verdict]) -> str:
    """One line a reader and format, in the order in which they were asked."""
    rows: dict[tuple[str, str, str], list[Verdict]] = {}
    for one in verdicts:
        rows.setdefault((one.reader, one.version, one.wire_format), []).append(one)
    cells = [HEADINGS]
    for key, found in rows.items():
        cells.append((*key, str(sum(one.cases for one in found)), verdict_of(found)))
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS) - 1)]
    lines = []
    for *columns, last in cells:
        padded = [
            text.rjust(width) if heading == "cases" else text.ljust(width)
            for heading, text, width in zip(HEADINGS, columns, widths, strict=False)
        ]
        lines.append("  ".join([*padded, last]).rstrip())
    return "\n".join(lines) + "\n"
