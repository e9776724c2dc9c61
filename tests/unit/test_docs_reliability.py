"""The page about reliability: each row that says what happens names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
SECTION = TEXT.split("## What happens when")[1].split("\n## ")[0]
ROWS = [line for line in SECTION.splitlines() if line.startswith("| ")][1:]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_what_happens_is_proven_by_a_test_that_exists(row: str) -> None:
    """In the last column; and a test function of that name."""
    named = re.findall(r"`(test_\w+)`", row.split("|")[3])
    assert named
    assert set(named) <= TESTS


def test_the_page_has_rows_and_every_test_that_it_names_exists() -> None:
    assert len(ROWS) > 15
    assert set(re.findall(r"`(test_\w+)`", TEXT)) <= TESTS


def test_the_page_has_one_place_for_what_was_found() -> None:
    """And it was filled: `make torture-report`."""
    (table,) = re.findall(r"<!-- torture: begin -->\n(.*?)<!-- torture: end -->", TEXT, re.DOTALL)
    assert "**0** lost, **0** reordered" in table
