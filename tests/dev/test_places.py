"""Copies of programs that a server's user can enter."""

import os
import stat
from pathlib import Path

import pytest

from pg_tide_dev import places
from pg_tide_dev.errors import DevError
from pg_tide_dev.places import enterable, programs_folder, reachable_copy, server_user


@pytest.fixture
def private_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs below a folder of mode 0700, installed under a strict umask; copies go to a folder of the test's own."""
    monkeypatch.setattr(places, "programs_folder", lambda: tmp_path / "copies")
    (tmp_path / "copies").mkdir()
    home = tmp_path / "home"
    (home / "wheel" / "bin").mkdir(parents=True)
    (home / "wheel.libs").mkdir()
    (home / "wheel" / "bin" / "server").write_text("#!/bin/sh\n", encoding="ascii")
    (home / "wheel.libs" / "lib.so").write_bytes(b"lib")
    (home / "wheel" / "bin" / "link").symlink_to("server")
    (home / "wheel" / "bin" / "server").chmod(0o700)
    (home / "wheel.libs" / "lib.so").chmod(0o600)
    home.chmod(0o700)
    return home


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("private_programs")
def test_a_copy_can_be_read_and_run_by_everybody(private_programs: Path) -> None:
    """What a strict umask took away is given back, and the parts keep their places."""
    copy = reachable_copy(private_programs, ["wheel/bin", "wheel.libs"], name="wheel-1")
    if server_user() is None:
        assert copy == private_programs
        return
    assert mode(copy / "wheel" / "bin" / "server") & 0o555 == 0o555
    assert mode(copy / "wheel.libs" / "lib.so") & 0o444 == 0o444
    assert (copy / "wheel" / "bin" / "link").readlink() == Path("server")
    assert all(mode(folder) & 0o755 == 0o755 for folder in (copy, copy / "wheel", copy / "wheel.libs"))


def test_a_copy_that_lost_a_file_is_made_again(private_programs: Path) -> None:
    """Some systems remove old files from the temporary folder one by one."""
    copy = reachable_copy(private_programs, ["wheel.libs"], name="wheel-1")
    if server_user() is None:
        assert copy == private_programs
        return
    (copy / "wheel.libs" / "lib.so").unlink()
    assert (
        reachable_copy(private_programs, ["wheel.libs"], name="wheel-1") / "wheel.libs" / "lib.so"
    ).is_file()


def test_a_folder_is_enterable_only_when_every_parent_is(tmp_path: Path) -> None:
    """One closed door on the way is enough to keep the servers' user out."""
    inner = tmp_path / "closed" / "open"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    assert enterable(inner) == (server_user() is None)


def test_a_programs_folder_that_others_can_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write there could have the caller run anything."""
    monkeypatch.setattr(places, "temporary_base", lambda: tmp_path)
    folder = tmp_path / f"pg-tide-programs-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(DevError, match="can be written by others"):
        programs_folder()
