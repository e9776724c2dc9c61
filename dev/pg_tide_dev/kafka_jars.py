"""Fetches jars, Kafka's and others, through `jgo` and checks their sums.

Every coordinate is pinned: a resolver left alone picks jars of different releases that do not work together.
The sums are kept in files of this repository: a jar that differs from the one that was tested is refused, wherever it
came from.
"""

import hashlib
import os
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pg_tide_dev.errors import ServerUnavailableError
from pg_tide_dev.places import cache_folder, publish, reachable_copy

KAFKA_VERSION = "4.3.1"
SUMS_FILE = Path(__file__).with_name("kafka_jars.sha256")
BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
DOWNLOADS_AT_ONCE = 4
DOWNLOAD_TIMEOUT_SECONDS = 60

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Jar:
    """A pinned file: group, artifact and version as Maven names it, its size and its sum."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str
    classifier: str = ""
    packaging: str = "jar"

    @property
    def name(self) -> str:
        """The file's name."""
        parts = (self.artifact, self.version, self.classifier)
        return f"{'-'.join(filter(None, parts))}.{self.packaging}"


def pinned_jars(sums: Path = SUMS_FILE) -> tuple[Jar, ...]:
    """The files that a file of sums lists: `group:artifact:version`, `:classifier:packaging` for what is no jar."""
    jars = []
    for line in sums.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            sha256, size, coordinate = line.split()
            group, artifact, version, *kind = coordinate.split(":")
            jar = Jar(group=group, artifact=artifact, version=version, size=int(size), sha256=sha256)
            jars.append(replace(jar, classifier=kind[0], packaging=kind[1]) if kind else jar)
    return tuple(jars)


def kafka_jars(progress: Progress = print) -> Path:
    """The folder of Kafka's jars, where the servers' user can read them; downloads them once per cache."""
    folder = jar_folder(f"kafka-{KAFKA_VERSION}", SUMS_FILE, progress)
    # resolved: the class archive is made for one place of the jars, however it is called
    return (reachable_copy(folder.parent, [folder.name], name=folder.name) / folder.name).resolve()


def jar_folder(name: str, sums: Path, progress: Progress = print) -> Path:
    """The folder of the jars that a file of sums lists; downloads them once per cache and content of the file.

    `name` is the beginning of the folder's, and says in the progress whose jars they are.
    """
    folder = cache_folder() / f"{name}-{hashlib.sha256(sums.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        try:
            download(name, pinned_jars(sums), draft, progress)
            draft.chmod(0o755)
            publish(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def download(name: str, jars: tuple[Jar, ...], folder: Path, progress: Progress) -> None:
    """Download jars into a folder, checking each; progress is told in tenths of the bytes."""
    total = sum(jar.size for jar in jars)
    progress(f"{name}: downloading {len(jars)} jars, {megabytes(total)}, into {folder.parent}")
    done, told = 0, 0
    with (
        system_certificates(),
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
    ):
        waiting = {pool.submit(fetch, jar, Path(scratch)): jar for jar in jars}
        try:
            for finished in as_completed(waiting):
                jar = waiting[finished]
                check(jar, finished.result()).rename(folder / jar.name)
                done += jar.size
                if done * 10 // total > told:
                    told = done * 10 // total
                    progress(f"{name}: {megabytes(done)} of {megabytes(total)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress(f"{name}: the sums of all {len(jars)} jars are right")


@contextmanager
def system_certificates() -> Iterator[None]:
    """Let downloads trust what this system trusts, a company's own certificate authority included.

    The HTTP library brings authorities of its own unless the environment says otherwise.
    """
    paths = ssl.get_default_verify_paths()
    if any(os.environ.get(name) for name in BUNDLE_VARIABLES) or not (paths.cafile or paths.capath):
        yield
        return
    os.environ[BUNDLE_VARIABLES[0]] = paths.cafile or paths.capath or ""
    try:
        yield
    finally:
        del os.environ[BUNDLE_VARIABLES[0]]


def fetch(jar: Jar, repository: Path) -> Path:
    """Download one file into a Maven repository of its own; no transitive dependencies."""
    import requests  # noqa: PLC0415  (both are slow to import and needed only for the first run)
    from jgo.maven import MavenContext  # noqa: PLC0415

    context = MavenContext(repo_cache=repository, timeout=DOWNLOAD_TIMEOUT_SECONDS)
    try:
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        return Path(component.artifact(jar.classifier, jar.packaging).resolve())
    except (requests.RequestException, RuntimeError) as error:
        raise ServerUnavailableError(f"{jar.name} can't be downloaded: {error}") from error


def check(jar: Jar, path: Path) -> Path:
    """The path, if the file's sum is the pinned one."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise ServerUnavailableError(
            f"{jar.name} has the SHA-256 sum {found}, expected {jar.sha256}: it is not used"
        )
    return path


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1_000_000:.1f} MB"
