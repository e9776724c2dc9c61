"""Writes `docs/sql-reference.md` from the catalogue of an installed schema: signatures, columns and COMMENTs.

`python tests/sql_reference.py` starts a PostgreSQL, installs the schema and writes the page; a test tells when it
is stale. Names that begin with an underscore are internal and left out.
"""

import re
from pathlib import Path

import psycopg

PAGE = Path(__file__).parents[1] / "docs" / "sql-reference.md"

HEAD = """# SQL reference

<!-- Written from the COMMENTs of the schema by tests/sql_reference.py: do not edit. -->

Arguments are given by position or by name (`retention_hours => 48`); those with a default may be left out. Errors are
in [errors.md](errors.md), the keys of a configuration in [reference/configuration.md](reference/configuration.md),
examples in [getting-started.md](getting-started.md) and [operations.md](operations.md).
"""

TABLES_HEAD = """## Tables

To read by hand; only the functions above write them. `\\d+` in psql shows what each column means.

| table | holds |
|---|---|"""

LINE_LENGTH_MAX = 115
_CAST = re.compile(r"::[a-z ]+(\[\])?")

FAMILIES = {
    "Publishing": ("outbox_publish", "outbox_publish_batch"),
    "Outboxes": ("outbox_",),
    "Pipelines": ("relay_",),
    "Consumer groups": ("group_",),
    "Row schemas": ("row_schema_",),
    "Roles": ("role_",),
    "Running": ("",),
}
"""Headings, and what the names of the functions below them begin with; the first that fits."""

FUNCTIONS = """
select p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), obj_description(p.oid, 'pg_proc')
  from pg_proc p
 where p.pronamespace = 'tide'::regnamespace and p.proname not like '\\_%' and p.prorettype <> 'trigger'::regtype
 order by p.proname"""

VIEWS = """
select c.relname, obj_description(c.oid, 'pg_class'),
       (select string_agg(format('`%s` %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)
  from pg_class c
 where c.relnamespace = 'tide'::regnamespace and c.relkind = 'v' and c.relname not like '\\_%' order by c.relname"""

TABLES = """
select c.relname, obj_description(c.oid, 'pg_class')
  from pg_class c
 where c.relnamespace = 'tide'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by c.relname"""


def reference(dsn: str) -> str:
    """The page, from a database with the schema and without any outbox."""
    with psycopg.connect(dsn) as connection:
        connection.execute("set search_path = pg_catalog")
        functions = connection.execute(FUNCTIONS).fetchall()
        views = connection.execute(VIEWS).fetchall()
        tables = connection.execute(TABLES).fetchall()
    parts = [HEAD]
    for family in FAMILIES:
        parts.append(f"## {family}\n")
        parts += [_function(*row) for row in functions if family_of(row[0]) == family]
    parts.append("## Views\n")
    parts += [
        f"### tide.{name}\n\n{_sentence(comment)}\n\n{_wrapped(_types(columns))}\n"
        for name, comment, columns in views
    ]
    parts.append(TABLES_HEAD)
    parts += [f"| `tide.{name}` | {comment.replace('<', '&lt;')} |" for name, comment in tables]
    return "\n".join(parts) + "\n"


def family_of(function: str) -> str:
    """The heading below which a function stands."""
    return next(family for family, prefixes in FAMILIES.items() if function.startswith(prefixes))


def _function(name: str, arguments: str, result: str, comment: str) -> str:
    given = [_plain(one) for one in arguments.split(", ")] if arguments else []
    call = f"tide.{name}({', '.join(given)})"
    if len(call) > LINE_LENGTH_MAX:
        lines = ",\n".join(f"  {one}" for one in given)
        call = f"tide.{name}(\n{lines}\n)"
    return f"### tide.{name}\n\n```text\n{call}\nreturns {_types(result)}\n```\n\n{_sentence(comment)}\n"


def _plain(argument: str) -> str:
    """An argument without the casts that the catalogue shows in defaults."""
    declared, default, value = argument.partition(" DEFAULT ")
    return _types(declared) + (f" default {_CAST.sub('', value).replace('NULL', 'null')}" if default else "")


def _types(text: str) -> str:
    return (
        text.replace("timestamp with time zone", "timestamptz")
        .replace("SETOF", "setof")
        .replace("TABLE", "table")
    )


def _sentence(comment: str) -> str:
    return _wrapped(comment.rstrip(".") + ".").replace("<", "&lt;")


def _wrapped(text: str) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LINE_LENGTH_MAX:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def main() -> None:
    """Write the page, from a server of its own."""
    # Only the script needs them; the test brings a database.
    from pg_tide_dev.databases import create_database
    from pg_tide_dev.postgres import start_postgres
    from pg_tide_dev.processes import Run
    from pg_tide_relay.install import install

    with Run() as run:
        database = create_database(start_postgres(run, 18))
        install(database.dsn)
        PAGE.write_text(reference(database.dsn), encoding="utf-8")


if __name__ == "__main__":
    main()
