"""The demo: 1,000 orders from business transactions to a topic of a real Kafka, in under a minute.

Everything is real: PostgreSQL and Kafka come from packages, the relay is the one that ``pg-tide run`` starts, and
what is shown was read back from the topic.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, cast

import psycopg
from confluent_kafka import Consumer, Message, TopicPartition

from pg_tide_dev.databases import create_database
from pg_tide_dev.errors import DevError
from pg_tide_dev.kafka import create_topic, start_kafka
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run
from pg_tide_sql.statements import read_statements

ORDERS: Final = 1_000
CUSTOMERS: Final = 40
SESSIONS: Final = 8
ROLLED_BACK_ONE_IN: Final = 12
TOPIC: Final = "order-events"
ARRIVAL_SECONDS: Final = 30.0

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An order that was committed."""

    message_id: int
    committed_ms: float  # wall clock when COMMIT came back, since 1970


@dataclass(frozen=True, kw_only=True)
class Publishing:
    """What the publishers did."""

    committed: Sequence[Placed]
    rolled_back: int
    began: float


def run_demo(say: Say) -> int:
    """Run the demo; the exit code: 0 when every committed order arrived once and in order."""
    with Run() as run:
        say(
            "starting PostgreSQL 18 and Kafka (the first time they are downloaded and their check sums checked)"
        )
        server = start_postgres(run, 18)
        kafka = start_kafka(run, progress=say)
        database = create_database(server)
        create_topic(kafka.bootstrap, TOPIC, partitions=3, config={"message.timestamp.type": "LogAppendTime"})
        say("installing the schema, creating the outbox and the pipeline")
        _pg_tide("install", database.dsn)
        _prepare(database.dsn, kafka.bootstrap)
        relay = _start_relay(database.dsn)
        try:
            _await(database.dsn, "is_running")
            say(f"publishing {ORDERS:,} orders from {SESSIONS} concurrent sessions, some rolled back")
            published = _publish(database.dsn)
            records = _read(kafka.bootstrap, len(published.committed), relay)
        finally:
            relay.terminate()
            relay.wait(30)
    return _show(published, records, say)


def _sql(name: str) -> str:
    return read_statements(files(__package__))[name]


def _pg_tide(command: str, dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pg_tide_relay", command],
        env=os.environ | {"PG_TIDE_POSTGRES_URL": dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DevError(f"pg-tide {command} failed:\n{done.stderr}")


def _start_relay(dsn: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pg_tide_relay", "run", "--log-level", "warning"],
        env=os.environ | {"PG_TIDE_POSTGRES_URL": dsn},
    )


def _prepare(dsn: str, bootstrap: str) -> None:
    config = {"sink_type": "kafka", "brokers": bootstrap, "topic": TOPIC, "linger_ms": 0}
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(_sql("shop"))
        conn.execute(_sql("customers"), {"customers": CUSTOMERS})
        conn.execute(_sql("outbox"))
        conn.execute(_sql("pipeline"), {"config": json.dumps(config)})


def _await(dsn: str, statement: str) -> None:
    """Wait until the statement returns a row."""
    until = time.monotonic() + ARRIVAL_SECONDS
    with psycopg.connect(dsn, autocommit=True) as conn:
        while conn.execute(_sql(statement)).fetchone() is None:
            if time.monotonic() > until:
                raise DevError("the relay did not start")
            time.sleep(0.02)


def _publish(dsn: str) -> Publishing:
    shares = [range(place, ORDERS, SESSIONS) for place in range(1, SESSIONS + 1)]
    placed = _session(dsn, range(1))
    # The producer asks a fresh broker for its id before the first record: once in its life.
    _await(dsn, "is_delivered")
    began = time.time()
    with ThreadPoolExecutor(SESSIONS) as pool:
        placed += [one for share in pool.map(lambda share: _session(dsn, share), shares) for one in share]
    return Publishing(committed=placed, rolled_back=ORDERS - len(placed), began=began)


def _session(dsn: str, orders: range) -> list[Placed]:
    """One application session: a transaction per order, publish after the customer's row is locked."""
    chance = random.Random(orders.start)
    placed = []
    place, publish = _sql("place_order"), _sql("publish_order")
    with psycopg.connect(dsn) as conn:
        for order in orders:
            customer = chance.randint(1, CUSTOMERS)
            number = conn.execute(place, {"customer": customer}).fetchone()
            payload = {
                "order": order,
                "customer": customer,
                "number": number and number[0],
                "total": order / 100,
            }
            row = conn.execute(
                publish,
                {
                    "payload": json.dumps(payload),
                    "dedup_key": f"order-{order}",
                    "key": f"customer-{customer}",
                },
            ).fetchone()
            if row is None or chance.randrange(ROLLED_BACK_ONE_IN) == 0:
                conn.rollback()
                continue
            conn.commit()
            placed.append(Placed(message_id=row[0], committed_ms=time.time() * 1000))
    return placed


def _read(bootstrap: str, wanted: int, relay: subprocess.Popen[bytes]) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "demo", "enable.auto.commit": False})
    found: list[Message] = []
    until = time.monotonic() + ARRIVAL_SECONDS
    try:
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in partitions])
        while len(found) < wanted and time.monotonic() < until and relay.poll() is None:
            found += [message for message in consumer.consume(500, timeout=0.2) if message.error() is None]
        # One more look: a duplicate would come behind.
        found += [message for message in consumer.consume(500, timeout=0.3) if message.error() is None]
    finally:
        consumer.close()
    return found


def _show(published: Publishing, records: Sequence[Message], say: Say) -> int:
    ids = [_message_id(record) for record in records]
    lost = {placed.message_id for placed in published.committed} - set(ids)
    reordered = _reordered(records)
    say("")
    say(f"published    {ORDERS:>6,}")
    say(f"rolled back  {published.rolled_back:>6,}")
    twice = len(ids) - len(set(ids))
    say(f"arrived      {len(set(ids)):>6,}   lost {len(lost)}, twice {twice}, out of order {reordered}")
    say("")
    for record in records[:5]:
        headers = {name: _text(value) for name, value in _headers(record).items()}
        say(f"{TOPIC}[{record.partition()}] @{record.offset()}  key {_text(record.key())}")
        say(f"    value    {_text(record.value())}")
        say(f"    headers  {headers}")
    if records:
        say("")
        _show_speed(published, records, say)
    return 0 if not lost and not reordered and len(ids) == len(published.committed) else 1


def _show_speed(published: Publishing, records: Sequence[Message], say: Say) -> None:
    acknowledged = {_message_id(record): record.timestamp()[1] for record in records}
    seconds = max(acknowledged.values()) / 1000 - published.began
    waits = sorted(
        max(0.0, acknowledged[placed.message_id] - placed.committed_ms)
        for placed in published.committed
        if placed.message_id in acknowledged
    )
    say(
        f"rate         {len(acknowledged) / seconds:,.0f} orders/s, from the first transaction to the last record"
    )
    say(
        f"latency      commit to acknowledgement: p50 {statistics.median(waits):.1f} ms, "
        f"p99 {waits[int(len(waits) * 0.99)]:.1f} ms (the broker's clock counts whole milliseconds)"
    )


def _message_id(record: Message) -> int:
    return int(_headers(record)["pg_tide_id"] or b"0")


def _headers(record: Message) -> dict[str, bytes | None]:
    pairs = cast(list[tuple[str, bytes | None]], record.headers() or [])
    return dict(pairs)


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _reordered(records: Sequence[Message]) -> int:
    """Records whose id is below one of the same key that came before."""
    highest: dict[bytes, int] = {}
    count = 0
    for record in records:
        key, message_id = bytes(record.key() or b""), _message_id(record)
        count += message_id < highest.get(key, 0)
        highest[key] = max(highest.get(key, 0), message_id)
    return count
