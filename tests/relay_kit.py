"""What tests with a running relay need: the SQL calls users make, what operators look at, and records to compare."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from psycopg.rows import namedtuple_row
from psycopg.sql import SQL

from pg_tide_dev.databases import Database
from waiting import eventually

FAST = ("--lease-ms", "1000", "--drain-timeout", "15")
"""Flags of a relay whose successor need not be waited for long."""


class Tide:
    """The schema as administrators and applications use it, on one connection in autocommit mode."""

    def __init__(self, connection: psycopg.Connection[Any], bootstrap: str) -> None:
        self.connection = connection
        self.bootstrap = bootstrap

    @property
    def dsn(self) -> str:
        """For a relay."""
        info = self.connection.info
        return f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"

    def another_connection(self) -> psycopg.Connection[Any]:
        """A second session, which begins and ends its transactions itself."""
        return psycopg.connect(self.dsn, autocommit=True)

    def rows(self, query: str, *values: object) -> list[Any]:
        """The rows of a query."""
        with self.connection.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(SQL(query), values).fetchall()  # type: ignore[arg-type]

    def value(self, query: str, *values: object) -> Any:
        """The one value of a query."""
        ((value,),) = self.rows(query, *values)
        return value

    def outbox(self, name: str = "orders", *, max_payload_bytes: int = 1_000_000) -> str:
        """A new outbox; its name."""
        self.value("select tide.outbox_create(%s, max_payload_bytes => %s)", name, max_payload_bytes)
        return name

    def pipeline(
        self,
        topic: str,
        *,
        name: str = "orders-to-kafka",
        outbox: str = "orders",
        group: str = "",
        start: str = "earliest",
        **keys: object,
    ) -> str:
        """Set a pipeline to the test's broker, of a group named after it; `keys` are those of its configuration."""
        config = {"sink_type": "kafka", "brokers": self.bootstrap, "topic": topic, **keys}
        self.value(
            "select tide.relay_set_outbox(%s, %s, %s, %s::jsonb, start => %s)",
            name,
            outbox,
            group or name,
            json.dumps(config),
            start,
        )
        return name

    def enable(self, pipeline: str = "orders-to-kafka") -> None:
        self.value("select tide.relay_enable(%s)", pipeline)

    def disable(self, pipeline: str = "orders-to-kafka") -> None:
        self.value("select tide.relay_disable(%s)", pipeline)

    def publish(self, payload: object = None, *, outbox: str = "orders", **named: object) -> int:
        """Publish one message in a transaction of its own; `named` are publish's other arguments. Its id."""
        names = "".join(f", {name} => %s" for name in named)
        text = json.dumps({} if payload is None else payload)
        return int(
            self.value(f"select tide.outbox_publish(%s, %s::jsonb{names})", outbox, text, *named.values())
        )

    def publish_many(self, count: int, *, outbox: str = "orders", key: str = "", size: int = 0) -> list[int]:
        """Publish {"n": 0}, {"n": 1}, ... in one transaction, of one key or a key each. Their ids."""
        found = self.value(
            "select array_agg(tide.outbox_publish(%s, jsonb_build_object('n', n, 'x', repeat('x', %s)),"
            " key => coalesce(nullif(%s, ''), 'k' || n)) order by n) from generate_series(0, %s - 1) n",
            outbox,
            size,
            key,
            count,
        )
        return list(found or [])

    def pipeline_row(self, name: str = "orders-to-kafka") -> Any:
        """The pipeline's row in tide.pipelines."""
        (row,) = self.rows("select * from tide.pipelines where pipeline = %s", name)
        return row

    def cursor_row(self, name: str = "orders-to-kafka") -> Any:
        """The row of the cursor that the pipeline drives."""
        (row,) = self.rows(
            "select c.* from tide.cursor c join tide.pipeline p on p.group_id = c.group_id where p.name = %s",
            name,
        )
        return row

    def pending(self, name: str = "orders-to-kafka") -> int:
        """Messages that the pipeline has not settled."""
        return int(self.value("select pending from tide.lag where pipeline = %s", name))

    def until_settled(self, *names: str, within: float = 30.0) -> None:
        """Wait until nothing of these pipelines is pending."""
        waited_for = names or ("orders-to-kafka",)
        eventually(
            lambda: all(self.pending(name) == 0 for name in waited_for),
            within=within,
            why=lambda: "\n".join(self.seen(name) for name in waited_for),
        )

    def until_state(self, state: str, name: str = "orders-to-kafka", *, within: float = 30.0) -> Any:
        """Wait until an operator sees the pipeline in this state; its row."""
        return eventually(
            lambda: row if (row := self.pipeline_row(name)).state == state else None,
            within=within,
            why=lambda: self.seen(name),
        )

    def until_told(
        self, code: str, name: str = "orders-to-kafka", *, part: str = "", within: float = 60.0
    ) -> Any:
        """Wait until an operator is told this error code, and this part of an error, of the pipeline; its row.

        On a slow machine a cluster that has not answered yet is told before what it answers.
        """
        return eventually(
            lambda: (
                row
                if (row := self.pipeline_row(name)).error_code == code and part in (row.error or "")
                else None
            ),
            within=within,
            why=lambda: self.seen(name),
        )

    def seen(self, name: str) -> str:
        """The pipeline and its cursor, for a test that failed."""
        return f"{self.pipeline_row(name)}\n{self.cursor_row(name)}\npending {self.pending(name)}"


@contextmanager
def tide_on(database: Database, bootstrap: str) -> Iterator[Tide]:
    """A connection to a database with the schema."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        yield Tide(connection, bootstrap)


class Record(NamedTuple):
    """What a consumer sees of a record."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp_ms: int

    @property
    def message_id(self) -> int:
        return int(dict(self.headers)["pg_tide_id"])


def records(messages: Sequence[Message]) -> list[Record]:
    """Consumed messages as plain values."""
    return [
        Record(
            topic=str(message.topic()),
            key=_bytes(message.key()),
            value=_bytes(message.value()),
            headers=[(name, _bytes(value) or b"") for name, value in message.headers() or []],
            timestamp_ms=message.timestamp()[1],
        )
        for message in messages
    ]


def ids(messages: Sequence[Message]) -> list[int]:
    """The ids of the messages that were consumed, in the order of the topic."""
    return [record.message_id for record in records(messages)]


def difference(found: Sequence[int], expected: Sequence[int]) -> str:
    """Where two long lists of ids part, in a line; empty when they are the same."""
    if list(found) == list(expected):
        return ""
    same = next((n for n, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
    place = min(len(found), len(expected)) if same is None else same
    return (
        f"{len(found)} ids instead of {len(expected)}; from place {place} on"
        f" {found[place : place + 5]} instead of {expected[place : place + 5]}"
    )


def first_occurrences(found: Sequence[int]) -> list[int]:
    """Each id where it stands first."""
    return list(dict.fromkeys(found))


def lowest_repeated(found: Sequence[int]) -> float:
    """The smallest id that stands there more than once; infinity: there is none."""
    return min((one for one, times in Counter(found).items() if times > 1), default=inf)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def alter_topic(bootstrap: str, topic: str, **changes: str) -> None:
    """Change settings of a topic; `_` in a name stands for a point."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in changes.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result(timeout=30)


def header(name: str, record: Record) -> bytes:
    """One header of a record."""
    return dict(record.headers)[name]
