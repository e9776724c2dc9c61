"""Brokers are killed under load: the same producer waits and goes on, nothing is lost, nothing is even repeated."""

import random
import time

from confluent_kafka.admin import AdminClient

from faults.campaign import Campaign, Load
from faults.conftest import NewCampaign
from fix_kafka import NewKafka
from fix_relay import Relay
from fix_run import Progress
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer

KILLS = 3


def assert_nothing_was_repeated(campaign: Campaign, load: Load, relay: Relay, progress: Progress) -> None:
    load.stop()
    campaign.wait_until_delivered(relay)
    ledger = campaign.ledger()
    progress(f"{len(ledger.committed)} messages, {ledger.duplicates} duplicates")
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.duplicates == 0
    assert len(relay.lines("pipeline_acquired")) == 1
    assert not relay.lines("delivery_resumes"), relay.process.tail()


def test_hazard_05_a_broker_killed_and_started_again_repeats_and_loses_nothing(
    database18: Database,
    new_kafka: NewKafka,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """A record that was written but not acknowledged is known to the broker by its number when it comes again."""
    kafka: KafkaServer = new_kafka()
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3)
    load = campaign.load({"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 6})
    relay = campaign.start_relay()
    for _ in range(KILLS):
        campaign.wait_until_it_settles(relay)
        time.sleep(chance.uniform(0.0, 1.0))  # chance, not synchronisation
        kafka.kill()
        kafka.start()
    campaign.wait_until_it_settles(relay)
    assert_nothing_was_repeated(campaign, load, relay, progress)


def leader_of(bootstrap: str, topic: str) -> int:
    """The node that leads the first partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    leader: int = admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader
    return leader


def test_hazard_05_a_leader_killed_among_three_repeats_and_loses_nothing(
    database18: Database,
    kafka_cluster3: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """Another node leads, the records' numbers are known there, too; then the killed one comes back."""
    campaign = new_campaign(database18.dsn, kafka_cluster3.bootstrap, partitions=3)
    load = campaign.load({"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 6})
    relay = campaign.start_relay()
    for _ in range(KILLS):
        campaign.wait_until_it_settles(relay)
        leader = leader_of(kafka_cluster3.bootstrap, campaign.topic)
        kafka_cluster3.kill_node(leader)
        campaign.wait_until_it_settles(relay)
        kafka_cluster3.start_node(leader)
    assert_nothing_was_repeated(campaign, load, relay, progress)
