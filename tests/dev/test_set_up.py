"""Set-up on a machine that has only Python and make."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INPUTS = ("uv.lock", "pyproject.toml", "dev/bootstrap.py")


@pytest.fixture
def bare_clone(tmp_path: Path) -> Path:
    """The files that set-up reads, in a place where nothing is set up."""
    (tmp_path / "dev").mkdir()
    for name in INPUTS:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def bootstrap(clone: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the set-up, after some lines that change what Python finds."""
    program = f"import runpy, sys\n{before}\nrunpy.run_path('dev/bootstrap.py', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=clone, capture_output=True, text=True, check=False
    )


def test_a_python_without_venv_gives_one_line_with_the_cure(bare_clone: Path) -> None:
    """Debian leaves the module out of its Python."""
    finished = bootstrap(bare_clone, "sys.modules['ensurepip'] = None")
    assert finished.returncode == 1
    [line] = finished.stderr.splitlines()
    assert "apt install python3-venv" in line or sys.platform == "darwin"
    assert not (bare_clone / ".venv").exists()


def test_an_old_python_is_refused_in_one_line(bare_clone: Path) -> None:
    """The message says what is needed and what was found."""
    finished = bootstrap(bare_clone, "sys.version_info, sys.version = (3, 10, 0), '3.10.0 (old)'")
    assert finished.returncode == 1
    assert finished.stderr == "set-up: Python 3.11 or newer is needed; this is 3.10.0.\n"


def test_make_alone_prints_every_target_and_changes_nothing(tmp_path: Path) -> None:
    """The help is complete: a target without a line of help is missing from it."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    environment = {"PATH": os.environ["PATH"]}
    printed = subprocess.run(
        ["make"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = makefile.split(".PHONY:")[1].splitlines()[0].split()
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("  make ")] == declared
    assert {"demo", "test", "lint", "up", "down", "bench", "clean", "generate", "verify"} <= set(declared)
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
