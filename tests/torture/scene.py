"""A slice's stage: an outbox under load, two pipelines to two topics, two relays that share them."""

import json
from typing import Any

import psycopg
import pytest
from confluent_kafka import Message
from psycopg.types.json import Jsonb

from faults.campaign import Campaign, Load, Where
from fix_relay import Relay, StartRelay
from pg_tide_dev.kafka import create_topic
from torture.clock import new_clock
from torture.schedule import Slice
from torture.servers import USER, Servers
from waiting import eventually

STEADY, DOOMED = "steady", "doomed"
OUTBOX = "outbox steady"
PARTITIONS = 3
LEASE_MS = 1000
REQUEST_TIMEOUT_MS = 500
RELAYS = 2
STORY = 8
RECOVERS_S = 180.0
APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}  # so that a duplicate tells when it was written

PUBLISHERS = {"publishers": 4, "hold_ms": 30.0, "old_writer": False, "record": True, "varied": True}


class Scene:
    """Everything that faults are injected into."""

    def __init__(self, servers: Servers, start_relay: StartRelay, part: Slice) -> None:
        chance = part.chance
        self.servers = servers
        self.clock = new_clock(servers.run.make_folder("clock"))
        self._start_relay = start_relay
        self.is_exact = part.delivery == "exactly_once"
        self._config: dict[str, Any] = {"delivery": part.delivery}
        self._started = 0
        self.relays: dict[str, Relay] = {}
        self.all_relays: list[Relay] = []  # those that are gone, too
        self.story: list[str] = []  # what was done last, for a slice that fails
        self._create(STEADY)
        self._create(DOOMED)
        if self.is_exact:
            servers.kafka.grant_transactions()
        where = Where(
            dsn=servers.database.dsn,
            bootstrap=servers.kafka.bootstrap,
            run=servers.run,
            start_relay=start_relay,
            read=_never,
        )
        keys = self._keys()
        self.steady = Campaign(where, STEADY, **keys)
        self.doomed = Campaign(where, DOOMED, outbox=self.steady.outbox, **keys)
        self.doomed_since_us = 0  # since when the topic is there again; 0: always
        plan = {"messages": 10**9, "seed": chance.randrange(10**6), **PUBLISHERS}
        self.load: Load = self.steady.load(plan)
        self.start_missing_relays()

    def _create(self, topic: str) -> None:
        self.create_topic(topic)
        self.servers.kafka.grant(topic)

    def create_topic(self, topic: str) -> None:
        """As an administrator does it."""
        create_topic(self.servers.kafka.bootstrap, topic, partitions=PARTITIONS, config=APPEND_TIME)

    # -- the database, past the proxy ------------------------------------------------------------------

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query of the administrator."""
        with psycopg.connect(self.servers.database.dsn, autocommit=True) as connection:
            cursor = connection.execute(query, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def configure(self, **keys: object) -> None:
        """Set both pipelines again, with these keys changed."""
        self._config.update(keys)
        for campaign in (self.steady, self.doomed):
            config = {**self._keys(), "sink_type": "kafka", "topic": campaign.topic}
            self.ask(
                "select tide.relay_set_outbox(%s, %s, %s, %s)",
                campaign.pipeline,
                campaign.outbox,
                f"group {campaign.topic}",
                Jsonb(config),
            )

    def _keys(self) -> dict[str, Any]:
        kafka = self.servers.kafka
        return {
            "brokers": kafka.relay_bootstrap,
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_username": USER,
            "sasl_password": kafka.password,
            "batch_size": 50,
            "linger_ms": 5,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            **self._config,
        }

    # -- relays ----------------------------------------------------------------------------------------

    def start_missing_relays(self) -> None:
        """Until there are two."""
        while len(self.relays) < RELAYS:
            self._started += 1
            name = f"relay-{self._started}"
            self.relays[name] = self._start_relay(
                self.servers.relay_dsn,
                *("--relay-id", name, "--lease-ms", str(LEASE_MS)),
                env=self.clock.environment if self.clock else None,
            )
            self.all_relays.append(self.relays[name])

    def owner(self) -> str:
        """The relay that drives the steady pipeline; any, when nobody does or the database does not say."""
        try:
            found = self.ask("select owner from tide.pipelines where pipeline = %s", self.steady.pipeline)
        except psycopg.OperationalError:
            found = []
        names = [name for (name,) in found if name in self.relays]
        return (names or list(self.relays))[0]

    # -- recovery --------------------------------------------------------------------------------------

    def wait_until_it_delivers(self) -> None:
        """Both cursors move from now on. Fails when a relay or the publishers have ended, or nothing comes back."""
        (since,) = self._eventually("select clock_timestamp()")
        wanted = "select count(*) = 2 from tide.consumer_groups where settled_at > %s"
        self._eventually(wanted, since)

    def wait_until_it_was_sent_again(self) -> None:
        """No replay pass is under way."""
        self._eventually("select count(*) = 2 from tide.consumer_groups where replay_from is null")

    def wait_until_all_is_delivered(self) -> None:
        """Nothing is pending."""
        self._eventually("select count(*) = 2 from tide.lag where pending = 0")

    def _eventually(self, query: str, *values: object) -> tuple[Any, ...]:
        def look() -> tuple[Any, ...] | None:
            self.assert_alive()
            try:
                (row,) = self.ask(query, *values)
            except psycopg.OperationalError:
                return None  # it is still starting
            return row if row[0] else None

        return eventually(look, within=RECOVERS_S, why=self.describe)

    def assert_alive(self) -> None:
        """No relay ends by itself, whatever happens around it."""
        for name, relay in self.relays.items():
            if relay.exit_code is not None:
                pytest.fail(f"{name} ended with {relay.exit_code}\n{relay.process.tail()}")
        if not self.load.runs and self.load.process.returncode != 0:
            pytest.fail(f"the publishers ended\n{self.load.process.tail()}")

    def describe(self) -> str:
        """What an operator would look at."""
        found = self.ask("select to_jsonb(p) - 'config' from tide.pipelines p")
        found += self.ask("select to_jsonb(g) from tide.consumer_groups g")
        found += self.ask("select to_jsonb(r) from tide.relays r where r.ended_at is null")
        seen = "\n".join(json.dumps(row[0]) for row in found)
        logs = "\n".join(f"-- {name}\n{relay.process.tail()}" for name, relay in self.relays.items())
        return "\n".join((*self.story[-STORY:], seen, logs))


def _never(_topic: str) -> list[Message]:
    raise NotImplementedError("a slice's topics are read as a stream")
