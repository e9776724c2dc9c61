"""An owner that is stopped or cut off, its successor, and what comes late: what is promised, and what is not."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import pytest

from faults.campaign import Campaign
from faults.conftest import NewCampaign
from faults.faultproxy import FaultProxy
from fix_kafka import NewKafka
from fix_relay import Relay
from fix_run import Progress
from pg_tide_dev.databases import Database
from pg_tide_dev.kafka import KafkaServer
from waiting import eventually, for_all_of

STOPS = 4


@dataclass(frozen=True)
class Network:
    """Kafka behind a proxy."""

    proxy: FaultProxy
    kafka: KafkaServer

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.proxy.port}"


@pytest.fixture
def network(new_kafka: NewKafka) -> Iterator[Network]:
    """A broker that all clients are led to through the proxy."""
    with FaultProxy() as proxy:
        kafka = new_kafka(properties={"advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}"})
        host, _, port = kafka.bootstrap.rpartition(":")
        proxy.target = (host, int(port))
        yield Network(proxy, kafka)


def on_the_way(campaign: Campaign, network: Network) -> list[int]:
    """Five messages are delivered; five more have left the relay and are kept in the network. All their ids."""
    first = [campaign.publish() for _ in range(5)]
    eventually(lambda: len(campaign.arrived()) == 5)
    network.proxy.hold()
    campaign.publish_many(5)
    (*_, last) = late = [
        one.identity.id for one in campaign.ledger().committed if one.identity.id not in first
    ]
    eventually(lambda: b"%d" % last in network.proxy.kept)
    return sorted(first + late)


def test_hazard_05_late_packets_of_a_stopped_owner_land_behind_its_successors_records(
    database18: Database, network: Network, new_campaign: NewCampaign
) -> None:
    """The invariant holds, and the key ends with an old record: this is what is NOT promised.

    No lease prevents it: the packets are in the network. A consumer drops what is not above the highest id it
    has seen of the key.
    """
    campaign = new_campaign(database18.dsn, network.bootstrap)
    owner = campaign.start_relay()
    owner.wait_for("pipeline_acquired")
    ids = on_the_way(campaign, network)
    owner.pause()
    successor = campaign.start_relay()
    ids += [campaign.publish() for _ in range(3)]
    campaign.wait_until_delivered(successor)
    assert [record.identity.id for record in campaign.arrived()] == ids

    network.proxy.release()
    eventually(lambda: len(campaign.arrived()) == len(ids) + 5)
    ledger = campaign.ledger()
    assert [record.identity.id for record in campaign.arrived()] == [*ids, *ids[5:10]]
    assert ledger.verdict.is_clean, str(ledger.verdict)
    assert ledger.stale_keys() == (b"k0",)

    owner.resume()
    owner.wait_for(lambda: owner.lines("cursor_changed") or owner.lines("lease_ran_out"))
    ids.append(campaign.publish())
    campaign.wait_until_delivered(successor)
    assert campaign.ledger().verdict.is_clean
    assert campaign.ledger().stale_keys() == ()
    assert campaign.state()["owner"] == successor.wait_for("pipeline_acquired")["relay_id"]


def test_hazard_05_an_owner_cut_off_takes_back_what_it_has_sent_when_its_lease_ends(
    database18: Database, network: Network, new_campaign: NewCampaign
) -> None:
    """Neither the database nor Kafka answers it: by its own clock it closes its connections, and packets with them."""
    campaign = new_campaign(database18.dsn, network.bootstrap)
    with FaultProxy() as to_database:
        address = urlsplit(database18.dsn)
        to_database.target = (str(address.hostname), int(address.port or 0))
        password = address.netloc.rpartition("@")[0]
        through = urlunsplit(address._replace(netloc=f"{password}@127.0.0.1:{to_database.port}"))
        owner = campaign.start_relay(dsn=through)
        owner.wait_for("pipeline_acquired")
        ids = on_the_way(campaign, network)
        to_database.hold()
        successor = campaign.start_relay()
        owner.wait_for("lease_ran_out")
        ids += [campaign.publish() for _ in range(3)]
        campaign.wait_until_delivered(successor)
        network.proxy.release()
        to_database.release()
        ids.append(campaign.publish())
        campaign.wait_until_delivered(successor)
        for_all_of(1.0, lambda: owner.exit_code is None)
        ledger = campaign.ledger()
        assert [record.identity.id for record in campaign.arrived()] == ids
        assert ledger.stale_keys() == ()


def acquisitions(relay: Relay) -> int:
    """How often it has become the owner."""
    return len(relay.lines("pipeline_acquired"))


def has_acquired_again(relay: Relay, before: int) -> bool:
    return acquisitions(relay) > before


def test_hazard_05_owners_stopped_under_load_and_let_go_again_lose_and_overtake_nothing(
    database18: Database,
    kafka: KafkaServer,
    new_campaign: NewCampaign,
    chance: random.Random,
    progress: Progress,
) -> None:
    """Each time the other relay takes over, and the stopped one wakes up with its requests half sent."""
    campaign = new_campaign(database18.dsn, kafka.bootstrap, partitions=3)
    load = campaign.load({"messages": 10**9, "seed": chance.randrange(10**6), "publishers": 6})
    owner, other = campaign.start_relay(), campaign.start_relay()
    if eventually(lambda: acquisitions(owner) + 2 * acquisitions(other)) == 2:
        owner, other = other, owner
    for _ in range(STOPS):
        campaign.wait_until_it_settles(owner)
        before = acquisitions(other)
        owner.pause()
        other.wait_for(partial(has_acquired_again, other, before))
        owner.resume()
        owner, other = other, owner
    load.stop()
    campaign.wait_until_delivered(owner)
    ledger = campaign.ledger()
    progress(f"{len(ledger.committed)} messages, {STOPS} stops, {ledger.duplicates} duplicates")
    assert ledger.verdict.is_clean, str(ledger.verdict)
