"""Set-up for a machine that has only Python: makes `.venv` and installs what `uv.lock` pins.

Run by `make` before every target that needs it; does nothing when the lock has not changed since. Nothing but
the standard library. It says what it downloads before it does.
"""

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
UV = "uv==0.13.9"
OLDEST_PYTHON = (3, 11)
INPUTS = ("uv.lock", "pyproject.toml", "dev/bootstrap.py")
CURES = {
    "linux": "Cure: sudo apt install python3-venv   (or the package of that name of your distribution)",
    "darwin": "Cure: brew install python, or the installer of python.org",
}


def main() -> int:
    """Prepare `.venv`; returns the exit status."""
    if sys.version_info < OLDEST_PYTHON:
        return complain(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    with (ROOT / ".bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two calls of make at once share one .venv
        return prepare()


def prepare() -> int:
    """Do what is missing."""
    stamp, wanted = VENV / "set-up-of", fingerprint()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return 0
    if not (VENV / "bin" / "python").exists():
        if importlib.util.find_spec("ensurepip") is None:
            return complain(f"this Python has no module venv. {CURES.get(sys.platform, CURES['linux'])}")
        say(f"making .venv with Python {sys.version.split()[0]}")
        if run([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            return complain(f"the module venv failed. {CURES.get(sys.platform, CURES['linux'])}")
    say("downloading the packages of uv.lock, about 150 MB: PostgreSQL, a Java runtime, tools")
    python = str(VENV / "bin" / "python")
    steps = [
        [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", UV],
        [python, "-m", "uv", "sync", "--frozen", "--inexact", "--extra", "dev"],
    ]
    for step in steps:
        if run(step) != 0:
            return complain(f"could not be completed: {' '.join(step)}")
    stamp.write_text(wanted, encoding="ascii")
    return 0


def run(command: list[str]) -> int:
    """Run a step inside the repository, with uv told which environment is meant."""
    settings = {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")
    }
    return subprocess.run(command, cwd=ROOT, env={**inherited, **settings}, check=False).returncode


def fingerprint() -> str:
    """Changes when the set-up has to be done again."""
    content = b"\0".join((ROOT / name).read_bytes() for name in INPUTS)
    return hashlib.sha256(content + sys.version.encode() + str(ROOT).encode()).hexdigest()


def say(text: str) -> None:
    """Tell the user what happens."""
    print(f"set-up: {text}", flush=True)


def complain(text: str) -> int:
    """Say in one line what is wrong."""
    print(f"set-up: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
