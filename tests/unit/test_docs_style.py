"""What every text of the repository keeps to: no place of a machine it was written on, links that lead somewhere."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IGNORED = {".git", ".venv", "build", "dist", "__pycache__", "node_modules", "vendor"}
SUFFIXES = {
    "", ".cfg", ".csv", ".dockerfile", ".json", ".lock", ".md", ".psql", ".py", ".sha256", ".sh", ".sql",
    ".template", ".toml", ".txt", ".yaml", ".yml",
}  # fmt: skip
# Absolute paths below these belong to one machine. Written in parts, so that this file does not name them itself.
PLACES = re.compile(
    "|".join((r"/wo" r"rk/", r"/ro" r"ot/", r"/ho" r"me/[a-z]", r"/Us" r"ers/", r"[A-Z]:\\Us" r"ers"))
)
# Whoever installs decides where packages come from; uv.lock names the public index and nothing else.
REGISTRIES = re.compile(
    r"""https?://[^\s"'`)>\]]*\b(?:artifactory|nexus|pypi|mirror|registry|proxy)\b[^\s"'`)>\]]*""",
    re.IGNORECASE,
)
PUBLIC_INDEX = "https://pypi.org/simple"
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def is_text(path: Path) -> bool:
    """Whether people write this file, or it is the lock file."""
    *folders, file = path.relative_to(ROOT).parts
    hidden = any(folder in IGNORED or (folder.startswith(".") and folder != ".ci") for folder in folders)
    return (
        not hidden
        and file != ".git"  # of a work tree
        and path.is_file()
        and path.suffix.lower() in SUFFIXES
        and not file.startswith((".bootstrap", ".coverage"))
    )


def texts() -> list[Path]:
    """Every file of the repository that people write."""
    found = [path for path in sorted(ROOT.rglob("*")) if is_text(path)]
    assert {"README.md", "Makefile", "run", "pyproject.toml", "0100_schema.sql"} <= {
        path.name for path in found
    }
    return found


def pages() -> list[Path]:
    """Every page of the documentation."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """A page's text without fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchor(heading: str) -> str:
    """The anchor that a heading gets."""
    words = re.sub(r"[^\w\s-]", "", heading.replace("`", "").lower())
    return re.sub(r"\s", "-", words.strip())


def test_no_file_names_a_place_of_the_machine_it_was_written_on() -> None:
    found = {name(path): PLACES.findall(read(path)) for path in texts()}
    assert {path: places for path, places in found.items() if places} == {}


def test_no_file_names_a_host_that_packages_come_from_but_the_public_index() -> None:
    found = {name(path): set(REGISTRIES.findall(read(path))) - {PUBLIC_INDEX} for path in texts()}
    assert {path: hosts for path, hosts in found.items() if hosts} == {}


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for target in LINK.findall(without_code(read(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} does not exist"
        if fragment:
            assert fragment in {anchor(heading) for heading in HEADING.findall(read(linked))}, target


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_page_has_one_title_and_no_line_that_scrolls(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    long = [
        line
        for line in text.splitlines()
        if len(line) > 125 and not line.startswith(("|", "- error", "- warning"))
    ]
    assert long == []


@pytest.mark.parametrize("page", pages(), ids=name)
def test_no_page_promises_what_is_still_to_be_written(page: Path) -> None:
    assert re.findall(r"\b(?:TODO|FIXME|TBD|XXX|coming soon|lorem ipsum)\b", read(page), re.IGNORECASE) == []
