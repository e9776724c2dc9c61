"""Data on stdout: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_json(value: Any) -> None:
    """One JSON document, indented; times in ISO 8601, durations in seconds."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of these columns; colour only on a terminal, and never with NO_COLOR."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row[column])) for column in columns))
    # A file or a pipe has no width: there no line is broken.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    console.print(table if table.row_count else Text(f"{title}: none"))


def printable(text: str) -> str:
    """What a terminal shows and never takes for a command: a message may hold anything."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.1f} s"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)
