"""The page that tells the way of a message leads through files that exist, and past none of the relay's modules."""

import re
from pathlib import Path

import pytest

from pg_tide_sql.statements import statements

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")
NAMED_FILES = sorted(set(re.findall(r"`((?:sql|relay|wire_formats|dev)/[\w./-]+)`", TEXT)))
RELAY = ROOT / "relay" / "pg_tide_relay"


@pytest.mark.parametrize("name", NAMED_FILES)
def test_a_file_named_on_the_page_exists(name: str) -> None:
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("module", sorted(path.stem for path in RELAY.glob("[!_]*.py")))
def test_a_module_of_the_relay_is_named_on_the_page(module: str) -> None:
    assert f"relay/pg_tide_relay/{module}.py" in NAMED_FILES


@pytest.mark.parametrize(
    "path", sorted(path.name for path in (ROOT / "sql/pg_tide_sql/schema").glob("*.sql"))
)
def test_a_file_of_the_schema_is_named_on_the_page(path: str) -> None:
    assert f"sql/pg_tide_sql/schema/{path}" in NAMED_FILES


def test_the_stages_are_named_in_the_order_in_which_the_pipeline_has_them() -> None:
    stages = re.findall(r"^## \d+\. (.+)$", TEXT, re.MULTILINE)
    assert [stage.split()[0].strip(":") for stage in stages] == [
        "Publish", "A", "Own", "Open", "Read", "Shape", "Hand", "Reports", "Settle", "Beside",
    ]  # fmt: skip


def test_the_statements_of_a_window_are_those_that_the_relay_sends() -> None:
    section = TEXT.split("## 4. ")[1].split("## 5. ")[0]
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", section))
    assert {"tick", "window_open", "window_first_id", "window_stragglers", "is_flushed", "flush"} == named
    assert named <= set(statements())
