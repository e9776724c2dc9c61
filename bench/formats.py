"""What each format and transform costs the relay, as a part of what the native format costs in the same round.

    python bench/formats.py [--rounds 5] [--messages 100000] [--only native,filter] [--write]

CPU seconds of the relay's process, all threads and the Kafka client's included, from the moment its pipeline is
stored until everything is on the topic; the start of the process is not counted. Every variant sends the same
messages of ten members, all of them kept by the filter. ``--write`` puts the table into docs/performance.md.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pg_tide_dev.databases import Database, create_database
from pg_tide_dev.kafka import KafkaServer, create_topic, delete_topic, start_kafka
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run
from pg_tide_dev.registry import RegistryServer, start_registry
from run import STATEMENTS, TIMEOUT_SECONDS, count_records, pg_tide, three, write_table
from transform import FILTER, PROJECTION

BEGIN_MARK, END_MARK = "<!-- formats: begin -->", "<!-- formats: end -->"
PARTITIONS: Final = 6
ROW_SCHEMA: Final = [
    {"name": name, "type": type_name}
    for name, type_name in (
        ("id", "bigint"),
        ("total", "numeric(10,2)"),
        ("status", "text"),
        ("customer", "jsonb"),
        ("items", "jsonb"),
        ("note", "text"),
        ("currency", "text"),
        ("channel", "text"),
        ("created_at", "timestamptz"),
        ("version", "integer"),
    )
]
AVRO_SCHEMA: Final = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "status", "type": "string"},
        {"name": "customer", "type": {"type": "map", "values": "string"}},
        {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
            {"name": "sku", "type": "string"}, {"name": "quantity", "type": "int"}]}}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "currency", "type": "string"},
        {"name": "channel", "type": "string"},
        {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "version", "type": "int"},
    ],
}  # fmt: skip
DEBEZIUM: Final = {"wire_format": "debezium"}
VARIANTS: Final[Mapping[str, tuple[Mapping[str, Any], float | None]]] = {
    "native": ({}, None),
    "filter": ({"transform": {"filter": FILTER}}, 1.4),
    "projection": ({"transform": {"payload": PROJECTION}}, 2.0),
    "cloudevents": ({"wire_format": "cloudevents"}, None),
    "debezium": (DEBEZIUM, 1.8),
    "debezium with types": ({**DEBEZIUM, "wire_config": {"row_schema": ROW_SCHEMA}}, None),
    "debezium in avro": (
        {**DEBEZIUM, "wire_config": {"row_schema": ROW_SCHEMA}, "serialization": {"format": "avro"}},
        None,
    ),
    "avro": ({"wire_format": "avro", "serialization": {"schema": AVRO_SCHEMA}}, 4.0),
    "debezium with schema": (
        {**DEBEZIUM, "wire_config": {"row_schema": ROW_SCHEMA, "schemas_enable": True}},
        2.5,
    ),
}
"""Name → (keys of the configuration, at most this part of native)."""


def main() -> int:
    """Run the rounds; 1 when a median is above its aim."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--only", help="names of variants, comma-separated; native is always measured")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    wanted = {"native", *(options.only.split(",") if options.only else VARIANTS)}
    names = [name for name in VARIANTS if name in wanted]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with Run() as run:
        print("starting PostgreSQL 18, Kafka and a schema registry", flush=True)
        kafka = start_kafka(run, progress=print)
        registry = start_registry(run, progress=print)
        database = create_database(start_postgres(run, 18, durable=True))
        pg_tide(database.dsn, "install")
        _publish(database, options.messages)
        for number in range(1, options.rounds + 1):
            # Turned round by round, so that none is always the first.
            for name in names[number % len(names) :] + names[: number % len(names)]:
                seconds[name].append(_measure(database, kafka, registry, name, options.messages))
            print(
                f"round {number}: " + "  ".join(f"{name} {seconds[name][-1]:.2f}" for name in names),
                flush=True,
            )
    table = _table(seconds, options.messages)
    print(table)
    if options.write:
        write_table(table, BEGIN_MARK, END_MARK)
    return 0 if _is_reached(seconds) else 1


def _publish(database: Database, messages: int) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        conn.execute(STATEMENTS["fresh_documents"])
        conn.execute(STATEMENTS["fill_documents"], {"messages": messages})
        conn.execute(STATEMENTS["settle_storage"])
        conn.execute(STATEMENTS["write_through"])


def _measure(
    database: Database, kafka: KafkaServer, registry: RegistryServer, name: str, messages: int
) -> float:
    """CPU seconds of the relay for all messages."""
    topic = f"bench-{secrets.token_hex(4)}"
    create_topic(kafka.bootstrap, topic, partitions=PARTITIONS)
    keys, _ = VARIANTS[name]
    config = {"sink_type": "kafka", "brokers": kafka.bootstrap, "topic": topic, "batch_size": 1000, **keys}
    if "serialization" in keys:
        config["schema_registry"] = {"url": registry.url, "auto_register": True}
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    with psycopg.connect(database.dsn, autocommit=True) as conn, _relay(database) as relay:
        _until(
            lambda: conn.execute(STATEMENTS["relay_is_there"], {"pid": relay.pid}).fetchone() == (True,),
            relay,
        )
        before = _cpu_seconds(relay.pid)
        # A group of its own, so that its cursor begins at the first message.
        pipeline = f"{name}-{secrets.token_hex(4)}"
        conn.execute(STATEMENTS["set_document_pipeline"], {"name": pipeline, "config": json.dumps(config)})
        _until(lambda: _delivered(admin, topic) >= messages, relay)
        spent = _cpu_seconds(relay.pid) - before
        conn.execute(STATEMENTS["drop_document_pipeline"], {"name": pipeline})
    delete_topic(kafka.bootstrap, topic)
    return spent


def _delivered(admin: AdminClient, topic: str) -> int:
    try:
        return count_records(admin, topic, PARTITIONS)
    except KafkaException:
        return 0  # the topic was made a moment ago: not every broker knows its leader


@contextmanager
def _relay(database: Database) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "pg_tide_relay", "run", "--log-level", "warning"],
        env=os.environ | {"PG_TIDE_POSTGRES_URL": database.dsn},
    ) as relay:
        try:
            yield relay
        finally:
            relay.terminate()


def _until(holds: Any, relay: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        if relay.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the relay did not deliver everything")
        time.sleep(0.2)  # idle, the relay spends less than a hundredth of what is measured


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ratios(seconds: Mapping[str, Sequence[float]], name: str) -> list[float]:
    return [own / native for own, native in zip(seconds[name], seconds["native"], strict=True)]


def _is_reached(seconds: Mapping[str, Sequence[float]]) -> bool:
    aims = {name: aim for name, (_, aim) in VARIANTS.items() if aim is not None and name in seconds}
    return all(statistics.median(_ratios(seconds, name)) <= aim for name, aim in aims.items())


def _table(seconds: Mapping[str, Sequence[float]], messages: int) -> str:
    rounds = len(seconds["native"])
    rows = [
        f"{messages:,} messages with payloads of ten members, batch_size 1000, {rounds} rounds; min / median / max.",
        "",
        "| | CPU of the relay, µs a message | part of native in the same round | at most |",
        "|---|---|---|---|",
    ]
    for name, spent in seconds.items():
        aim = VARIANTS[name][1]
        micros = three([each / messages * 1e6 for each in spent])
        ratio = "1" if name == "native" else three(_ratios(seconds, name))
        rows.append(f"| {name} | {micros} | {ratio} | {'' if aim is None else aim} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
