"""What exactly once costs: rate and latency against at least once in the same run, by commit interval.

    python bench/exactly_once.py [--rounds 5] [--messages 100000] [--write]

Each round measures each way of delivery, one after the other on the same broker and database: the rate at which a full
outbox is emptied, by the broker's clock, and the time from the commit of a single message to a consumer that reads
committed records. ``--write`` puts the table into docs/reliability.md.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import Consumer, TopicPartition

from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.kafka import KafkaServer, create_topic, delete_topic, start_kafka
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run
from pg_tide_sql.statements import read_statements
from run import PARTITIONS, TIMEOUT_SECONDS, VALUE_BYTES, pg_tide, three, write_table

STATEMENTS: Final = read_statements(Path(__file__).parent)
PAGE: Final = Path(__file__).parent.parent / "docs" / "reliability.md"
MARKS: Final = ("<!-- exactly-once: begin -->", "<!-- exactly-once: end -->")
SINGLE: Final = 300
PAUSE_S: Final = 0.01

WAYS: Final[dict[str, dict[str, Any]]] = {
    "at least once": {},
    "exactly once, 10 ms": {"delivery": "exactly_once", "transactions": {"commit_interval_ms": 10}},
    "exactly once, 100 ms (default)": {"delivery": "exactly_once"},
    "exactly once, 1000 ms": {"delivery": "exactly_once", "transactions": {"commit_interval_ms": 1000}},
}


def main() -> int:
    """Run the rounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    delays: dict[str, list[float]] = {way: [] for way in WAYS}
    with Run() as run:
        print("starting PostgreSQL 18 and Kafka", flush=True)
        kafka = start_kafka(run, progress=print)
        database = create_database(start_postgres(run, 18, durable=True))
        pg_tide(database.dsn, "install")
        for number in range(1, options.rounds + 1):
            for way, keys in WAYS.items():
                rates[way].append(_rate(database, kafka, keys, options.messages))
                delays[way].append(statistics.median(_delays(database, kafka, keys)))
                print(
                    f"round {number}: {way}: {rates[way][-1]:,.0f} messages/s, {delays[way][-1]:.1f} ms",
                    flush=True,
                )
    table = _table(rates, delays, options.messages)
    print(table)
    if options.write:
        write_table(table, *MARKS, page=PAGE)
    return 0


@contextmanager
def _pipeline(
    database: Database, kafka: KafkaServer, keys: dict[str, Any], messages: int
) -> Iterator[tuple[str, Any]]:
    """A pipeline of an outbox with so many messages, its topic, and a connection to publish more; a relay runs."""
    topic = f"bench-{secrets.token_hex(4)}"
    create_topic(
        kafka.bootstrap, topic, partitions=PARTITIONS, config={"message.timestamp.type": "LogAppendTime"}
    )
    config = {"sink_type": "kafka", "brokers": kafka.bootstrap, "topic": topic, "batch_size": 1000, **keys}
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        conn.execute(STATEMENTS["fresh_outbox"])
        if messages:
            conn.execute(STATEMENTS["fill"], {"messages": messages, "pad": VALUE_BYTES})
        conn.execute(STATEMENTS["settle_storage"])
        conn.execute(STATEMENTS["write_through"])
        conn.execute(STATEMENTS["set_pipeline"], {"config": json.dumps(config)})
        os.sync()  # what was written before is nobody's cost here
        with subprocess.Popen(
            [sys.executable, "-m", "pg_tide_relay", "run", "--log-level", "warning"],
            env=os.environ | {"PG_TIDE_POSTGRES_URL": database.dsn},
        ) as relay:
            yield topic, conn
            relay.terminate()
        conn.execute(STATEMENTS["drop_pipeline"])
    delete_topic(kafka.bootstrap, topic)


@contextmanager
def _consumer(kafka: KafkaServer, topic: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": topic,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 5,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    try:
        yield consumer
    finally:
        consumer.close()


def _rate(database: Database, kafka: KafkaServer, keys: dict[str, Any], messages: int) -> float:
    """Messages per second between the first and the last append."""
    times: list[int] = []
    with _pipeline(database, kafka, keys, messages) as (topic, _), _consumer(kafka, topic) as consumer:
        until = time.monotonic() + TIMEOUT_SECONDS
        # One look per half a second: whoever reads while the relay works is a cost of its own.
        while len(times) < messages:
            if time.monotonic() > until:
                raise RuntimeError(f"{len(times)} of {messages} messages arrived")
            found = consumer.consume(10_000, timeout=0.5)
            times += [message.timestamp()[1] for message in found if message.error() is None]
    return messages / ((max(times) - min(times)) / 1000)


def _delays(database: Database, kafka: KafkaServer, keys: dict[str, Any]) -> list[float]:
    """Milliseconds from the commit of a message to its consumer, one message after the other."""
    delays: list[float] = []
    with _pipeline(database, kafka, keys, 0) as (topic, conn), _consumer(kafka, topic) as consumer:
        for _ in range(SINGLE):
            conn.execute(STATEMENTS["publish_one"])
            committed = time.monotonic()
            while (message := consumer.poll(TIMEOUT_SECONDS)) is not None and message.error() is not None:
                pass
            delays.append((time.monotonic() - committed) * 1000)
            time.sleep(PAUSE_S)
    return delays[SINGLE // 10 :]


def _table(rates: dict[str, list[float]], delays: dict[str, list[float]], messages: int) -> str:
    base, *_ = WAYS

    def parts(way: str) -> Sequence[float]:
        return [rate / other for rate, other in zip(rates[way], rates[base], strict=True)]

    rows = [
        f"{messages:,} messages of {VALUE_BYTES} bytes, batch_size 1000, {PARTITIONS} partitions, one broker, "
        f"{len(rates[base])} rounds; min / median / max.",
        "",
        "| delivery, `commit_interval_ms` | messages/s | part of at least once, same round | ms to a consumer |",
        "|---|---|---|---|",
    ]
    rows += [f"| {way} | {three(rates[way])} | {three(parts(way))} | {three(delays[way])} |" for way in WAYS]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
