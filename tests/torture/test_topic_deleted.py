"""A topic is deleted and made again under a running relay: what is published afterwards arrives, in order."""

import random
import time

import pytest

from faults.conftest import NewCampaign
from fix_kafka import NewKafka
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import create_topic, delete_topic

TIMES = 6


def test_delivery_goes_on_when_a_topic_was_deleted_and_made_again(
    database18: Database, new_kafka: NewKafka, new_campaign: NewCampaign, chance: random.Random
) -> None:
    kafka = new_kafka(nodes=3, properties={"auto.create.topics.enable": "false"})
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3, request_timeout_ms=500)
    load = campaign.load(
        {"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 4, "old_writer": False}
    )
    relay = campaign.start_relay()
    for n in range(TIMES):
        campaign.wait_until_it_settles(relay)
        delete_topic(kafka.bootstrap, campaign.topic)
        time.sleep(chance.uniform(0.0, 1.5))
        create_topic(kafka.bootstrap, campaign.topic, partitions=3)
        print(n, time.time())
        campaign.wait_until_it_settles(relay, within=40)
    load.stop()
    campaign.wait_until_delivered(relay)
