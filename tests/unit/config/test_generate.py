"""The generated files are those of the models, and stale ones are noticed."""

from pathlib import Path

import pytest

from pg_tide_relay.config.generate import DOCS_FILE, SQL_FILE, MarkMissingError, docs_text, main
from pg_tide_relay.config.models import PipelineConfig

ROOT = Path(__file__).parents[3]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the generated files as they are in the repository."""
    for file in (SQL_FILE, DOCS_FILE):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    return tmp_path


def test_the_generated_files_are_fresh() -> None:
    """Whoever changes the models also runs `make generate`."""
    assert main(["--check", "--root", str(ROOT)]) == 0


@pytest.mark.parametrize("file", [SQL_FILE, DOCS_FILE])
def test_a_stale_file_is_named_and_left_alone(
    copy: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` fails and writes nothing; without it the file is renewed."""
    stale = (copy / file).read_text(encoding="utf-8").replace("linger_ms", "linger_s")
    (copy / file).write_text(stale, encoding="utf-8")
    assert main(["--check", "--root", str(copy)]) == 1
    assert str(file) in capsys.readouterr().err
    assert (copy / file).read_text(encoding="utf-8") == stale
    assert main(["--root", str(copy)]) == 0
    assert (copy / file).read_bytes() == (ROOT / file).read_bytes()


def test_every_key_is_in_the_reference_once() -> None:
    """The table has a row for each key."""
    page = (ROOT / DOCS_FILE).read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| `")]
    keys = [f"`{name}`" for name in PipelineConfig.model_fields]
    assert [row for row in rows if row in keys] == keys


def test_a_page_without_marks_is_not_overwritten() -> None:
    """Prose that lost its marks is reported, not replaced."""
    with pytest.raises(MarkMissingError):
        docs_text("# Configuration\n")
