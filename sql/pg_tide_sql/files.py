"""The files that make the schema ``tide``, and the steps that bring an older one up to date.

Schema files are named ``NNNN_topic.sql`` and run in the order of their numbers. Migration steps are named
``NNNN_kind_words.sql``: NNNN is the schema version they lead to, the kind tells what to do with relays:

pre        run it before the relays are updated; relays of the release before go on working
post       run it after all relays have been updated
breaking   stop the relays, run it, start the new ones
"""

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, Literal, cast

StepKind = Literal["pre", "post", "breaking"]

_SCHEMA_FILE: Final = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.sql")
_STEP_FILE: Final = re.compile(r"(?P<number>\d{4})_(?P<kind>pre|post|breaking)_[a-z0-9_]+\.sql")


class SqlFilesError(ValueError):
    """A folder of SQL files holds a name or a number that has no place in it."""


@dataclass(frozen=True, kw_only=True)
class SchemaFile:
    """One numbered file of the schema."""

    number: int
    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class MigrationStep:
    """One step from schema version ``version - 1`` to ``version``."""

    version: int
    kind: StepKind
    name: str
    text: str


def schema_files(folder: Traversable | None = None) -> tuple[SchemaFile, ...]:
    """All schema files in the order in which they run; ``folder`` defaults to the one of this package."""
    found = tuple(
        SchemaFile(number=int(match["number"]), name=name, text=text)
        for match, name, text in _numbered(folder or files(__package__) / "schema", _SCHEMA_FILE)
    )
    return tuple(sorted(found, key=lambda file: file.number))


def migration_steps(folder: Traversable | None = None) -> tuple[MigrationStep, ...]:
    """All migration steps by version, without gaps; empty while there is only one schema version."""
    found = (
        MigrationStep(version=int(match["number"]), kind=cast(StepKind, match["kind"]), name=name, text=text)
        for match, name, text in _numbered(folder or files(__package__) / "migrations", _STEP_FILE)
    )
    steps = tuple(sorted(found, key=lambda step: step.version))
    for expected, step in enumerate(steps, start=2):
        if step.version != expected:
            raise SqlFilesError(
                f"{step.name}: the step to version {expected} is missing; steps count from 0002 without gaps"
            )
    return steps


def _numbered(folder: Traversable, pattern: re.Pattern[str]) -> list[tuple[re.Match[str], str, str]]:
    """(match, name, text) of each SQL file in the folder; a name or number out of order is an error."""
    if not folder.is_dir():
        return []
    found: dict[int, tuple[re.Match[str], str, str]] = {}
    for entry in folder.iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = pattern.fullmatch(entry.name)
        if match is None:
            raise SqlFilesError(f"{entry.name}: the name does not match {pattern.pattern}")
        number = int(match["number"])
        if number in found:
            raise SqlFilesError(f"{entry.name}: has the number of {found[number][1]}")
        found[number] = (match, entry.name, entry.read_text(encoding="utf-8"))
    return list(found.values())
