"""The lists of modules in the packages' own texts are what a reader follows: they name every file and no other."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "sql/pg_tide_sql",
    "wire_formats/pg_tide_wire_formats",
    "relay/pg_tide_relay",
    "relay/pg_tide_relay/commands",
    "relay/pg_tide_relay/config",
    "relay/pg_tide_relay/verify",
    "dev/pg_tide_dev",
)
LISTED = re.compile(r"^([a-z_]+) {2,}(\S.*)$", re.MULTILINE)
NOT_LISTED = {"__init__", "__main__"}


def listed(package: Path) -> list[tuple[str, str]]:
    """The modules that a package's text names, with what it says of each."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    return LISTED.findall(ast.get_docstring(tree) or "")


def modules(package: Path) -> set[str]:
    """The modules and packages in a package's folder."""
    files = {path.stem for path in package.glob("*.py")}
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    return (files | folders) - NOT_LISTED


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_each_of_its_modules_once(package: str) -> None:
    names = [name for name, _ in listed(ROOT / package)]
    assert sorted(names) == sorted(modules(ROOT / package))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_listed_module_is_said_to_do_something(package: str) -> None:
    assert all(len(text.split()) >= 2 for _, text in listed(ROOT / package))


def test_every_module_begins_with_a_text_of_its_own() -> None:
    """A reader who opens any file is told what it is for."""
    mute = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert mute == []
