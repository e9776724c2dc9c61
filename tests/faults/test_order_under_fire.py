"""The campaign: publishers in every way that transactions have, relays killed again and again, order kept."""

import json
import random
import time
from collections import defaultdict
from functools import partial

import pytest
from confluent_kafka import Message

from faults.campaign import BATCH_SIZE, BATCHES_IN_FLIGHT, Campaign, Load
from faults.conftest import NewCampaign
from faults.ledger import identity_of
from fix_relay import Relay
from fix_run import Progress
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from waiting import eventually


def first_versions(records: list[Message]) -> dict[int, list[int]]:
    """The versions of each entity, in the order of their first occurrences."""
    seen = set()
    found = defaultdict(list)
    for record in records:
        if (identity := identity_of(record)) not in seen and record.key() != b"old writer":
            seen.add(identity)
            payload = json.loads(record.value() or b"")
            found[payload["entity"]].append(payload["version"])
    return found


def owner_of(relays: list[Relay]) -> Relay | None:
    """The one that has acquired the pipeline."""
    return next((relay for relay in relays if relay.lines("pipeline_acquired")), None)


def kill_owners(campaign: Campaign, load: Load, chance: random.Random) -> tuple[int, list[Relay]]:
    """Kill the owner at random moments while the load runs; a standby takes over. How many died, who is left."""
    relays = [campaign.start_relay(), campaign.start_relay()]
    kills = 0
    while load.runs:
        owner = eventually(partial(owner_of, relays), why=relays[0].process.tail)
        time.sleep(chance.uniform(0.0, 1.5))  # chance, not synchronisation: any moment will do
        owner.kill()
        kills += 1
        relays = [*(relay for relay in relays if relay is not owner), campaign.start_relay()]
    return kills, relays


@pytest.mark.parametrize(
    "messages", [20_000, pytest.param(125_000, marks=[pytest.mark.nightly, pytest.mark.timeout(1200)])]
)
def test_order_per_key_under_fire(
    database18: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
    messages: int,
) -> None:
    """Nothing lost, nothing reordered, nothing invented: told by the outbox and by the entities themselves."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=6)
    load = campaign.load({"messages": messages, "seed": chance.randrange(10**6)})
    kills, relays = kill_owners(campaign, load, chance)
    totals = load.finish()
    campaign.wait_until_delivered(relays[0])

    ledger = campaign.ledger()
    progress(f"{totals}, {kills} kills, {ledger.duplicates} duplicates")
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert len(ledger.committed) == totals["committed"] >= messages
    assert totals["rolled back"] > 0
    assert totals["two-phase commits"] > 0
    assert ledger.duplicates <= kills * BATCH_SIZE * (BATCHES_IN_FLIGHT + 1)
    assert kills >= 10
    versions = first_versions(campaign.records())
    assert versions == {
        entity: list(range(1, version + 1)) for entity, version in campaign.versions().items() if version
    }
