"""What makes Kafka start in one second instead of three: prepared once, kept beside the copied programs.

A class archive (AppCDS) spares the Java runtime reading and checking 5,000 classes, a formatted data folder to
copy spares a Java process per node. Both come from one node that is started and stopped for it.
"""

import hashlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from pg_tide_dev.kafka_nodes import CHECKPOINT, KafkaNode, Programs, kafka_id, new_addresses, wait_ready
from pg_tide_dev.places import make_readable, programs_folder, publish
from pg_tide_dev.processes import Run

ARCHIVE = "kafka.jsa"


def prepared(run: Run, programs: Programs) -> Programs:
    """The programs with what was prepared for them; prepares it when this is the first time."""
    # an archive is valid for one Java runtime and one list of jars, which includes their places
    key = hashlib.sha256(f"{programs.java}\0{programs.jars}".encode()).hexdigest()[:16]
    folder = programs_folder() / f"kafka-start-{key}"
    if not all((folder / name).is_file() for name in (ARCHIVE, CHECKPOINT)):
        shutil.rmtree(folder, ignore_errors=True)
        prepare(run, programs, folder)
    return replace(programs, archive=folder / ARCHIVE, checkpoint=folder / CHECKPOINT)


def prepare(run: Run, programs: Programs, folder: Path) -> None:
    """Run one node from start to ready to shutdown, and keep what it leaves."""
    address = new_addresses(1)
    node = KafkaNode(run, programs, address[0])
    node.configure(address, {})
    node.format(kafka_id(), [])
    classes, archive = node.folder / "classes", node.folder / ARCHIVE
    node.start(f"-XX:DumpLoadedClassList={classes}")
    if node.process is not None:
        wait_ready(node.bootstrap, [address[0].node_id], [node.process])
    node.stop()
    dump = ["-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={archive}"]
    run.call(node.java_command(*dump))
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        for made in (archive, node.folder / "data" / CHECKPOINT):
            shutil.copyfile(made, draft / made.name)
        make_readable(draft)
        publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
