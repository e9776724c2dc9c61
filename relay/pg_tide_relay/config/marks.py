"""What the annotation of a configuration's field can say beyond its type.

Each mark is data: it adds its part to the rule document (``rules.py``), and makes pydantic refuse
what the document refuses (by way of ``text_faults``, so that the two can't differ).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from pg_tide_relay.config.text_faults import JsonObject, text_faults


@dataclass(frozen=True, kw_only=True)
class About:
    """What the reference says of a key, beside its description."""

    reason: str  # why the default is what it is; why there is none
    unit: str | None = None
    reaches: str | None = None  # the librdkafka property, or where else the value takes effect


@dataclass(frozen=True)
class NotYet:
    """Values that are refused by name: they belong to features that do not exist yet."""

    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TextRule(ABC):
    """Base of the marks that restrict a string."""

    expects: str  # completes "must be ..."

    @abstractmethod
    def as_data(self) -> JsonObject:
        """The keys this mark adds to the rule of its string."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._accept, handler(source))

    def _accept(self, text: str) -> str:
        faults = text_faults({"expects": self.expects, **self.as_data()}, text)
        if faults:
            raise ValueError("; ".join(faults))
        return text


@dataclass(frozen=True, kw_only=True)
class Template(TextRule):
    """A template with these placeholders."""

    placeholders: tuple[str, ...]
    literal: str | None = None  # class of characters its fixed text may have, as a regular expression
    literal_expects: str | None = None  # what that class is in words
    literal_length_max: int | None = None  # characters of fixed text
    refused: tuple[str, ...] = ()  # fixed texts that are not allowed as the whole
    dotted: tuple[str, ...] = ()  # what {name.member} may begin with

    def as_data(self) -> JsonObject:
        return {
            "template": {
                "placeholders": list(self.placeholders),
                "dotted": list(self.dotted),
                "literal": self.literal,
                "literal_expects": self.literal_expects,
                "literal_length_max": self.literal_length_max,
                "refused": list(self.refused),
            }
        }


@dataclass(frozen=True, kw_only=True)
class Matches(TextRule):
    """The whole string matches a regular expression (see ``rules`` for which are allowed)."""

    pattern: str

    def as_data(self) -> JsonObject:
        return {"pattern": self.pattern}


@dataclass(frozen=True, kw_only=True)
class Entries(TextRule):
    """A list inside a string: each entry, without the spaces around it, matches the pattern.

    The spaces are dropped from the model's value.
    """

    pattern: str
    entry_expects: str  # completes "entry 2 must be ..."
    separator: str = ","

    def as_data(self) -> JsonObject:
        return {
            "entries": {"separator": self.separator, "pattern": self.pattern, "expects": self.entry_expects}
        }

    def _accept(self, text: str) -> str:
        entries = super()._accept(text).split(self.separator)
        return self.separator.join(entry.strip(" ") for entry in entries)


@dataclass(frozen=True, kw_only=True)
class NotPrefixed(TextRule):
    """Names with this prefix belong to the product."""

    prefix: str

    def as_data(self) -> JsonObject:
        return {"reserved_prefix": self.prefix}
