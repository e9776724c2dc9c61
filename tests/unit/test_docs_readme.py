"""What the pages name exists: make targets, commands and flags, environment variables, SQL names, test folders."""

import re
from functools import cache
from pathlib import Path

import pytest
import typer.main

from pg_tide_relay.cli import build
from pg_tide_relay.commands.failure import ExitCode
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.failpoints import NAMES as FAILPOINTS
from pg_tide_sql.files import schema_files

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def code(page: Path) -> str:
    """Everything on a page that is set as code."""
    return "\n".join(CODE.findall(page.read_text(encoding="utf-8")))


@cache
def sources() -> str:
    """All Python, SQL and make of the product and its tests."""
    folders = ("sql", "wire_formats", "relay", "dev", "tests", "bench")
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if path.name != Path(__file__).name
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in [*files, ROOT / "Makefile"])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", code(page))) <= targets


def test_the_two_commands_of_the_readme_are_demo_and_test() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Two commands")[1].split("\n## ")[0]
    assert re.findall(r"^make (\w+)$", section, re.MULTILINE) == ["demo", "test"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    commands = set(typer.main.get_group(build()).commands)
    assert set(re.findall(r"\bpg-tide (?!to\b|is\b)([a-z]+(?:-[a-z]+)*)", code(page))) <= commands


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_flag_of_pg_tide_that_a_page_names_exists(page: Path) -> None:
    flags = set(re.findall(r"\bpg-tide\b[^\n`]*?(--[a-z-]+)", code(page)))
    flags |= set(re.findall(r"`(--[a-z-]+)", code(page)))
    assert {flag for flag in flags if f'"{flag}"' not in sources()} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_environment_variable_that_a_page_names_is_read(page: Path) -> None:
    named = set(re.findall(r"\b(PG_TIDE_[A-Z_]+|PG_BIN|KAFKA_HOME|JAVA_HOME)\b", code(page)))
    assert {variable for variable in named if variable not in sources()} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_name_in_schema_tide_that_a_page_names_exists(page: Path) -> None:
    schema = "\n".join(file.text for file in schema_files())
    named = set(re.findall(r"(?<![\w.])(tide\.[a-z_]+)(?![\w<])", code(page)))
    assert {one for one in named if not re.search(rf"\b{re.escape(one)}\b", schema)} - {
        "tide.message_"
    } == set()


def test_every_error_class_is_explained_to_operators() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.split("| `error_class` |")[1].split("\n\n")[0]
    explained = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert explained == {str(one) for one in ErrorClass} - {"resend"}  # never a state


def test_every_exit_code_is_explained_to_operators() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.split("| exit code |")[1].split("\n\n")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(ExitCode)


def test_failpoints_and_test_folders_on_the_developers_page_exist() -> None:
    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    assert set(re.findall(r"[=,]([a-z_]+)=(?:kill|sleep)", page)) <= set(FAILPOINTS)
    folders = set(re.findall(r"^\| `(tests/\w+)` \|", page, re.MULTILINE))
    with_tests = {name(path.parent) for path in (ROOT / "tests").glob("*/**/test_*.py")}
    assert folders == {"/".join(folder.split("/")[:2]) for folder in with_tests}
