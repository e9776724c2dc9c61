"""Catch-up: how fast the relay empties a full outbox, against a raw producer loop in the same run.

    python bench/run.py [--rounds 5] [--messages 200000] [--write]

Each round measures, one after the other on the same broker and database, each in a process of its own: a loop that
only calls ``Producer.produce`` with ready-made records of the same size and headers; the relay with ``batch_size``
1000; the relay with its defaults. A rate is messages divided by the time between the first and the last append to the
topic, by the broker's clock, for all three alike: neither starting a program nor reading back is counted.
``--write`` puts the table into docs/performance.md.
"""

import argparse
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psycopg
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.kafka import KafkaServer, create_topic, delete_topic, start_kafka
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run
from pg_tide_sql.statements import read_statements

STATEMENTS: Final = read_statements(Path(__file__).parent)
PERFORMANCE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN_MARK, END_MARK = "<!-- catch-up: begin -->", "<!-- catch-up: end -->"
PARTITIONS: Final = 6
VALUE_BYTES: Final = 200
TIMEOUT_SECONDS: Final = 120.0
THRESHOLD: Final = 0.4


@dataclass(kw_only=True)
class Results:
    """Messages per second, a value per round."""

    raw: list[float] = field(default_factory=list)
    batch_1000: list[float] = field(default_factory=list)
    defaults: list[float] = field(default_factory=list)

    def ratios(self, rates: Sequence[float]) -> list[float]:
        """Each round's rate as a part of the same round's raw loop."""
        return [rate / raw for rate, raw in zip(rates, self.raw, strict=True)]


def main() -> int:
    """Run the rounds; 1 when the median ratio with batch_size 1000 is below the threshold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    results = Results()
    with Run() as run:
        print("starting PostgreSQL 18 and Kafka", flush=True)
        kafka = start_kafka(run, progress=print)
        database = create_database(start_postgres(run, 18, durable=True))
        pg_tide(database.dsn, "install")
        for number in range(1, options.rounds + 1):
            results.raw.append(
                _measure(kafka, options.messages, lambda topic: _raw(kafka, topic, options.messages))
            )
            for batch_size, rates in ((1000, results.batch_1000), (None, results.defaults)):
                fill(database, options.messages)
                rates.append(
                    _measure(
                        kafka,
                        options.messages,
                        lambda topic, size=batch_size: _relay(database, kafka, topic, options.messages, size),
                    )
                )
            print(
                f"round {number}: raw {results.raw[-1]:,.0f}  batch_size 1000 {results.batch_1000[-1]:,.0f}  "
                f"defaults {results.defaults[-1]:,.0f} messages/s",
                flush=True,
            )
    table = _table(results, options.messages)
    print(table)
    if options.write:
        write_table(table, BEGIN_MARK, END_MARK)
    return 0 if statistics.median(results.ratios(results.batch_1000)) >= THRESHOLD else 1


def _measure(kafka: KafkaServer, messages: int, produce: Callable[[str], None]) -> float:
    topic = f"bench-{secrets.token_hex(4)}"
    create_topic(
        kafka.bootstrap, topic, partitions=PARTITIONS, config={"message.timestamp.type": "LogAppendTime"}
    )
    os.sync()  # what was written before is nobody's cost here
    try:
        produce(topic)
        return rate_of(kafka.bootstrap, topic, messages)
    finally:
        delete_topic(kafka.bootstrap, topic)


def rate_of(bootstrap: str, topic: str, messages: int) -> float:
    """Messages per second between the first and the last append to a topic that has them all."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
    times: list[int] = []
    count = 0
    try:
        for partition in range(PARTITIONS):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            count += high - low
            times += [
                _read_at(consumer, topic, partition, offset).timestamp()[1] for offset in (low, high - 1)
            ]
    finally:
        consumer.close()
    if count != messages:
        raise RuntimeError(f"{count} records on {topic}, {messages} expected")
    return messages / ((max(times) - min(times)) / 1000)


def count_records(admin: AdminClient, topic: str, partitions: int) -> int:
    """How many records a topic has."""
    ends = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}
    return sum(asked.result().offset for asked in admin.list_offsets(ends).values())


def _read_at(consumer: Consumer, topic: str, partition: int, offset: int) -> Message:
    consumer.assign([TopicPartition(topic, partition, offset)])
    message = consumer.poll(30)
    if message is None or message.error() is not None:
        raise RuntimeError(f"no record at {topic}[{partition}] offset {offset}")
    return message


def _raw(kafka: KafkaServer, topic: str, messages: int) -> None:
    loop = Path(__file__).with_name("raw_loop.py")
    arguments = [kafka.bootstrap, topic, str(messages), str(VALUE_BYTES)]
    subprocess.run([sys.executable, loop, *arguments], check=True)


def fill(database: Database, messages: int) -> None:
    """An outbox in which so many messages wait."""
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        conn.execute(STATEMENTS["fresh_outbox"])
        conn.execute(STATEMENTS["fill"], {"messages": messages, "pad": VALUE_BYTES})
        conn.execute(STATEMENTS["settle_storage"])
        conn.execute(STATEMENTS["write_through"])


def _relay(database: Database, kafka: KafkaServer, topic: str, messages: int, batch_size: int | None) -> None:
    config: dict[str, object] = {"sink_type": "kafka", "brokers": kafka.bootstrap, "topic": topic}
    if batch_size is not None:
        config["batch_size"] = batch_size
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        conn.execute(STATEMENTS["set_pipeline"], {"config": json.dumps(config)})
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        with subprocess.Popen(
            [sys.executable, "-m", "pg_tide_relay", "run", "--log-level", "warning"],
            env=os.environ | {"PG_TIDE_POSTGRES_URL": database.dsn},
        ) as relay:
            until = time.monotonic() + TIMEOUT_SECONDS
            # Not tide.lag: it counts what waits, which costs the database more than reading it for the relay does.
            while count_records(admin, topic, PARTITIONS) < messages:
                if relay.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the relay did not deliver everything")
                time.sleep(0.5)  # asked seldom: the rate is taken from the broker's clock
            relay.terminate()
        conn.execute(STATEMENTS["drop_pipeline"])


def pg_tide(dsn: str, command: str) -> None:
    """Run a command of the program on a database."""
    subprocess.run(
        [sys.executable, "-m", "pg_tide_relay", command],
        env=os.environ | {"PG_TIDE_POSTGRES_URL": dsn},
        check=True,
    )


def _table(results: Results, messages: int) -> str:
    rows = [
        f"{messages:,} messages of {VALUE_BYTES} bytes with five headers, {PARTITIONS} partitions, acks=all, "
        f"{len(results.raw)} rounds; min / median / max.",
        "",
        "| | messages/s | part of the raw loop in the same round |",
        "|---|---|---|",
        f"| raw producer loop | {three(results.raw)} | 1 |",
        f"| relay, batch_size 1000 | {three(results.batch_1000)} | {three(results.ratios(results.batch_1000))} |",
        f"| relay, default batch_size | {three(results.defaults)} | {three(results.ratios(results.defaults))} |",
        "",
        f"{os.cpu_count()} cores shared by PostgreSQL 18 (fsync on), Kafka 4.3.1 and the relay; Python "
        f"{platform.python_version()}, confluent-kafka {version('confluent-kafka')}, psycopg {version('psycopg')}.",
    ]
    return "\n".join(rows)


def three(values: Sequence[float]) -> str:
    """Least, median and greatest."""
    three = (min(values), statistics.median(values), max(values))
    return " / ".join(f"{value:,.0f}" if value >= 100 else f"{value:.2f}" for value in three)


def write_table(table: str, begin: str, end: str, page: Path = PERFORMANCE) -> None:
    """Put a table between its marks in a page."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
