"""How long a pipeline stands still when its relay dies, and when it leaves in order.

    python bench/take_over.py [--rounds 10] [--lease-ms 3000] [--request-timeout-ms 2000] [--write]

Two relays and a message every 10 ms. Each round ends the owner, by SIGKILL or SIGTERM, at a random moment between
two renewals of its lease, and takes the time until the first record of its successor was appended, by the broker's
clock; every record says which relay has sent it. Then another relay takes the free place. ``--write`` puts the table
into docs/reliability.md.
"""

import argparse
import json
import os
import platform
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import psycopg
from confluent_kafka import Consumer, TopicPartition

from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.kafka import create_topic, start_kafka
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run
from pg_tide_sql.statements import read_statements
from run import TIMEOUT_SECONDS, pg_tide, three, write_table

STATEMENTS: Final = read_statements(Path(__file__).parent)
RELIABILITY: Final = Path(__file__).parent.parent / "docs" / "reliability.md"
BEGIN_MARK, END_MARK = "<!-- take-over: begin -->", "<!-- take-over: end -->"
PUBLISH_EVERY_S: Final = 0.01
KINDS: Final = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM}


class Relays:
    """Two relays; whoever is ended is replaced."""

    def __init__(self, database: Database, lease_ms: int) -> None:
        """Nothing runs yet."""
        self._database = database
        self._lease_ms = lease_ms
        self._numbers = count(1)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def fill_up(self, conn: psycopg.Connection[Any]) -> None:
        """Two of them live, and could drive the pipeline."""
        while len(self._running) < 2:
            name = f"relay-{next(self._numbers)}"
            command = ["-m", "pg_tide_relay", "run", "--log-level", "error"]
            self._running[name] = subprocess.Popen(
                [sys.executable, *command, "--relay-id", name, "--lease-ms", str(self._lease_ms)],
                env=os.environ | {"PG_TIDE_POSTGRES_URL": self._database.dsn, "TIDE_RELAY": name},
            )
        _until(conn, "bench_relays", {"names": list(self._running)})

    def end(self, name: str, number: signal.Signals) -> float:
        """End one; when, in seconds since 1970."""
        process = self._running.pop(name)
        now = time.time()
        process.send_signal(number)
        Thread(target=process.wait, daemon=True).start()
        return now

    def close(self) -> None:
        """End all."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait()


def _until(conn: psycopg.Connection[Any], name: str, values: dict[str, Any]) -> Any:
    """The value of a statement, as soon as it has one."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while not (row := conn.execute(STATEMENTS[name], values).fetchone()) or not row[0]:
        if time.monotonic() > until:
            raise RuntimeError(f"{name} is not so")
        time.sleep(0.02)
    return row[0]


@contextmanager
def _publishing(database: Database) -> Iterator[None]:
    over = Event()

    def publish() -> None:
        with psycopg.connect(database.dsn, autocommit=True) as conn:
            while not over.wait(PUBLISH_EVERY_S):
                conn.execute(STATEMENTS["publish_empty"])

    thread = Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Tail:
    """Reads the topic's new records."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        """From its end as it is now."""
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False}
        )
        place = TopicPartition(topic, 0)
        place.offset = self._consumer.get_watermark_offsets(place, timeout=10)[1]
        self._consumer.assign([place])

    def close(self) -> None:
        """Read no more."""
        self._consumer.close()

    def first_of_another(self, sender: str) -> float:
        """When the first record that another relay has sent was appended, in seconds since 1970."""
        until = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < until:
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                by = dict(message.headers() or [])["relay"]
                if by is not None and bytes(by).decode() != sender:
                    return message.timestamp()[1] / 1000
        raise RuntimeError("no successor has sent anything")


def main() -> int:
    """Run the rounds; 1 when a take-over took longer than lease and time-out ask for, and a second."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--lease-ms", type=int, default=3_000)
    parser.add_argument("--request-timeout-ms", type=int, default=2_000)
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    options = parser.parse_args()
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with Run() as run:
        print("starting PostgreSQL 18 and Kafka", flush=True)
        kafka = start_kafka(run, progress=print)
        database = create_database(start_postgres(run, 18, durable=True))
        pg_tide(database.dsn, "install")
        topic = f"bench-{secrets.token_hex(4)}"
        create_topic(kafka.bootstrap, topic, config={"message.timestamp.type": "LogAppendTime"})
        config = {
            "sink_type": "kafka",
            "brokers": kafka.bootstrap,
            "topic": topic,
            "request_timeout_ms": options.request_timeout_ms,
            "headers": {"relay": "${env:TIDE_RELAY}"},
        }
        relays = Relays(database, options.lease_ms)
        with psycopg.connect(database.dsn, autocommit=True) as conn:
            conn.execute(STATEMENTS["fresh_outbox"])
            conn.execute(STATEMENTS["set_pipeline"], {"config": json.dumps(config)})
            with _publishing(database):
                for number in range(options.rounds):
                    for kind, how in KINDS.items():
                        relays.fill_up(conn)
                        owner = _until(conn, "bench_owner", {})
                        # Not always at the same place between two renewals.
                        time.sleep(1 + random.random() * options.lease_ms / 3000)
                        tail = Tail(kafka.bootstrap, topic)
                        ended = relays.end(owner, how)
                        times[kind].append(tail.first_of_another(owner) - ended)
                        tail.close()
                        print(f"round {number + 1}: {kind} {times[kind][-1]:.2f} s", flush=True)
        relays.close()
    table = _table(times, options)
    print(table)
    if options.write:
        write_table(table, BEGIN_MARK, END_MARK, page=RELIABILITY)
    longest_s = (options.lease_ms + options.request_timeout_ms) / 1000 + 1
    return 0 if max(times["kill -9"]) <= longest_s else 1


def _table(times: dict[str, list[float]], options: argparse.Namespace) -> str:
    rows = [
        f"Seconds from the signal to the successor's first record; lease {options.lease_ms / 1000:g} s, "
        f"`request_timeout_ms` {options.request_timeout_ms}, {options.rounds} times each.",
        "",
        "| the owner gets | min / median / max |",
        "|---|---|",
        *(f"| {kind} | {three(values)} |" for kind, values in times.items()),
        "",
        f"{os.cpu_count()} cores shared by PostgreSQL 18 (fsync on), Kafka 4.3.1, two relays and whatever else ran; "
        f"Python {platform.python_version()}.",
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
