"""The statements that programs send to PostgreSQL, by name.

A file of ``statements/`` is a list of paragraphs::

    -- name: cursor_settle
    -- Moves the cursor to the end of the settled prefix; no row means that somebody else owns it.
    update tide.cursor set last_id = %(last_id)s where group_id = %(group_id)s;

Values are psycopg's named placeholders ``%(x)s``; a name of a table is ``{table}``, filled by the caller with
``psycopg.sql.SQL(statement(...)).format(table=Identifier(...))``. A statement that goes through ``format``
doubles its other braces.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final, LiteralString

_NAME_LINE: Final = re.compile(r"^-- name:[ \t]*(?P<name>\S*)[ \t]*$", re.MULTILINE)
_LEGAL_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_LEADING_COMMENTS: Final = re.compile(r"\A(?:\s*--[^\n]*(?:\n|\Z))*\s*")
_TRAILING_COMMENTS: Final = re.compile(r"(?:\n[ \t]*(?:--[^\n]*)?)*\Z")


class StatementsError(ValueError):
    """A file of statements can't be read: a nameless, doubled or empty paragraph."""


class UnknownStatementError(KeyError):
    """No paragraph has this name."""


def statement(name: str) -> LiteralString:
    """SQL text of the paragraph, without its comments and without the closing semicolon."""
    try:
        return statements()[name]
    except KeyError:
        raise UnknownStatementError(f"no statement is named {name!r}") from None


@cache
def statements() -> Mapping[str, LiteralString]:
    """All statements of this package, read once, at the first use."""
    return MappingProxyType(read_statements(files(__package__) / "statements"))


def read_statements(folder: Traversable) -> dict[str, str]:
    """All paragraphs of all ``*.sql`` files in the folder; a name that occurs twice is an error."""
    found: dict[str, str] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".sql"):
            continue
        for name, text in _paragraphs(entry.name, entry.read_text(encoding="utf-8")):
            if name in found:
                raise StatementsError(f"{entry.name}: a statement named {name} exists already")
            found[name] = text
    return found


def _paragraphs(file: str, text: str) -> list[tuple[str, str]]:
    starts = list(_NAME_LINE.finditer(text))
    before = text[: starts[0].start()] if starts else text
    if _LEADING_COMMENTS.sub("", before, count=1):
        raise StatementsError(f"{file}: SQL stands before the first line '-- name: ...'")
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return [
        (_legal(file, start["name"]), _body(file, start["name"], text[start.end() : end]))
        for start, end in zip(starts, ends, strict=True)
    ]


def _legal(file: str, name: str) -> str:
    if _LEGAL_NAME.fullmatch(name) is None:
        raise StatementsError(f"{file}: {name!r} is no name of a statement; use a-z, 0-9 and _")
    return name


def _body(file: str, name: str, text: str) -> str:
    body = _TRAILING_COMMENTS.sub("", _LEADING_COMMENTS.sub("", text, count=1), count=1)
    body = body.strip().removesuffix(";").rstrip()
    if not body:
        raise StatementsError(f"{file}: the statement {name} is empty")
    return body
