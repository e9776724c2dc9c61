"""Examples of the documentation as tests run them: blocks in the order of the page, each with the place it stands at.

A block of SQL, shell or Python is run unless the line before it says why not: `<!-- not run: reason -->`.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pglast.parser import split
from psycopg import sql

from pg_tide_dev.databases import Database
from pg_tide_dev.postgres_binaries import find_binaries
from pg_tide_dev.sources import Source

ROOT = Path(__file__).parents[1]
LANGUAGES = ("sql", "sh", "python")
SHELL_SECONDS = 60
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\n\Z", re.DOTALL)
_NEW_ROLE = re.compile(r"create role (\w+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None  # why

    @property
    def place(self) -> str:
        """Where it stands, for a test that failed."""
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page with a language, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        reason = _NOT_RUN.search(text[: fence.start()])
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, fence.start()) + 2,
                language=fence[1],
                text=fence[2],
                not_run=reason[1] if reason else None,
            )
        )
    return found


def runnable(page: str, *languages: str) -> list[Block]:
    """The blocks of these languages that are to be run."""
    return [block for block in blocks(page) if block.language in languages and block.not_run is None]


def with_places(text: str, places: Mapping[str, str]) -> str:
    """A block's text with hosts, ports and the like replaced; what is replaced must be somewhere in the docs."""
    for shown, real in places.items():
        text = text.replace(shown, real)
    return text


def run_sql(
    connection: psycopg.Connection, block: Block, places: Mapping[str, str]
) -> list[tuple[object, ...]]:
    """Run a block's statements one by one on a connection in autocommit mode; the rows of the last one."""
    rows: list[tuple[object, ...]] = []
    for statement in split(with_places(block.text, places)):
        try:
            cursor = connection.execute(statement.encode())
        except psycopg.Error as error:
            error.add_note(f"{block.place}: {statement}")
            raise
        rows = cursor.fetchall() if cursor.description else []
    return rows


def run_shell(block: Block, dsn: str, folder: Path, places: Mapping[str, str]) -> str:
    """Run a block as a user would, `pg-tide` and `psql` in PATH and the database in the environment; what it prints."""
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", with_places(block.text, places)],
        env=shell_environment(dsn, folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SHELL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def shell_environment(dsn: str, folder: Path) -> dict[str, str]:
    """PATH with the programs that the pages call, and the database under the names that they use."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    program = programs / "pg-tide"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pg_tide_relay "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    binaries = find_binaries(None, (Source.PACKAGES, Source.LOCAL))
    assert binaries, "no psql was found"
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if os.environ.get(name)}
    path = f"{programs}:{binaries.folder}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "LANG": "C.UTF-8", "PG_TIDE_POSTGRES_URL": dsn, "HOME": str(folder)}


@contextmanager
def roles_of(pages: list[Block], database: Database) -> Iterator[None]:
    """Drop the roles that the blocks create, before (an earlier run may have died) and after."""
    names = sorted({name for block in pages for name in _NEW_ROLE.findall(block.text)})

    def drop() -> None:
        with database.connect(autocommit=True) as connection:
            for name in names:
                if connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
                    connection.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(name)))
                    connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))

    drop()
    try:
        yield
    finally:
        drop()
