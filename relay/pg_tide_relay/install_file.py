"""Writes ``pg-tide-install.sql``: what ``pg-tide install`` does, as one file for psql.

``python -m pg_tide_relay.install_file`` writes it, ``--check`` tells whether it is stale (exit code 1). The
frame is ``psql/install.psql`` of the SQL package; marks such as ``@files@`` stand for the schema files and
the statements that both ways share, with the values of placeholders written into them.
"""

import argparse
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

from psycopg.sql import Literal

import pg_tide_sql
from pg_tide_relay.install import INSTALLER_WAIT, LOCK_TIMEOUT
from pg_tide_relay.migrations import SchemaSource, packaged_source
from pg_tide_sql.statements import statement

FILE_NAME: Final = "pg-tide-install.sql"

_MARK: Final = re.compile(r"@([a-z_]+)@")
_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)s")


def install_file(source: SchemaSource) -> str:
    """The text of the file for a schema version."""
    parts = {
        name: _filled(statement(name), source.version, source.release)
        for name in ("install_session", "install_lock", "install_lock_timeout", "install_check")
    } | {
        "release": source.release,
        "version": str(source.version),
        "installed_version": statement("installed_version"),
        "install_record": _filled(statement("install_record"), source.version, source.release),
        "files": "\n".join(_headed(file.name, file.text) for file in source.files).rstrip(),
        "steps": "".join(_step(source, step.version) for step in source.steps),
    }
    return _framed("install.psql", parts)


def _step(source: SchemaSource, version: int) -> str:
    step = next(step for step in source.steps if step.version == version)
    parts = {
        "version": str(version),
        "file": _headed(step.name, step.text).rstrip(),
        "install_record": _filled(statement("install_record"), version, source.release),
    }
    return _framed("step.psql", parts)


def _framed(frame: str, parts: dict[str, str]) -> str:
    text = (files(pg_tide_sql) / "psql" / frame).read_text(encoding="utf-8")
    return _MARK.sub(lambda mark: parts[mark[1]], text)


def _filled(sql: str, version: int, release: str) -> str:
    values: dict[str, str | int] = {
        "version": version,
        "release": release,
        "installer_wait": INSTALLER_WAIT,
        "lock_timeout": LOCK_TIMEOUT,
    }
    return _PLACEHOLDER.sub(lambda place: Literal(values[place[1]]).as_string(), sql)


def _headed(name: str, text: str) -> str:
    return f"-- ---- {name} ----\n{text}"


def main(arguments: list[str] | None = None) -> int:
    """Write or check the packaged file."""
    parser = argparse.ArgumentParser(prog="python -m pg_tide_relay.install_file", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether the file is stale")
    check = parser.parse_args(arguments).check
    path = Path(str(files(pg_tide_sql))) / FILE_NAME
    text = install_file(packaged_source())
    if not check:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path} is stale; run: make generate", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
