"""The wall clock of relays, which a test may step; the monotonic clock goes on as it is."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
COMPILERS = ("cc", "gcc", "clang")


class Clock:
    """What is added to the wall clock of the processes with `environment`."""

    def __init__(self, library: Path, offset: Path) -> None:
        self._offset = offset
        self.environment = {"LD_PRELOAD": str(library), "TORTURE_CLOCK": str(offset)}
        self.step(0)

    def step(self, seconds: int) -> None:
        """From now on their clock is this far ahead of the machine's, or behind it."""
        file = os.open(self._offset, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(file, struct.pack("=q", seconds * 10**9), 0)
        finally:
            os.close(file)


def new_clock(folder: Path) -> Clock | None:
    """None where there is no C compiler, or no library that could be preloaded: nobody steps the clock there."""
    compiler = next((found for found in map(shutil.which, COMPILERS) if found), None)
    if compiler is None or not os.uname().sysname.startswith("Linux"):
        return None
    library = folder / "clock.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(command, check=False, capture_output=True)
    return Clock(library, folder / "offset") if done.returncode == 0 else None
