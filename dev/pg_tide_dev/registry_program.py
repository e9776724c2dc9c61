"""Fetches Apicurio Registry through `jgo`, checks its sum and unpacks it.

The sum is kept beside this file: an archive that differs from the one that was tested is refused, wherever it came
from. What is kept is the unpacked program.
"""

import shutil
import tarfile
import tempfile
from pathlib import Path

from pg_tide_dev.kafka_jars import Jar, Progress, check, fetch, megabytes, pinned_jars, system_certificates
from pg_tide_dev.places import cache_folder, make_readable, publish, reachable_copy

SUMS_FILE = Path(__file__).with_name("registry_program.sha256")
PROGRAM = "quarkus-run.jar"


def registry_program(progress: Progress = print) -> Path:
    """The folder of the program, where the servers' user can read it; downloads it once per cache."""
    (archive,) = pinned_jars(SUMS_FILE)
    name = f"apicurio-{archive.version}-{archive.sha256[:12]}"
    folder = cache_folder() / name
    if not folder.is_dir():
        draft = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=folder.parent))
        try:
            download(archive, draft, progress)
            make_readable(draft)
            publish(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return reachable_copy(folder.parent, [name], name=name) / name


def download(archive: Jar, folder: Path, progress: Progress) -> None:
    """Download the archive and unpack it into a folder."""
    progress(
        f"Apicurio Registry {archive.version}: downloading {megabytes(archive.size)} into {folder.parent}"
    )
    with (
        system_certificates(),
        tempfile.TemporaryDirectory(dir=folder.parent) as scratch,
        tarfile.open(check(archive, fetch(archive, Path(scratch)))) as tar,
    ):
        # Python before 3.11.4, Debian 12's, has no filters
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _folder: member)
        tar.extractall(folder)
    progress(f"Apicurio Registry {archive.version}: the sum is right")
