"""Numbered schema files and migration steps: how a folder of them is read."""

import tomllib
from pathlib import Path

import pytest

from pg_tide_relay.migrations import MigrationStepsError, SchemaSource, packaged_source
from pg_tide_sql.files import MigrationStep, SqlFilesError, migration_steps, schema_files
from pg_tide_sql.versions import RELEASE

ROOT = Path(__file__).parents[2]


def written(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text(f"-- {name}\n", encoding="utf-8")
    return folder


def test_schema_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    found = schema_files(
        written(tmp_path, "0200_publish.sql", "0100_schema.sql", "0150_types.sql", "notes.md")
    )
    assert [(file.number, file.name) for file in found] == [
        (100, "0100_schema.sql"),
        (150, "0150_types.sql"),
        (200, "0200_publish.sql"),
    ]
    assert found[0].text == "-- 0100_schema.sql\n"


@pytest.mark.parametrize("name", ["schema.sql", "100_schema.sql", "0100-schema.sql", "0100_Schema.sql"])
def test_a_schema_file_without_a_number_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SqlFilesError, match="does not match"):
        schema_files(written(tmp_path, name))


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SqlFilesError, match="has the number of"):
        schema_files(written(tmp_path, "0100_schema.sql", "0100_other.sql"))


def test_migration_steps_lead_from_version_to_version(tmp_path: Path) -> None:
    found = migration_steps(written(tmp_path, "0003_breaking_rename_key.sql", "0002_pre_add_column.sql"))
    assert [(step.version, step.kind) for step in found] == [(2, "pre"), (3, "breaking")]


def test_a_missing_migration_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SqlFilesError, match="step to version 3 is missing"):
        migration_steps(written(tmp_path, "0002_pre_a.sql", "0004_post_b.sql"))


def test_a_migration_step_of_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SqlFilesError, match="does not match"):
        migration_steps(written(tmp_path, "0002_later_a.sql"))


def test_a_folder_that_does_not_exist_has_no_steps(tmp_path: Path) -> None:
    assert migration_steps(tmp_path / "none") == ()


def test_steps_that_end_at_another_version_than_the_files_are_refused() -> None:
    step = MigrationStep(version=2, kind="pre", name="0002_pre_a.sql", text="")
    with pytest.raises(MigrationStepsError, match="lead to version 2"):
        SchemaSource(version=3, release="1", files=(), steps=(step,))


def test_the_packaged_files_and_steps_end_at_one_version() -> None:
    source = packaged_source()
    assert source.files[0].name == "0100_schema.sql"
    assert len(source.steps) == source.version - 1


def test_the_release_is_the_one_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == RELEASE
