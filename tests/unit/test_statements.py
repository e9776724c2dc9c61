"""Named statements: how files of paragraphs are read, and that the shipped ones are sound."""

import ast
import re
from pathlib import Path

import pglast
import pytest

import pg_tide_relay.settings
from pg_tide_sql.statements import (
    StatementsError,
    UnknownStatementError,
    read_statements,
    statement,
    statements,
)

RELAY = Path(pg_tide_relay.settings.__file__).parent


def written(folder: Path, text: str, name: str = "a.sql") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_paragraph_is_its_sql_without_comments_and_semicolon(tmp_path: Path) -> None:
    text = (
        "-- About the file.\n\n-- name: one\n-- Why.\n-- When.\nselect 1 -- inner\n  as x;\n\n"
        "-- name: two\nselect ';'\n"
    )
    assert read_statements(written(tmp_path, text)) == {
        "one": "select 1 -- inner\n  as x",
        "two": "select ';'",
    }


def test_remarks_between_paragraphs_belong_to_no_statement(tmp_path: Path) -> None:
    text = "-- name: one\nselect 1;\n\n-- Now the second part.\n\n-- name: two\nselect 2;\n"
    assert read_statements(written(tmp_path, text)) == {"one": "select 1", "two": "select 2"}


def test_only_sql_files_are_read(tmp_path: Path) -> None:
    written(tmp_path, "nonsense", "notes.txt")
    assert read_statements(written(tmp_path, "-- name: one\nselect 1;\n")) == {"one": "select 1"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select 1;\n-- name: one\nselect 1;\n", "before the first line"),
        ("select 1;\n", "before the first line"),
        ("-- name: one\nselect 1;\n-- name: one\nselect 2;\n", "exists already"),
        ("-- name: One-Two\nselect 1;\n", "is no name"),
        ("-- name:\nselect 1;\n", "is no name"),
        ("-- name: one\n-- only words\n", "is empty"),
        ("-- name: one\n;\n", "is empty"),
    ],
)
def test_a_file_that_is_not_made_of_paragraphs_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(StatementsError, match=reason):
        read_statements(written(tmp_path, text))


def test_a_name_in_two_files_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "-- name: one\nselect 1;\n", "a.sql")
    with pytest.raises(StatementsError, match=r"b\.sql: a statement named one exists"):
        read_statements(written(tmp_path, "-- name: one\nselect 1;\n", "b.sql"))


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UnknownStatementError, match="no statement is named 'cursor_setle'"):
        statement("cursor_setle")


@pytest.mark.parametrize("name", sorted(statements()))
def test_shipped_statement_is_one_statement_of_postgresql(name: str) -> None:
    text = re.sub(r"%\(\w+\)s", "$1", statement(name))
    if "{" in text and not text.startswith("do "):
        text = re.sub(r"\{\w+\}", "x", text).replace("{{", "{").replace("}}", "}")
    assert len(pglast.parse_sql(text)) == 1


def test_every_shipped_statement_is_used_and_every_used_one_is_shipped() -> None:
    assert names_in_programs() == set(statements())


def names_in_programs() -> set[str]:
    """Names that programs pass to `statement`, directly or through a tuple of names."""
    shipped = set(statements())
    found = set()
    for path in RELAY.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "statement" and node.args:
                found |= {str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in shipped:
                found.add(node.value)
    return found
