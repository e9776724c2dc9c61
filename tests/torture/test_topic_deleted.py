"""A topic is deleted and made again under a running relay: what is published afterwards arrives, in order."""

import random

from confluent_kafka.admin import AdminClient

from faults.conftest import NewCampaign
from fix_kafka import NewKafka
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import create_topic, delete_topic

LEADERS = 2


def leader_of(bootstrap: str, topic: str) -> int:
    """The node that leads the first partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    leader: int = admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader
    return leader


def test_delivery_goes_on_when_a_topic_was_deleted_and_made_again(
    database18: Database, new_kafka: NewKafka, new_campaign: NewCampaign, chance: random.Random
) -> None:
    """Its leaders had changed before, so that the new topic's leader epoch is behind the old one's."""
    kafka = new_kafka(nodes=3, properties={"auto.create.topics.enable": "false"})
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=1, request_timeout_ms=500)
    plan = {"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 2, "old_writer": False}
    load = campaign.load(plan)
    relay = campaign.start_relay()
    for _ in range(LEADERS):
        campaign.wait_until_it_settles(relay, within=60)
        leader = leader_of(kafka.bootstrap, campaign.topic)
        kafka.kill_node(leader)
        campaign.wait_until_it_settles(relay, within=60)
        kafka.start_node(leader)
    delete_topic(kafka.bootstrap, campaign.topic)
    create_topic(kafka.bootstrap, campaign.topic, partitions=1)
    campaign.wait_until_it_settles(relay, within=60)
    load.stop()
    campaign.wait_until_delivered(relay)
