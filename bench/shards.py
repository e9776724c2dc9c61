"""What reading once more costs: one pipeline in one shard and in several, all driven by one relay.

    python bench/shards.py [--rounds 3] [--messages 100000] [--shards 4] [--write]

Every shard reads all messages of the outbox and delivers its own. Per round and number of shards: the relay's CPU per
100,000 messages delivered (the start of the program included), the database's transactions per 1,000 of them (pages,
settles, looks, leases), and the rate. ``--write`` puts the table into docs/performance.md.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import psycopg
from confluent_kafka.admin import AdminClient
from psycopg.sql import SQL

from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.kafka import KafkaServer, create_topic, delete_topic, start_kafka
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run
from run import (
    PARTITIONS,
    STATEMENTS,
    TIMEOUT_SECONDS,
    count_records,
    fill,
    pg_tide,
    rate_of,
    three,
    write_table,
)

MARKS: Final = ("<!-- shards: begin -->", "<!-- shards: end -->")


class Spent(NamedTuple):
    """What one round cost."""

    cpu_s: float  # of the relay, per 100,000 messages
    transactions: float  # of the database, per 1,000 messages
    rate: float  # messages per second


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    found: dict[int, list[Spent]] = {1: [], options.shards: []}
    with Run() as run:
        kafka = start_kafka(run, progress=print)
        database = create_database(start_postgres(run, 18, durable=True))
        pg_tide(database.dsn, "install")
        for _ in range(options.rounds):
            for shards, spent in found.items():
                spent.append(_measure(database, kafka, options.messages, shards))
                print(shards, spent[-1], flush=True)
    table = _table(found, options.messages)
    print(table)
    if options.write:
        write_table(table, *MARKS)
    return 0


def _measure(database: Database, kafka: KafkaServer, messages: int, shards: int) -> Spent:
    topic = f"bench-{secrets.token_hex(4)}"
    create_topic(
        kafka.bootstrap, topic, partitions=PARTITIONS, config={"message.timestamp.type": "LogAppendTime"}
    )
    config = {"sink_type": "kafka", "brokers": kafka.bootstrap, "topic": topic, "batch_size": 1000}
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    try:
        with psycopg.connect(database.dsn, autocommit=True) as conn:
            conn.execute(STATEMENTS["fresh_outbox"])
            # A new group, with all its shards, behind what earlier rounds have published.
            conn.execute(
                STATEMENTS["set_pipeline_latest"], {"config": json.dumps(config | {"shards": shards})}
            )
            fill(database, messages)
            before = _transactions(conn)
            relay = subprocess.Popen(
                [sys.executable, "-m", "pg_tide_relay", "run", "--log-level", "warning"],
                env=os.environ | {"PG_TIDE_POSTGRES_URL": database.dsn},
            )
            until = time.monotonic() + TIMEOUT_SECONDS
            while count_records(admin, topic, PARTITIONS) < messages and time.monotonic() < until:
                time.sleep(0.2)
            relay.terminate()
            _, _, usage = os.wait4(relay.pid, 0)
            relay.returncode = 0
            transactions = _transactions(conn) - before
            conn.execute(STATEMENTS["drop_pipeline"])
            conn.execute(STATEMENTS["drop_group"])
        cpu_s = (usage.ru_utime + usage.ru_stime) * 100_000 / messages
        return Spent(cpu_s, transactions * 1000 / messages, rate_of(kafka.bootstrap, topic, messages))
    finally:
        delete_topic(kafka.bootstrap, topic)


def _transactions(conn: psycopg.Connection) -> int:
    """Of this database so far; a backend tells of the last ones up to a second late."""
    time.sleep(1.5)
    row = conn.execute(SQL(STATEMENTS["transactions"])).fetchone()
    assert row is not None
    return int(row[0])


def _table(found: dict[int, Sequence[Spent]], messages: int) -> str:
    rows = [
        f"{messages:,} messages of 200 bytes waiting, one relay, `batch_size` 1000, {len(found[1])} rounds; "
        "min / median / max.",
        "",
        "| shards | relay, CPU s per 100,000 delivered | transactions per 1,000 delivered | messages/s |",
        "|---|---|---|---|",
    ]
    for shards, spent in found.items():
        columns = [three(values) for values in zip(*spent, strict=True)]
        rows.append(f"| {shards} | {' | '.join(columns)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
