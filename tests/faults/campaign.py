"""An outbox under load, its pipeline to a topic, and the judgement at the end."""

import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Message
from psycopg.types.json import Jsonb

from faults import publishers
from faults.ledger import Arrived, Identity, Ledger, arrived_on, committed_in
from fix_relay import Relay, StartRelay
from pg_tide_dev.processes import Process, Run

LEASE_MS = 1000  # the shortest there is
REQUEST_TIMEOUT_MS = 200  # a take-over waits the lease and this
BATCH_SIZE = 50
FLAGS = ("--lease-ms", str(LEASE_MS))

# What a relay may send again after a kill: batches of its window, one page beside it, and what was delivered
# between two settles.
BATCHES_IN_FLIGHT = 8

ReadRecords = Callable[[str], list[Message]]


@dataclass(frozen=True, kw_only=True)
class Where:
    """The servers of a campaign."""

    dsn: str
    bootstrap: str
    run: Run
    start_relay: StartRelay
    read: ReadRecords  # what a topic holds now


class Load:
    """Running publishers."""

    def __init__(self, process: Process, output: Path, plan: publishers.Plan) -> None:
        self.process = process
        self.plan = plan
        self._output = output

    @property
    def runs(self) -> bool:
        """Whether they are still publishing."""
        return self.process.returncode is None

    def finish(self, within: float = 120.0) -> dict[str, int]:
        """Wait until the plan is fulfilled; the totals."""
        status = self.process.wait(within)
        assert status == 0, self.process.tail()
        totals: dict[str, int] = self._lines[-1]["totals"]
        return totals

    def stop(self) -> None:
        """Let the publishers end their transactions and leave, however much of the plan is left."""
        self.process.send(signal.SIGTERM)
        self.finish()

    def acknowledged(self) -> set[Identity]:
        """Messages whose commit was answered; only where the plan records them."""
        return {Identity(*one) for line in self._lines for one in line.get("committed", ())}

    @property
    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._output.read_text(encoding="ascii").splitlines()]


class Campaign:
    """One pipeline; several may share a database, and an outbox."""

    def __init__(self, where: Where, topic: str, outbox: str | None = None, **config: Any) -> None:
        """Create the pipeline, and its outbox unless it is to read another campaign's."""
        self.where = where
        self.topic = topic
        self.outbox = outbox or f"outbox {topic}"
        self.pipeline = f"pipeline {topic}"
        self._config = {
            "sink_type": "kafka",
            "brokers": where.bootstrap,
            "topic": topic,
            "batch_size": BATCH_SIZE,
            "linger_ms": 5,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            **config,
        }
        with self.connect() as connection:
            if outbox is None:
                connection.execute("select tide.outbox_create(%s)", [self.outbox])
            connection.execute(
                "select tide.relay_set_outbox(%s, %s, %s, %s)",
                [self.pipeline, self.outbox, f"group {topic}", Jsonb(self._config)],
            )

    def configure(self, **changes: Any) -> None:
        """Change the pipeline's configuration; None takes a key away."""
        config = {name: value for name, value in {**self._config, **changes}.items() if value is not None}
        with self.connect() as connection:
            connection.execute(
                "select tide.relay_set_outbox(%s, %s, %s, %s)",
                [self.pipeline, self.outbox, f"group {self.topic}", Jsonb(config)],
            )
        self._config = config

    def connect(self) -> psycopg.Connection:
        """A session of the administrator, in autocommit mode."""
        return psycopg.connect(self.where.dsn, autocommit=True)

    # -- publishing ----------------------------------------------------------------------------------

    def publish(self, key: str = "k0") -> int:
        """Commit one message; its id."""
        with self.connect() as connection:
            row = connection.execute(
                "select tide.outbox_publish(%s, '{}', key => %s)", [self.outbox, key]
            ).fetchone()
        assert row is not None
        return int(row[0])

    def publish_one_by_one(self, count: int, key: str = "k0") -> None:
        """Commit this many messages, each in a transaction of its own."""
        with self.connect() as connection:
            for number in range(count):
                connection.execute(
                    "select tide.outbox_publish(%s, %s::jsonb, key => %s)", [self.outbox, str(number), key]
                )

    def publish_many(self, count: int, keys: int = 1) -> None:
        """Commit this many messages in one transaction, of the keys k0, k1 and so on in turn."""
        with self.connect() as connection:
            connection.execute(
                "select tide.outbox_publish(%s, to_jsonb(n), key => 'k' || n %% %s) from generate_series(1, %s) n",
                [self.outbox, keys, count],
            )

    def load(self, plan: Mapping[str, Any]) -> Load:
        """Start publishers; what the plan leaves out are defaults."""
        wanted = publishers.Plan(**{"dsn": self.where.dsn, "outbox": self.outbox, **plan})
        with self.connect() as connection:
            connection.execute(publishers.TABLES)
            connection.execute(
                "insert into fire_entity (entity) select generate_series(0, %s)", [wanted.entities - 1]
            )
        folder = self.where.run.make_folder("publishers")
        output = folder / "output"
        output.touch()
        command = [sys.executable, *publishers.arguments(wanted, output)]
        process = self.where.run.start(command, log=folder / "publishers.log", as_server=False)
        return Load(process, output, wanted)

    # -- relays --------------------------------------------------------------------------------------

    def start_relay(self, *flags: str, env: Mapping[str, str] | None = None, dsn: str = "") -> Relay:
        """A relay for this pipeline alone, with a short lease."""
        return self.where.start_relay(
            dsn or self.where.dsn, *FLAGS, "--pipeline", self.pipeline, *flags, env=env
        )

    def wait_until_delivered(self, relay: Relay, within: float = 60.0) -> None:
        """Everything committed by now is settled. Fails when the relay ends before."""
        relay.wait_for(lambda: self.pending() == 0, within)

    def wait_until_it_settles(self, relay: Relay, within: float = 30.0) -> None:
        """The cursor moves from now on: the pipeline delivers."""
        with self.connect() as connection:
            moved = partial(
                connection.execute,
                "select max(settled_at) > %s from tide.consumer_groups where pipeline = %s",
                [datetime.now(UTC), self.pipeline],
            )
            relay.wait_for(lambda: moved().fetchone() == (True,), within)

    def pending(self) -> int:
        """Messages that are not settled."""
        with self.connect() as connection:
            row = connection.execute(
                "select pending from tide.lag where pipeline = %s", [self.pipeline]
            ).fetchone()
        assert row is not None
        return int(row[0])

    def state(self) -> dict[str, Any]:
        """The pipeline's row in tide.pipelines."""
        with self.connect() as connection:
            row = connection.execute(
                "select to_jsonb(p) from tide.pipelines p where p.pipeline = %s", [self.pipeline]
            ).fetchone()
        assert row is not None
        found: dict[str, Any] = row[0]
        return found

    def cursor(self) -> dict[str, Any]:
        """The row of its cursor."""
        with self.connect() as connection:
            row = connection.execute(
                "select to_jsonb(c) from tide.cursor c join tide.pipeline p using (group_id) where p.name = %s",
                [self.pipeline],
            ).fetchone()
        assert row is not None
        found: dict[str, Any] = row[0]
        return found

    # -- judgement -----------------------------------------------------------------------------------

    def records(self) -> list[Message]:
        """What the topic holds now."""
        return self.where.read(self.topic)

    def arrived(self) -> list[Arrived]:
        """The same, as the ledger wants it."""
        return list(arrived_on(self.records()))

    def ledger(self) -> Ledger:
        """What the database holds now against what the topic holds now."""
        return Ledger(committed_in(self.where.dsn, self.outbox), arrived_on(self.records()))

    def versions(self) -> dict[int, int]:
        """How many changes of each entity are committed: what must have arrived, told by the business table."""
        with self.connect() as connection:
            return dict(connection.execute("select entity, version from fire_entity").fetchall())
