"""Folders: the download cache, and copies of programs that a server's user can enter.

Called by root, servers run as another user, because PostgreSQL refuses root. That user can enter neither a
virtual environment nor a cache below a home of mode 0700, so such programs are copied to a folder below the
system's temporary folder, once, and used from there.
"""

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pg_tide_dev.errors import DevError

SERVER_USER = "nobody"  # exists on every Linux and macOS
COUNT_FILE = "files"
CACHE_VARIABLE = "PG_TIDE_CACHE"


@dataclass(frozen=True, kw_only=True)
class ServerUser:
    """The user that servers run as when the caller is root."""

    uid: int
    gid: int


def server_user() -> ServerUser | None:
    """The user that servers run as; None where they run as the caller."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(SERVER_USER)
    return ServerUser(uid=entry.pw_uid, gid=entry.pw_gid)


def give(path: Path) -> None:
    """Give a file or folder to the servers' user, and to nobody else."""
    user = server_user()
    if user is not None:
        os.chown(path, user.uid, user.gid)


def cache_folder() -> Path:
    """Where downloads are kept from one run to the next."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        folder = Path(chosen).expanduser().resolve()
    else:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(home).expanduser() / "pg-tide"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def temporary_base() -> Path:
    """The system's temporary folder, or the first usual one that a server's user can enter."""
    candidates = [Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")]
    for candidate in candidates:
        if candidate.is_dir() and os.access(candidate, os.W_OK) and enterable(candidate):
            return candidate
    raise DevError(f"none of {', '.join(map(str, candidates))} can be entered by the user {SERVER_USER!r}")


def enterable(folder: Path) -> bool:
    """Whether the servers' user can reach the folder: every parent must let others through."""
    if server_user() is None:
        return True
    resolved = folder.resolve()
    return all(step.stat().st_mode & stat.S_IXOTH for step in (resolved, *resolved.parents))


def programs_folder() -> Path:
    """The folder of this user's copied programs; refuses one that someone else has prepared."""
    folder = temporary_base() / f"pg-tide-programs-{os.geteuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise DevError(f"{folder} belongs to someone else or can be written by others: remove it")
    folder.chmod(0o755)
    return folder


def reachable_copy(base: Path, parts: Sequence[str], *, name: str) -> Path:
    """`base` itself where the servers' user can enter it, else a folder that holds a copy of its `parts`.

    The parts keep their places relative to each other (programs find their libraries that way). `name` says what
    they are, with their version: two clones of this repository share a copy.
    """
    if enterable(base):
        return base
    target = programs_folder() / name
    if is_complete(target):
        return target
    draft = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=target.parent))
    try:
        for part in parts:
            (draft / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(base / part, draft / part, symlinks=True)
        make_readable(draft)
        (draft / COUNT_FILE).write_text(str(count_files(draft)), encoding="ascii")
        shutil.rmtree(target, ignore_errors=True)
        publish(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def is_complete(copy: Path) -> bool:
    """Whether a copy has every file: some systems remove old files from the temporary folder one by one."""
    try:
        return int((copy / COUNT_FILE).read_text(encoding="ascii")) == count_files(copy)
    except (FileNotFoundError, ValueError):
        return False


def count_files(tree: Path) -> int:
    """The number of files in a tree, the count itself left out."""
    return sum(len(files) for _, _, files in os.walk(tree)) - (tree / COUNT_FILE).exists()


def make_readable(tree: Path) -> None:
    """Let everybody read a tree and run its programs: a strict umask of the installer is not copied."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for path in (Path(folder) / name for name in files):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if mode & 0o100 else 0o444))


def publish(draft: Path, target: Path) -> None:
    """Give a finished draft its name; another process that was faster has made the same."""
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise
