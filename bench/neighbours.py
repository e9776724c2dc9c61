"""What a healthy pipeline loses beside neighbours in trouble, in the same process.

    python bench/neighbours.py [--rounds 5] [--messages 50000] [--seconds 5]

One relay. Each round measures its healthy pipeline alone, then beside two others: one whose broker accepts
connections and says nothing, and one whose broker refuses every message (larger than the topic allows), 20 a second
published, all of its dead letters redriven each second; in every second round the other way about. Two figures: the
rate at which a full outbox is emptied, from the first to the last append by the broker's clock, and the median
time from a message's creation to its append at 500 messages a second.
"""

import argparse
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import psycopg
from confluent_kafka import Consumer, TopicPartition

from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.kafka import KafkaServer, create_topic, delete_topic, start_kafka
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run
from pg_tide_sql.statements import read_statements
from run import TIMEOUT_SECONDS, VALUE_BYTES, pg_tide, three

STATEMENTS: Final = read_statements(Path(__file__).parent)
PER_SECOND: Final = 500
POISON_EVERY_S: Final = 0.05
REDRIVE_EVERY_S: Final = 1.0
POISON_BYTES: Final = 5_000

Conn = psycopg.Connection[Any]


@dataclass(kw_only=True)
class Results:
    """A value per round."""

    rates: list[float] = field(default_factory=list)  # messages/s
    latencies_ms: list[float] = field(default_factory=list)  # medians


class Scene:
    """Servers, the relay, and what is measured on them."""

    def __init__(self, database: Database, kafka: KafkaServer, conn: Conn) -> None:
        """The healthy pipeline's outbox is made; nothing runs."""
        self._database = database
        self._kafka = kafka
        self._conn = conn
        conn.execute(STATEMENTS["fresh_outbox"])

    def pipeline(self, name: str, topic: str, **config: object) -> None:
        """Set one, on an outbox of its own name."""
        whole = {"sink_type": "kafka", "brokers": self._kafka.bootstrap, "topic": topic, **config}
        self._conn.execute(STATEMENTS["named_pipeline"], {"name": name, "config": json.dumps(whole)})

    def rate(self, messages: int) -> float:
        """Messages a second of the healthy pipeline, from a full outbox."""

        def fill() -> None:
            self._conn.execute(STATEMENTS["fill"], {"messages": messages, "pad": VALUE_BYTES})

        appended = [at for at, _ in self._delivered(messages, before=fill)]
        return messages / (max(appended) - min(appended)) * 1000

    def latency_ms(self, seconds: float) -> float:
        """The median from creation to append, at a steady rate."""
        count = int(seconds * PER_SECOND)

        def publish() -> None:
            began = time.monotonic()
            for number in range(count):
                time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
                self._conn.execute(STATEMENTS["publish_empty"])

        return statistics.median(at - created for at, created in self._delivered(count, after=publish))

    def _delivered(
        self,
        count: int,
        *,
        before: Callable[[], object] = lambda: None,
        after: Callable[[], object] = lambda: None,
    ) -> list[tuple[int, float]]:
        """When each record was appended and its message created, in ms; told before or after the pipeline starts."""
        topic = f"bench-{secrets.token_hex(4)}"
        create_topic(self._kafka.bootstrap, topic, config={"message.timestamp.type": "LogAppendTime"})
        before()
        self.pipeline("bench", topic, batch_size=1000)
        time.sleep(2.0)  # it takes up what changed within a second
        after()
        found = list(_records(self._kafka.bootstrap, topic, count))
        self._conn.execute(STATEMENTS["disable"], {"name": "bench"})
        delete_topic(self._kafka.bootstrap, topic)
        return found

    @contextmanager
    def neighbours(self) -> Iterator[None]:
        """Two pipelines in trouble."""
        with ExitStack() as stack:
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
            self.pipeline("silent", "nowhere", brokers=f"127.0.0.1:{silent.getsockname()[1]}")
            self.pipeline("poison", self.poison_topic, dlq={"max_in_a_row": 1_000_000})
            for name, every_s in (("publish_poison", POISON_EVERY_S), ("redrive_poison", REDRIVE_EVERY_S)):
                stack.enter_context(self._again_and_again(name, every_s))
            time.sleep(5.0)  # in trouble by now
            letters, state = self._conn.execute(STATEMENTS["trouble"]).fetchone() or (0, "")
            if not letters or state == "running":
                raise RuntimeError(f"no trouble: {letters} dead letters, the silent one is {state}")
            yield
        for name in ("silent", "poison"):
            self._conn.execute(STATEMENTS["disable"], {"name": name})
        time.sleep(2.0)

    def prepare_neighbours(self) -> None:
        """Their outboxes, a message for the silent broker, a topic that takes nothing."""
        self.poison_topic = f"poison-{secrets.token_hex(4)}"
        create_topic(self._kafka.bootstrap, self.poison_topic, config={"max.message.bytes": "1000"})
        self._conn.execute(STATEMENTS["neighbours"])

    @contextmanager
    def _again_and_again(self, name: str, every_s: float) -> Iterator[None]:
        over = Event()

        def go_on() -> None:
            with psycopg.connect(self._database.dsn, autocommit=True) as conn:
                while not over.wait(every_s):
                    conn.execute(STATEMENTS[name], {"size": POISON_BYTES} if "publish" in name else None)

        thread = Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _records(bootstrap: str, topic: str, count: int) -> Iterator[tuple[int, float]]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    until = time.monotonic() + TIMEOUT_SECONDS
    try:
        while count:
            for message in consumer.consume(1_000, timeout=0.5):
                created = dict(message.headers() or [])["pg_tide_ts"] or b"0"
                yield message.timestamp()[1], int(created) / 1000
                count -= 1
            if time.monotonic() > until:
                raise RuntimeError(f"{count} messages have not arrived")
    finally:
        consumer.close()


def main() -> int:
    """Run the rounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    alone, beside = Results(), Results()
    with Run() as run, ExitStack() as stack:
        print("starting PostgreSQL 18 and Kafka", flush=True)
        kafka = start_kafka(run, progress=print)
        database = create_database(start_postgres(run, 18, durable=True))
        pg_tide(database.dsn, "install")
        conn = stack.enter_context(psycopg.connect(database.dsn, autocommit=True))
        scene = Scene(database, kafka, conn)
        scene.prepare_neighbours()
        relay = subprocess.Popen(
            [sys.executable, "-m", "pg_tide_relay", "run", "--log-level", "error"],
            env=os.environ | {"PG_TIDE_POSTGRES_URL": database.dsn},
        )

        def measure(results: Results) -> None:
            results.rates.append(scene.rate(options.messages))
            results.latencies_ms.append(scene.latency_ms(options.seconds))
            which = "alone " if results is alone else "beside"
            print(f"{which} {results.rates[-1]:,.0f}/s  p50 {results.latencies_ms[-1]:.2f} ms", flush=True)

        for number in range(options.rounds):
            if number % 2 == 0:
                measure(alone)
            with scene.neighbours():
                measure(beside)
            if number % 2 == 1:
                measure(alone)
        relay.terminate()
        relay.wait()
    print(_table(alone, beside, options))
    return 0


def _table(alone: Results, beside: Results, options: argparse.Namespace) -> str:
    parts = [b / a for a, b in zip(alone.rates, beside.rates, strict=True)]
    more = [b - a for a, b in zip(alone.latencies_ms, beside.latencies_ms, strict=True)]
    return "\n".join(
        [
            f"{options.rounds} rounds, min / median / max; {options.messages:,} messages of {VALUE_BYTES} bytes, one "
            f"partition, batch_size 1000; then {PER_SECOND} messages a second for {options.seconds:g} s. Beside: a "
            "pipeline whose broker is silent, and one whose broker refuses each message, all in one process.",
            "",
            "| the healthy pipeline | messages/s from a full outbox | p50 ms at a steady rate |",
            "|---|---|---|",
            f"| alone | {three(alone.rates)} | {three(alone.latencies_ms)} |",
            f"| beside both | {three(beside.rates)} | {three(beside.latencies_ms)} |",
            f"| the same round's ratio, difference | {three(parts)} | {three(more)} |",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
