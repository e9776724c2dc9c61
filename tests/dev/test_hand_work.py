"""`make up` and `make down`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from fix_run import Progress
from pg_tide_dev import guardian
from pg_tide_dev.kafka_jars import kafka_jars
from pg_tide_dev.places import cache_folder


@pytest.fixture
def environment(tmp_path: Path, progress: Progress) -> dict[str, str]:
    """A cache of the test's own, which borrows the downloaded jars: servers that the user has up are not touched."""
    kafka_jars(progress)
    for folder in cache_folder().glob("kafka-*"):
        (tmp_path / folder.name).symlink_to(folder)
    return {**os.environ, "PG_TIDE_CACHE": str(tmp_path), "PG_TIDE_DEV_FROM": "packages"}


def hand_work(command: str, environment: dict[str, str]) -> str:
    """What a command prints."""
    arguments = [sys.executable, "-m", "pg_tide_dev.hand_work", command]
    return subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_servers_stay_up_until_they_are_taken_down(environment: dict[str, str], tmp_path: Path) -> None:
    """`up` prints addresses that answer, says the same when called again, and `down` leaves nothing."""
    printed = hand_work("up", environment)
    try:
        state = json.loads((tmp_path / "up.json").read_text(encoding="utf-8"))
        assert state["postgres"] in printed
        with psycopg.connect(state["postgres"]) as connection:
            assert connection.info.server_version // 10_000 == 18
        assert AdminClient({"bootstrap.servers": state["kafka"]}).list_topics(timeout=10).brokers
        assert state["kafka"] in hand_work("up", environment)
    finally:
        hand_work("down", environment)
    assert not guardian.is_alive(state["pid"])
    assert not (tmp_path / "up.json").exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(state["postgres"])
    assert hand_work("down", environment) == "nothing is up\n"
