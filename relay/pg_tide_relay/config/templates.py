"""Templates for topics and record keys: ``events.{stream_table}.{op}``.

``{name}`` is a placeholder, ``{payload.member.member}`` one that reads a document, ``{{`` and ``}}`` are a brace.
Nothing else is special: no format specifications, no attribute access, so a template can't reach anything but the
values it is given.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_DOTTED = re.compile(r"[^.]+(?:\.[^.]+)+")
_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|\{|\}|[^{}]+")


@dataclass(frozen=True, kw_only=True)
class Token:
    """A piece of a template."""

    kind: Literal["text", "placeholder", "open", "close"]  # "open" and "close" are stray braces
    text: str  # the text it stands for, or the placeholder's name
    position: int  # of its first character, counted from 1


def tokens(template: str) -> Iterator[Token]:
    """All pieces of a template, stray braces included."""
    for match in _TOKEN.finditer(template):
        yield _token(match.group(), match.start() + 1)


def _token(piece: str, position: int) -> Token:
    if piece in ("{{", "}}"):
        return Token(kind="text", text=piece[0], position=position)
    if piece == "{":
        return Token(kind="open", text=piece, position=position)
    if piece == "}":
        return Token(kind="close", text=piece, position=position)
    if piece.startswith("{"):
        return Token(kind="placeholder", text=piece[1:-1], position=position)
    return Token(kind="text", text=piece, position=position)


def placeholders(template: str) -> frozenset[str]:
    """The names a template uses."""
    return frozenset(token.text for token in tokens(template) if token.kind == "placeholder")


def is_dotted(name: str) -> bool:
    """Whether a placeholder's name has members, none of them empty."""
    return _DOTTED.fullmatch(name) is not None
