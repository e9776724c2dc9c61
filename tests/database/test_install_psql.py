"""The install file for psql does what `pg-tide install` does."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from catalogue import catalogue
from pg_tide_dev.databases import Database
from pg_tide_dev.postgres_binaries import find_binaries
from pg_tide_dev.sources import Source
from pg_tide_relay.install import install
from pg_tide_relay.install_file import FILE_NAME, install_file, main
from pg_tide_relay.migrations import SchemaSource, packaged_source
from pg_tide_sql import files
from pg_tide_sql.files import MigrationStep
from pg_tide_sql.versions import RELEASE, SCHEMA_VERSION

PACKAGED = Path(files.__file__).parent / FILE_NAME
STEPS = (
    ("pre", "create table tide.note (id integer not null, text text);"),
    ("breaking", "alter table tide.note rename column text to words;"),
)


@dataclass(frozen=True)
class Psql:
    """psql, called as a database administrator would."""

    program: Path

    def __call__(
        self, database: Database, file: Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, "-X", "-f", file, database.dsn],
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=os.environ | environment,
        )


@pytest.fixture(scope="session")
def psql() -> Psql:
    """Any psql: of the machine, else of the wheel."""
    binaries = find_binaries(None, (Source.PACKAGES, Source.LOCAL))
    found = binaries["psql"] if binaries else shutil.which("psql")
    assert found, "no psql was found"
    return Psql(Path(found))


def next_versions() -> SchemaSource:
    """The packaged schema with two made-up steps behind it."""
    packaged = packaged_source()
    steps = tuple(
        MigrationStep(version=version, kind="pre", name=f"{version:04}_{kind}_note.sql", text=text)
        for version, (kind, text) in enumerate(STEPS, start=packaged.version + 1)
    )
    return SchemaSource(
        version=packaged.version + len(steps),
        release="9.9.9",
        files=packaged.files,
        steps=packaged.steps + steps,
    )


def written(folder: Path, source: SchemaSource) -> Path:
    path = folder / f"install-{source.version}.sql"
    path.write_text(install_file(source), encoding="utf-8")
    return path


def versions(database: Database) -> list[tuple[int, str]]:
    with database.connect() as connection:
        return connection.execute(
            "select version, release from tide.schema_version order by version"
        ).fetchall()


def test_psql_and_pg_tide_install_make_the_same_catalogue(
    psql: Psql, empty_database: Database, database: Database
) -> None:
    done = psql(empty_database, PACKAGED)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        f"pg-tide: schema tide is installed, version {SCHEMA_VERSION}",
    )
    by_psql, by_program = catalogue(empty_database.dsn), catalogue(database.dsn)
    assert len(by_psql["functions"]) > 20
    assert by_psql == by_program


def test_psql_again_changes_nothing(psql: Psql, database: Database) -> None:
    before = catalogue(database.dsn)
    done = psql(database, PACKAGED)
    assert (done.returncode, done.stderr, done.stdout) == (
        0,
        "",
        f"pg-tide: schema tide has version {SCHEMA_VERSION} already; nothing was changed\n",
    )
    assert catalogue(database.dsn) == before
    assert versions(database) == [(SCHEMA_VERSION, RELEASE)]


def test_the_encoding_of_the_terminal_makes_no_difference(
    psql: Psql, empty_database: Database, database: Database
) -> None:
    assert psql(empty_database, PACKAGED, PGCLIENTENCODING="latin1").returncode == 0
    assert catalogue(empty_database.dsn) == catalogue(database.dsn)


def test_psql_upgrades_as_the_program_does(
    psql: Psql, empty_database: Database, database: Database, tmp_path: Path
) -> None:
    install(empty_database.dsn)
    done = psql(empty_database, written(tmp_path, next_versions()))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"upgraded from version {SCHEMA_VERSION} to version {SCHEMA_VERSION + 2}\n")
    install(database.dsn, source=next_versions())
    assert catalogue(empty_database.dsn) == catalogue(database.dsn)
    assert versions(database) == versions(empty_database)
    assert versions(database)[-2:] == [(SCHEMA_VERSION + 1, "9.9.9"), (SCHEMA_VERSION + 2, "9.9.9")]


def test_a_fresh_schema_needs_no_step_by_psql_either(
    psql: Psql, empty_database: Database, tmp_path: Path
) -> None:
    done = psql(empty_database, written(tmp_path, next_versions()))
    assert done.returncode == 0, done.stderr
    assert versions(empty_database) == [(SCHEMA_VERSION + 2, "9.9.9")]


def test_psql_refuses_a_newer_schema(psql: Psql, empty_database: Database) -> None:
    install(empty_database.dsn, source=next_versions())
    before = catalogue(empty_database.dsn)
    done = psql(empty_database, PACKAGED)
    assert done.returncode == 3
    assert f"schema tide has version {SCHEMA_VERSION + 2} (release 9.9.9), newer than version" in done.stderr
    assert "Use release 9.9.9 of pg-tide or a newer one." in done.stderr
    assert catalogue(empty_database.dsn) == before


def test_psql_refuses_a_foreign_schema(psql: Psql, empty_database: Database) -> None:
    with empty_database.connect() as connection:
        connection.execute("create schema tide")
    done = psql(empty_database, PACKAGED)
    assert done.returncode == 3
    assert "pg-tide did not make it" in done.stderr


def test_a_failing_step_leaves_what_was_there(psql: Psql, empty_database: Database, tmp_path: Path) -> None:
    install(empty_database.dsn)
    before = catalogue(empty_database.dsn)
    source = next_versions()
    broken = MigrationStep(
        version=source.version + 1, kind="post", name="0009_post_broken.sql", text="select nonsense;"
    )
    broken_source = SchemaSource(
        version=broken.version, release="9.9.9", files=source.files, steps=(*source.steps, broken)
    )
    assert psql(empty_database, written(tmp_path, broken_source)).returncode == 3
    assert catalogue(empty_database.dsn) == before


def test_psql_and_the_program_wait_for_each_other(
    psql: Psql, empty_database: Database, tmp_path: Path
) -> None:
    """While an installer works, psql waits; afterwards it finds the work done."""
    with empty_database.connect() as installer:
        installer.execute("select pg_advisory_xact_lock(8099492432856769792)")
        running = subprocess.Popen(
            [psql.program, "-X", "-f", PACKAGED, empty_database.dsn], stdout=subprocess.PIPE, text=True
        )
        try:
            wait_until_somebody_waits(installer)
            for file in packaged_source().files:
                installer.execute(file.text.encode())
            installer.execute(
                "insert into tide.schema_version (version, release) values (%s, %s)",
                [SCHEMA_VERSION, RELEASE],
            )
            installer.commit()
            output, _ = running.communicate(timeout=60)
        finally:
            running.kill()
            running.wait()
    assert (running.returncode, output) == (
        0,
        f"pg-tide: schema tide has version {SCHEMA_VERSION} already; nothing was changed\n",
    )


def wait_until_somebody_waits(connection: psycopg.Connection) -> None:
    query = sql.SQL("select exists (select from pg_locks where locktype = 'advisory' and not granted)")
    while connection.execute(query).fetchone() != (True,):
        pass


def test_the_packaged_file_is_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_a_stale_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "psql").mkdir()
    for frame in (PACKAGED.parent / "psql").iterdir():
        shutil.copy(frame, tmp_path / "psql")
    monkeypatch.setattr("pg_tide_relay.install_file.files", lambda _package: tmp_path)
    assert main(["--check"]) == 1
    assert "is stale; run: make generate" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0
    (tmp_path / FILE_NAME).write_text("old", encoding="utf-8")
    assert main(["--check"]) == 1
