"""A topic is deleted and made again between two looks of the Kafka client."""

import random

import pytest
from confluent_kafka.admin import AdminClient

from faults.conftest import NewCampaign
from fix_kafka import NewKafka
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import create_topic, delete_topic

PARTITIONS = 12  # each node leads some, and others of the new topic
LONG_LEASE = ("--lease-ms", "60000")


def leader_of(bootstrap: str, topic: str) -> int:
    """The node that leads the first partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    leader: int = admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader
    return leader


@pytest.mark.nightly
@pytest.mark.parametrize("restarts", [True, False], ids=["pipeline restarted", "nobody does anything"])
def test_delivery_goes_on_when_a_topic_was_deleted_and_made_again(
    database18: Database,
    new_kafka: NewKafka,
    new_campaign: NewCampaign,
    chance: random.Random,
    restarts: bool,
) -> None:
    """A leader has changed before, so the new topic's leader epochs are behind those that the client remembers.

    Where nobody does anything, a new producer takes over after less than a minute.
    """
    kafka = new_kafka(nodes=3, properties={"auto.create.topics.enable": "false"})
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=PARTITIONS, request_timeout_ms=500)
    plan = {"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 2, "old_writer": False}
    load = campaign.load(plan)
    relay = campaign.start_relay(*LONG_LEASE)
    campaign.wait_until_it_settles(relay, within=60)
    leader = leader_of(kafka.bootstrap, campaign.topic)
    kafka.kill_node(leader)
    campaign.wait_until_it_settles(relay, within=60)
    kafka.start_node(leader)
    relay.pause()
    delete_topic(kafka.bootstrap, campaign.topic)
    create_topic(kafka.bootstrap, campaign.topic, partitions=PARTITIONS)
    relay.resume()
    with campaign.connect() as connection:
        for call in ("relay_disable", "relay_enable") if restarts else ():
            connection.execute(f"select tide.{call}(%s)", [campaign.pipeline])
    load.stop()
    campaign.wait_until_delivered(relay, within=150)
