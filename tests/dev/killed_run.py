"""A test run for other tests to kill: not collected by name, only when it is named on the command line."""

import json
import os
import signal
from pathlib import Path

from pg_tide_dev.kafka import LocalKafka
from pg_tide_dev.postgres import LocalPostgres
from pg_tide_dev.processes import Run


def test_that_waits_to_be_killed(dev_run: Run, pg18: LocalPostgres, kafka: LocalKafka) -> None:
    """Starts servers as every test does, pauses one, tells its process ids and waits."""
    node = kafka.node(1)
    paused = dev_run.start(["sleep", "600"], log=dev_run.folder / "sleep.log", as_server=False)
    paused.pause()
    pids = [pg18.pid, node.process.pid if node.process else None, paused.pid]
    segment = (pg18.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[6].split()[1]
    report = Path(os.environ["PG_TIDE_TEST_REPORT"])
    draft = report.with_suffix(".draft")
    state = {"folder": str(dev_run.folder), "pids": pids, "segment": segment}
    draft.write_text(json.dumps(state), encoding="utf-8")
    draft.rename(report)
    signal.pause()
