"""A pipeline in shards: several relays deliver it at a time, and its shards become more and fewer while they do."""

import random
import signal
from typing import Any
from uuid import uuid4

import pytest

from faults.campaign import Campaign
from faults.conftest import NewCampaign
from fix_relay import Relay
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from waiting import eventually

LOAD = {"messages": 10**9, "publishers": 4, "hold_ms": 20}
HOLDS = """
select count(*) from tide.cursor c join tide.pipeline p on p.group_id = c.group_id
 cross join lateral tide._cursor_acquire(c.group_id, c.shard, %s, 'the test', 600000, 0, c.division) a
 where p.name = %s and c.shard >= c.shards / 2"""
LETS_GO = """
select tide._cursor_release(c.group_id, c.shard, c.owner_token, c.epoch)
  from tide.cursor c where c.owner = 'the test'"""


def shards(campaign: Campaign) -> list[dict[str, Any]]:
    """The pipeline's rows in tide.shards."""
    query = "select to_jsonb(s) from tide.shards s where s.pipeline = %s order by s.shard"
    with campaign.connect() as connection:
        return [row for (row,) in connection.execute(query, [campaign.pipeline])]


def owners(campaign: Campaign) -> list[str | None]:
    """Whose each shard is."""
    return [row["owner"] for row in shards(campaign)]


def all_run(campaign: Campaign, wanted: int) -> bool:
    """Whether there are so many shards, and relays drive them all."""
    found = shards(campaign)
    return len(found) == wanted and all(row["state"] == "running" for row in found)


def two_relays(campaign: Campaign) -> tuple[Relay, Relay]:
    """Each drives half of the shards; only the second one's lease is short."""
    with campaign.connect() as connection:
        connection.execute(HOLDS, [uuid4(), campaign.pipeline])
        first = campaign.start_relay("--relay-id", "first", "--lease-ms", "20000")
        half = len(shards(campaign)) // 2
        first.wait_for(lambda: owners(campaign)[:half] == ["first"] * half)
        first.pause()
        connection.execute(LETS_GO)
    second = campaign.start_relay("--relay-id", "second")
    second.wait_for(lambda: owners(campaign) == ["first"] * half + ["second"] * half)
    first.resume()
    return first, second


def test_a_relay_killed_beside_another_one_is_followed_shard_by_shard(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random
) -> None:
    """Both deliver; the second is killed, and the first takes its shards: nothing lost, nothing reordered."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, shards=4)
    load = campaign.load({"seed": chance.randrange(10**6), **LOAD})
    first, second = two_relays(campaign)
    second.wait_for(lambda: all_run(campaign, 4))
    campaign.wait_until_it_settles(second)
    second.kill()
    first.wait_for(lambda: owners(campaign) == ["first"] * 4)
    load.stop()
    campaign.wait_until_delivered(first)
    verdict = campaign.ledger().verdict
    assert verdict.is_clean, str(verdict)


def test_shards_become_more_and_fewer_under_load_and_nothing_is_sent_twice(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random
) -> None:
    """From one to four to two."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3)
    load = campaign.load({"seed": chance.randrange(10**6), **LOAD})
    relay = campaign.start_relay()
    campaign.wait_until_it_settles(relay)
    for wanted in (4, 2):
        campaign.configure(shards=wanted)
        relay.wait_for(lambda wanted=wanted: all_run(campaign, wanted))  # type: ignore[misc]
        campaign.wait_until_it_settles(relay)
    load.stop()
    campaign.wait_until_delivered(relay)
    ledger = campaign.ledger()
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.duplicates == 0


def test_two_relays_meet_at_the_barrier_and_nothing_is_sent_twice(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random
) -> None:
    """One of them is slow: the other begins nothing before it has signed off, and waits for it at the barrier."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, shards=4)
    load = campaign.load({"seed": chance.randrange(10**6), **LOAD})
    first, second = two_relays(campaign)
    second.wait_for(lambda: all_run(campaign, 4))
    first.pause()
    campaign.configure(shards=3)
    second.wait_for("pipeline_released")
    assert [row["shards"] for row in shards(campaign)] == [4] * 4
    first.resume()
    first.wait_for(lambda: all_run(campaign, 3))
    load.stop()
    campaign.wait_until_delivered(first)
    ledger = campaign.ledger()
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.duplicates == 0


@pytest.mark.nightly
@pytest.mark.parametrize("failpoint", ["before_shards_pass", "after_shards_pass"])
def test_a_relay_killed_at_the_barrier_is_followed(
    database18: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    failpoint: str,
) -> None:
    """Whoever comes next brings the change to its end."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, shards=2)
    load = campaign.load({"seed": chance.randrange(10**6), **LOAD})
    doomed = campaign.start_relay(env={"PG_TIDE_FAILPOINTS": f"{failpoint}=kill@2"})
    campaign.wait_until_it_settles(doomed)
    campaign.configure(shards=3)
    assert doomed.wait() == -signal.SIGKILL, doomed.process.tail()
    successor = campaign.start_relay()
    successor.wait_for(lambda: all_run(campaign, 3))
    load.stop()
    campaign.wait_until_delivered(successor)
    verdict = campaign.ledger().verdict
    assert verdict.is_clean, str(verdict)


def test_another_record_key_under_load_loses_nothing(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random
) -> None:
    """The shards stand in different places, and most messages fall to another one from then on."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, shards=4)
    load = campaign.load({"seed": chance.randrange(10**6), **LOAD})
    first, second = two_relays(campaign)
    second.wait_for(lambda: all_run(campaign, 4))
    first.pause()
    campaign.wait_until_it_settles(second)
    before = campaign.publish()
    eventually(lambda: _has_passed(campaign, before), within=30, why=second.process.tail)
    campaign.configure(message_key="{key}-{stream_table}")
    first.resume()
    first.wait_for(lambda: all_run(campaign, 4))
    load.stop()
    campaign.wait_until_delivered(first)
    verdict = campaign.ledger().verdict
    assert not verdict.lost, str(verdict)
    assert not verdict.phantom, str(verdict)


def _has_passed(campaign: Campaign, message_id: int) -> bool:
    """Whether the second relay's shards are past this message, which the first one's can't be."""
    query = """
    select bool_and(pg_visible_in_snapshot(m.xid, c.prev)) from tide.cursor c cross join tide.message m
     where m.id = %s and c.owner = 'second'"""
    with campaign.connect() as connection:
        return connection.execute(query, [message_id]).fetchone() == (True,)


def test_exactly_once_stays_so_while_shards_become_more_and_fewer(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random
) -> None:
    """A relay dies on the way; and a shard of a number that was there before finds its old position in Kafka."""
    once = {"delivery": "exactly_once", "transactions": {"commit_interval_ms": 20}}
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, shards=3, **once)
    load = campaign.load({"seed": chance.randrange(10**6), **LOAD})
    relay = campaign.start_relay(env={"PG_TIDE_FAILPOINTS": "before_shards_pass=kill@2"})
    campaign.wait_until_it_settles(relay)
    campaign.configure(shards=2)
    assert relay.wait() == -signal.SIGKILL, relay.process.tail()
    relay = campaign.start_relay()
    relay.wait_for(lambda: all_run(campaign, 2))
    campaign.wait_until_it_settles(relay)
    campaign.configure(shards=3)
    relay.wait_for(lambda: all_run(campaign, 3))
    campaign.wait_until_it_settles(relay)
    load.stop()
    campaign.wait_until_delivered(relay)
    ledger = campaign.ledger()
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.duplicates == 0
