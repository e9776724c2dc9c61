"""What there is to do to bring the schema ``tide`` from one version to another.

A database without the schema gets the numbered schema files; an older schema gets the migration steps between
its version and this program's. Both end at the same catalogue.
"""

from dataclasses import dataclass

from pg_tide_sql.files import MigrationStep, SchemaFile, migration_steps, schema_files
from pg_tide_sql.versions import RELEASE, SCHEMA_VERSION


class MigrationStepsError(ValueError):
    """The migration steps do not lead to the version that the schema files make."""


@dataclass(frozen=True, kw_only=True)
class SchemaSource:
    """A schema version, and all the ways that lead to it."""

    version: int
    release: str
    files: tuple[SchemaFile, ...]
    """Make the schema where there is none."""
    steps: tuple[MigrationStep, ...]
    """Lead from version 1 to ``version``, one step per version."""

    def __post_init__(self) -> None:
        last = self.steps[-1].version if self.steps else 1
        if last != self.version:
            raise MigrationStepsError(f"the steps lead to version {last}, the schema files to {self.version}")

    def steps_from(self, installed: int) -> tuple[MigrationStep, ...]:
        """Steps that a schema of version ``installed`` still needs, in order."""
        return tuple(step for step in self.steps if step.version > installed)


def packaged_source() -> SchemaSource:
    """The schema that this program brings."""
    return SchemaSource(
        version=SCHEMA_VERSION, release=RELEASE, files=schema_files(), steps=migration_steps()
    )
