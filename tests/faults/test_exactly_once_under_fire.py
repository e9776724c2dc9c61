"""Delivery in transactions under fire: whoever reads committed records finds each message once, whatever dies."""

import random
import signal
import time

import pytest

from faults.campaign import Campaign
from faults.conftest import NewCampaign
from faults.servers import Pair, crash
from fix_relay import Relay
from fix_run import Progress
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from pg_tide_relay.failpoints import NAMES
from waiting import eventually

ONCE = {"delivery": "exactly_once", "transactions": {"commit_interval_ms": 20}}
LARGE = {"max.message.bytes": "5000"}
WAITING = 600
KILLS = 8
CRASHES = 3

MOMENTS = {
    "after_acquire": 1,
    "after_fence": 1,
    "after_window_open": 2,
    "before_flush": 2,
    "after_fetch": 3,
    "before_hand_over": 3,
    "after_hand_over": 3,
    "before_commit": 2,
    "after_commit": 2,
    "on_acknowledgement": 2,
    "before_settle": 2,
    "after_settle": 2,
    "before_release": 1,
}
"""Which passage of a failpoint is the last one; by then the relay has done something that matters there."""

OF_TRANSACTIONS = (
    "after_fence",
    "before_commit",
    "after_commit",
    "on_acknowledgement",
    "before_settle",
    "after_settle",
)
"""Killed there at every run; elsewhere each night."""


def judged(campaign: Campaign) -> str:
    """What is wrong with what the topic holds; empty: each message is there once, in order."""
    ledger = campaign.ledger()
    if ledger.verdict.is_clean and ledger.duplicates == 0:
        return ""
    return f"{ledger.duplicates} duplicates, {ledger.verdict}"


@pytest.mark.parametrize(
    "failpoint",
    [
        pytest.param(name, marks=() if name in OF_TRANSACTIONS else pytest.mark.nightly)
        for name in NAMES
        if name in MOMENTS
    ],
)
def test_a_relay_killed_at_a_failpoint_loses_and_repeats_nothing(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random, failpoint: str
) -> None:
    """Messages wait, more arrive while it dies, and the successor ends what it began."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, **ONCE)
    campaign.publish_many(WAITING, keys=7)
    plan = {"messages": 10**9, "publishers": 3, "entities": 10, "hold_ms": 20}
    load = campaign.load({"seed": chance.randrange(10**6), **plan})
    doomed = campaign.start_relay(env={"PG_TIDE_FAILPOINTS": f"{failpoint}=kill@{MOMENTS[failpoint]}"})
    if failpoint == "before_release":
        doomed.wait_for("pipeline_acquired")
        doomed.signal(signal.SIGTERM)
    assert doomed.wait() == -signal.SIGKILL, doomed.process.tail()
    successor = campaign.start_relay()
    load.stop()
    campaign.wait_until_delivered(successor)
    assert successor.terminate() == 0
    assert judged(campaign) == ""


def test_kills_at_random_moments_under_load_repeat_nothing(
    database18: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """Each successor is killed in its turn."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, **ONCE)
    plan = {"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 6, "hold_ms": 40}
    load = campaign.load(plan)
    for _ in range(KILLS):
        relay = campaign.start_relay()
        relay.wait_for("pipeline_acquired")
        time.sleep(chance.uniform(0.05, 0.9))  # chance, not synchronisation
        relay.kill()
    relay = campaign.start_relay()
    load.stop()
    campaign.wait_until_delivered(relay)
    progress(f"{len(campaign.ledger().committed)} messages, {KILLS} kills")
    assert judged(campaign) == ""


def test_a_relay_that_was_stopped_beyond_its_lease_repeats_nothing(
    database18: Database, kafka: KafkaServer, new_campaign: NewCampaign, chance: random.Random
) -> None:
    """It wakes up while another one drives the pipeline: Kafka refuses what it had begun."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, **ONCE)
    plan = {"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 3}
    load = campaign.load(plan)
    paused = campaign.start_relay()
    campaign.wait_until_it_settles(paused)
    for _ in range(3):
        paused.pause()
        other = campaign.start_relay()
        other.wait_for("pipeline_acquired")
        paused.resume()
        campaign.wait_until_it_settles(other)
        assert paused.terminate() == 0
        paused = other
    load.stop()
    campaign.wait_until_delivered(paused)
    assert judged(campaign) == ""


def test_crashes_of_postgresql_under_load_repeat_nothing(
    durable: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
) -> None:
    """Nothing is durable there but what asks for it."""
    campaign = new_campaign(durable.dsn, kafka.bootstrap, partitions=3, **ONCE)
    plan = {"publishers": 6, "hold_ms": 10, "old_writer": False, "record": True}
    load = campaign.load({"messages": 10**9, "seed": chance.randrange(10**6), **plan})
    relay = campaign.start_relay()
    for _ in range(CRASHES):
        campaign.wait_until_it_settles(relay)
        crash(durable)
    campaign.wait_until_it_settles(relay)
    load.stop()
    campaign.wait_until_delivered(relay)
    assert judged(campaign) == ""
    assert load.acknowledged() <= {one.identity for one in campaign.ledger().committed}


def test_a_promoted_standby_that_was_behind_stops_the_pipeline_until_somebody_decides(
    pair: Pair,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
) -> None:
    """Kafka's position is of a window that this server never knew; the cure is the statement that the state names."""
    campaign = new_campaign(pair.either, kafka.bootstrap, **ONCE)
    relay = campaign.start_relay()
    campaign.publish_one_by_one(50)
    campaign.wait_until_delivered(relay)
    pair.catch_up()
    pair.cut()
    campaign.publish_one_by_one(50)
    campaign.wait_until_delivered(relay)
    arrived = len(campaign.arrived())
    pair.fail_over()
    campaign.publish_one_by_one(10)
    eventually(lambda: campaign.state()["error_code"] == "TD033", why=relay.process.tail)
    assert "older than Kafka" in campaign.state()["error"]
    assert len(campaign.arrived()) == arrived
    cure(campaign, relay)
    verdict = campaign.ledger().verdict
    assert (verdict.lost, verdict.reordered, verdict.overtaken) == ((), (), ())


def cure(campaign: Campaign, relay: Relay) -> None:
    """Run the statement that the state names."""
    statement = campaign.state()["cure"].partition(": ")[2]
    with campaign.connect() as connection:
        connection.execute(statement)
    campaign.wait_until_delivered(relay)


def test_a_switchover_repeats_nothing(
    pair: Pair,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
) -> None:
    campaign = new_campaign(pair.either, kafka.bootstrap, **ONCE)
    relay = campaign.start_relay()
    campaign.publish_one_by_one(50)
    campaign.wait_until_delivered(relay)
    pair.primary.stop()
    pair.standby.promote()
    campaign.publish_one_by_one(50)
    campaign.wait_until_delivered(relay)
    assert judged(campaign) == ""
