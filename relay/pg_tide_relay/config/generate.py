"""Writes what is generated from the models: ``python -m pg_tide_relay.config.generate [--check]``.

The rule document and the view ``tide.config_keys`` in SQL, and the tables between the marks of
``docs/reference/configuration.md``. With ``--check`` nothing is written: exit code 1 and the names of the
files that are stale.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

from pg_tide_relay.config.keys import Key, keys_of
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.relations import Relation
from pg_tide_relay.config.rules import pipeline_rules

SQL_FILE = Path("sql/pg_tide_sql/schema/0300_config_rules.sql")
DOCS_FILE = Path("docs/reference/configuration.md")
_SQL_TEMPLATE = Path(__file__).with_name("config_rules.sql.template")
_MARKS = "<!-- generated: {name} -->", "<!-- end of generated: {name} -->"


class MarkMissingError(ValueError):
    """A page lacks the marks between which its generated part belongs."""


def sql_text() -> str:
    """The whole text of the generated SQL file."""
    template = Template(_SQL_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        rules=json.dumps(pipeline_rules(), indent=1, ensure_ascii=False, sort_keys=True),
        keys=",\n".join(f"    ({_sql_row(number, key)})" for number, key in _numbered_keys()),
    )


def docs_text(page: str) -> str:
    """The reference page with its generated parts renewed."""
    page = _replaced(page, "keys", _keys_table(key for _, key in _numbered_keys()))
    page = _replaced(page, "relations", _relations_list(PipelineConfig.RELATIONS))
    return _replaced(page, "not yet", ", ".join(f"`{name}`" for name in PipelineConfig.NOT_YET))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the generated files below the current folder, or ``--root``."""
    parser = argparse.ArgumentParser(prog="python -m pg_tide_relay.config.generate")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 when a file is stale"
    )
    parser.add_argument("--root", type=Path, default=Path(), help="the repository's folder")
    options = parser.parse_args(arguments)
    docs = options.root / DOCS_FILE
    texts = {
        options.root / SQL_FILE: sql_text(),
        docs: docs_text(docs.read_text(encoding="utf-8")),
    }
    stale = [path for path, text in texts.items() if not _holds(path, text)]
    if options.check:
        for path in stale:
            sys.stderr.write(f"{path} is stale: run make generate\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(texts[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 0


def _numbered_keys() -> Iterable[tuple[int, Key]]:
    return enumerate(keys_of(PipelineConfig), start=1)


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _sql_row(number: int, key: Key) -> str:
    default = "null" if key.default is None else _sql_quoted(key.default)
    texts = (key.path, key.type, key.accepts, key.unit)
    more = (key.description, key.reason, key.reaches)
    return ", ".join(
        [
            str(number),
            *map(_sql_quoted, texts),
            str(key.required).lower(),
            default,
            *map(_sql_quoted, more),
        ]
    )


def _sql_quoted(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def _keys_table(keys: Iterable[Key]) -> str:
    rows = [
        "| key | type | default | accepts | meaning | why this default | takes effect as |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in keys:
        default = "required" if key.default is None else f"`{key.default}`"
        cells = (
            f"`{key.path}`",
            key.type,
            default,
            key.accepts,
            key.description,
            key.reason,
            key.reaches or "",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _relations_list(relations: Iterable[Relation]) -> str:
    return "\n".join(
        f"- {relation.severity} at `{relation.at}`: {relation.message}" for relation in relations
    )


def _replaced(page: str, name: str, content: str) -> str:
    begin, end = (mark.format(name=name) for mark in _MARKS)
    before, found, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise MarkMissingError(f"{DOCS_FILE} needs the lines {begin} and {end}")
    return f"{before}{begin}\n{content}\n{end}{after}"


if __name__ == "__main__":
    sys.exit(main())
