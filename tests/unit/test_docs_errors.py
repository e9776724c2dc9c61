"""The page of errors says what the SQL raises and what the relay's tables have."""

import re
from pathlib import Path

from errors_reference import page_text

ROOT = Path(__file__).parents[2]
SQL = ROOT / "sql" / "pg_tide_sql"
PAGE = ROOT / "docs" / "errors.md"
CODE = re.compile(r"'(TD\d{3})'")
ROW = re.compile(r"^\| `(TD\d{3})` \| (.+?) \| (.+?) \|$", re.MULTILINE)


def raised() -> set[str]:
    """Codes in the SQL that runs in the database or is sent to it."""
    files = [*(SQL / "schema").glob("*.sql"), *(SQL / "statements").glob("*.sql")]
    return {code for path in files for code in CODE.findall(path.read_text(encoding="utf-8"))}


def rows() -> list[tuple[str, str, str]]:
    """(code, meaning, cure) of each row of the page."""
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def said() -> set[str]:
    """Codes that the relay says of pipelines."""
    relay = (ROOT / "relay" / "pg_tide_relay").rglob("*.py")
    return {code for path in relay for code in re.findall(r'"(TD\d{3})"', path.read_text(encoding="utf-8"))}


def test_every_code_that_is_raised_or_said_stands_on_the_page_and_no_other() -> None:
    assert said()
    assert {code for code, _, _ in rows()} == raised() | said()


def test_a_code_stands_on_the_page_once_with_a_meaning_and_a_cure() -> None:
    codes = [code for code, _, _ in rows()]
    assert len(codes) == len(set(codes))
    assert all(len(meaning.split()) > 3 and len(cure.split()) > 2 for _, meaning, cure in rows())


def test_every_raised_error_names_a_cure() -> None:
    """Each RAISE with a code of ours carries a HINT."""
    for path in sorted((SQL / "schema").glob("*.sql")):
        for statement in re.findall(r"raise exception using.*?;\s*$", path.read_text("utf-8"), re.M | re.S):
            assert "hint" in statement, f"{path.name}: {statement}"


def test_the_tables_of_kafka_and_postgresql_are_those_of_the_relay() -> None:
    """Stale: `python tests/errors_reference.py`."""
    page = PAGE.read_text(encoding="utf-8")
    assert page_text(page) == page
