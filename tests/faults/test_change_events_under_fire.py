"""Rows live and die as Debezium's change events while relay, broker connection and schema registry fail.

A delete's tombstone is a record of its own here, with the place behind its event: the ledger then says of both what
it says of any record.
"""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from confluent_kafka import Message

from faults.campaign import BATCH_SIZE, BATCHES_IN_FLIGHT, Campaign
from faults.conftest import NewCampaign
from faults.faultproxy import FaultProxy
from faults.ledger import Arrived, Committed, Identity, Ledger, arrived_on, committed_in
from fix_kafka import NewKafka
from fix_registry import NewFront
from fix_relay import Relay
from fix_run import Progress
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer

KEYS = 12
PARTITIONS = 4
KILLS = 6
CUTS = 12
AWAYS = 3
COLUMNS = [{"name": "id", "type": "bigint"}, {"name": "version", "type": "integer"}]
OF_A_TABLE = {
    "table": "public.row",
    "row_schema": COLUMNS,
    "key_strategy": "struct",
    "key_fields": ["id"],
}


class Rows:
    """Rows that are inserted, updated and deleted, a few in each transaction, until somebody stops it."""

    def __init__(self, campaign: Campaign, chance: random.Random) -> None:
        self._campaign = campaign
        self._random = random.Random(chance.randrange(10**6))
        self._versions: dict[int, int] = {}  # of the rows that are there
        self.stopped = threading.Event()

    def run(self) -> None:
        with self._campaign.connect() as connection:
            while not self.stopped.wait(self._random.uniform(0.0, 0.01)):
                with connection.transaction():
                    for _ in range(self._random.choice((1, 1, 2, 10))):
                        self._change(connection, self._random.randrange(KEYS))

    def _change(self, connection: psycopg.Connection, key: int) -> None:
        version = self._versions.get(key)
        old = None if version is None else json.dumps({"id": key, "version": version})
        new, op = json.dumps({"id": key, "version": (version or 0) + 1}), "insert"
        if version is None:
            self._versions[key] = 1
        elif self._random.random() < 0.4:
            op, new = "delete", None
            del self._versions[key]
        else:
            op, self._versions[key] = "update", version + 1
        connection.execute(
            "select tide.outbox_publish(%s, %s::jsonb, op => %s, old_payload => %s::jsonb, key => %s)",
            [self._campaign.outbox, new, op, old, f"row {key}"],
        )


@contextmanager
def rows_changing(campaign: Campaign, chance: random.Random) -> Iterator[None]:
    """Rows change until the end of the block; then every change is committed."""
    rows = Rows(campaign, chance)
    thread = threading.Thread(target=rows.run)
    thread.start()
    try:
        yield
    finally:
        rows.stopped.set()
        thread.join()


def part(identity: Identity, number: int) -> Identity:
    """The first or second record of a message."""
    return Identity(2 * identity.id + number, identity.created_us)


def ledger_of(campaign: Campaign) -> Ledger:
    """Every record that the changes ask for against what is on the topic, by the key of the outbox."""
    committed = list(committed_in(campaign.where.dsn, campaign.outbox))
    with campaign.connect() as connection:
        found = connection.execute(
            "select m.id from tide.message m join tide.outbox o using (outbox_id)"
            " where o.name = %s and m.op = 'delete'",
            [campaign.outbox],
        )
        deletes = {message_id for (message_id,) in found}
    keys = {one.identity: one.key for one in committed}
    wanted = [
        Committed(part(one.identity, number), one.key)
        for one in committed
        for number in range(1 + (one.identity.id in deletes))
    ]
    return Ledger(wanted, [_arrived(record, keys) for record in campaign.records()])


def _arrived(record: Message, keys: dict[Identity, bytes | None]) -> Arrived:
    (arrived,) = arrived_on([record])
    number = int(record.value() is None)
    return Arrived(part(arrived.identity, number), keys.get(arrived.identity), arrived.partition)


def assert_every_life_is_whole(ledger: Ledger, kills: int, progress: Progress) -> None:
    tombstones = sum(one.identity.id % 2 for one in ledger.committed)
    progress(f"{len(ledger.committed)} records, {tombstones} tombstones, {ledger.duplicates} duplicates")
    assert tombstones > KEYS
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.duplicates <= 2 * kills * BATCH_SIZE * (BATCHES_IN_FLIGHT + 1)


def kill_and_start(campaign: Campaign, relay: Relay, chance: random.Random) -> Relay:
    """Kill it a random while after it began to deliver; its successor."""
    relay.wait_for("pipeline_acquired")
    time.sleep(chance.uniform(0.0, 0.6))  # chance, not synchronisation
    relay.kill()
    return campaign.start_relay()


@pytest.mark.parametrize("acks", ["all", pytest.param("1", marks=pytest.mark.nightly)])
def test_relays_killed_leave_every_life_in_order_and_every_delete_with_its_tombstone(
    database18: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
    acks: str,
) -> None:
    campaign = new_campaign(
        database18.dsn, kafka.bootstrap, partitions=PARTITIONS, wire_format="debezium", acks=acks
    )
    relay = campaign.start_relay()
    with rows_changing(campaign, chance):
        for _ in range(KILLS):
            relay = kill_and_start(campaign, relay, chance)
    campaign.wait_until_delivered(relay)
    assert_every_life_is_whole(ledger_of(campaign), KILLS, progress)


@pytest.mark.nightly
def test_a_broker_connection_that_breaks_between_two_records_repeats_and_loses_nothing(
    database18: Database,
    new_kafka: NewKafka,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """The same producer goes on: the broker knows what it has of it."""
    with FaultProxy() as proxy:
        kafka = new_kafka(properties={"advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}"})
        host, _, port = kafka.bootstrap.rpartition(":")
        proxy.target = (host, int(port))
        campaign = new_campaign(
            database18.dsn, f"127.0.0.1:{proxy.port}", partitions=PARTITIONS, wire_format="debezium"
        )
        relay, cut = campaign.start_relay(), 0
        with rows_changing(campaign, chance):
            for _ in range(CUTS):
                campaign.wait_until_it_settles(relay)
                time.sleep(chance.uniform(0.0, 0.3))  # chance, not synchronisation
                cut += proxy.cut(on_the_way=chance.random() < 0.5)
        campaign.wait_until_delivered(relay)
        assert cut >= CUTS // 2
        assert_every_life_is_whole(ledger_of(campaign), 0, progress)


@pytest.mark.nightly
def test_a_registry_that_comes_and_goes_and_relays_killed_lose_and_reorder_nothing(
    database18: Database,
    kafka: KafkaServer,
    new_front: NewFront,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """In Avro: each relay has to ask before its first record, whether anybody answers or not."""
    front = new_front()
    campaign = new_campaign(
        database18.dsn,
        kafka.bootstrap,
        partitions=PARTITIONS,
        wire_format="debezium",
        wire_config=OF_A_TABLE,
        serialization={"format": "avro"},
        schema_registry={"url": front.url, "auto_register": True, "timeout_ms": 500},
    )
    relay = campaign.start_relay()
    with rows_changing(campaign, chance):
        for _ in range(AWAYS):
            campaign.wait_until_it_settles(relay)
            front.down()
            relay = kill_and_start(campaign, relay, chance)
            relay.wait_for("delivery_state", state="backing_off")
            front.up()
            relay = kill_and_start(campaign, relay, chance)
    campaign.wait_until_delivered(relay)
    assert_every_life_is_whole(ledger_of(campaign), 2 * AWAYS, progress)
